/** @file Training tokens per second: ours, jax-js and TensorFlow.js on one device, in turns. */
import { Weights, initialValues } from '../../src/model';
import type { Bench } from '../measure';
import { CONFIGS } from './configs';
import type { BenchConfig } from './configs';
import { createJax } from './jax';
import { createOurs } from './ours';
import { makeReport } from './report';
import type { TrainReport } from './report';
import { runTrainers } from './run';
import type { Entry } from './run';
import { createTfjs } from './tfjs';

export { CONFIGS as TRAIN_CONFIGS } from './configs';
export { formatTrain, trainProblems } from './report';
export type { TrainReport } from './report';

const SEED = 1;

/** @param name of CONFIGS */
export async function benchTrain(bench: Bench, name: string): Promise<TrainReport> {
  const { gpu, options } = bench;
  const preset = CONFIGS[name]!;
  const few = options.quick ? { rounds: 1, settle: 0, steps: 1 } : {};
  const config: BenchConfig = { ...preset, ...few };
  if (options.rounds !== undefined) config.rounds = options.rounds;
  if (options.steps !== undefined) config.steps = options.steps;

  const weights = await Weights.create(gpu, config.model);
  const initial = initialValues(weights, SEED);
  weights.destroy();
  const peers: Entry[] = [
    { name: 'jax-js', create: () => createJax(gpu.device, config, initial) },
    { name: 'tfjs', create: () => createTfjs(gpu.device, config, initial) },
  ];
  const wanted: readonly string[] = options.peers;
  const entries = [
    { name: 'ours', create: () => createOurs(gpu, config, initial) },
    ...peers.filter((peer) => wanted.includes(peer.name)),
  ];
  return makeReport(config, await runTrainers(config, entries, bench));
}
