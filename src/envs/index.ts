/** @file Environments: tasks, harness, rewards. Runs in any JavaScript engine, without a GPU. */
export * from './dataset';
export * from './environment';
export * from './library';
export * from './multi_turn';
export * from './parser';
export * from './rubric';
export * from './similarity';
export * from './trace';
export type * from './types';
