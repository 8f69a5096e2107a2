/** @file Runs that are kept: their folder, what is checked when it is read, forks and archives. */
export * from './about';
export * from './adapters';
export * from './archive';
export { lastGoodCheckpoint, listCheckpoints, loadCheckpointOf } from './checkpoints';
export type { Files, LoadedCheckpoint } from './checkpoints';
export * from './fork';
export { RUN_FORMAT, VERSION } from './layout';
export * from './memory';
export { metricOf, readMetrics } from './metrics';
export type { Metric, Recovered } from './metrics';
export * from './model_files';
export * from './remove';
export * from './rollouts';
export * from './run_models';
export * from './run_store';
export * from './storage';
export * from './summary';
