/** @file Low-rank adapters beside frozen weights: on the GPU, as PEFT's folders, merged. */
export * from './adapter';
export * from './config';
export { countAdapter } from './layout';
export type { LoraLayer, LoraMatrix } from './layout';
export * from './merge';
export { AdapterPasses } from './passes';
export type { AdapterDropout, LowActivations } from './passes';
export * from './peft';
export { formatPeftConfig, parsePeftConfig } from './peft_config';
export * from './switch';
export { checkAdapterTensors, initialAdapter } from './tensors';
