/** @file Environments: tasks, harness, rewards. Runs in any JavaScript engine, without a GPU. */
export * from './dataset';
export * from './deadline';
export * from './env_group';
export * from './environment';
export * from './eval';
export * from './key';
export * from './library';
export * from './multi_turn';
export * from './parser';
export * from './rubric';
export * from './similarity';
export * from './state';
export * from './tool_env';
export * from './tool_format';
export * from './tool_schema';
export * from './tools';
export * from './trace';
export type * from './types';
