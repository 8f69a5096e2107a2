/** @file Low-rank adapters beside frozen weights: on the GPU, as PEFT's folders, merged. */
export * from './adapter';
export * from './config';
export { countAdapter } from './layout';
export type { LoraLayer } from './layout';
export * from './load';
export * from './merge';
export type { AdapterDropout } from './passes';
export * from './peft';
export { formatPeftConfig, parsePeftConfig } from './peft_config';
export * from './switch';
export { checkAdapterTensors, initialAdapter } from './tensors';
