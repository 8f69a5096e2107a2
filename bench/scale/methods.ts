/** @file Ways to train a model: all of it, or an adapter beside it. */
import type { CacheStorage, Storage } from '../../src/model';

export const METHODS = ['full', 'lora'] as const;
export type Method = (typeof METHODS)[number];

/** How weights are kept: what is trained is f32; frozen ones as the models are published. */
export const STORAGE: Record<Method, Storage> = { full: 'f32', lora: 'bf16' };
export const BYTES_PER_ELEMENT: Record<Method, number> = { full: 4, lora: 2 };

/** How keys and values are kept. */
export const CACHE_STORAGE: CacheStorage = 'f16';
export const CACHE_BYTES_PER_ELEMENT = 2;

/** The rank that most recipes begin with. */
export const LORA_RANK = 16;

export function describeMethod(method: Method): string {
  return method === 'full' ? 'full' : 'LoRA';
}
