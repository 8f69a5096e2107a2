/** @file Reinforcement learning: advantages, losses, the GRPO and SFT steps, configuration, runs. */
export * from './advantages';
export * from './config';
export * from './errors';
export * from './grpo';
export * from './losses';
export * from './memory';
export * from './policy';
export * from './presets';
export * from './rollouts';
export * from './run';
export * from './schedule';
export * from './sft';
export * from './snapshot';
