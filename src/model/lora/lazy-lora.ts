/** @file What only a model with an adapter needs, in a chunk of its own: most have none. `loraCode` loads it. */
export { fingerprint } from '../fingerprint';
export { Adapter } from './adapter';
export { mergedModel } from './merge';
export { loadAdapter, readPeftConfig } from './peft';
export { initialAdapter } from './tensors';
