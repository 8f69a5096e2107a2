/** @file Memory of a run by the planner that runs use: it records every buffer and allocates none. */
import { DEFAULT_LIMITS } from '../../src/kernels';
import type { DeviceLimits } from '../../src/kernels';
import { CharTokenizer, LORA_TARGETS, tinyText } from '../../src/model';
import type { LoraConfig } from '../../src/model';
import { Policy, UnfitConfigError, planMemory } from '../../src/rl';
import type { MemoryPlan } from '../../src/rl';
import { CACHE_STORAGE, LORA_RANK, STORAGE } from './methods';
import type { Method } from './methods';
import type { NamedModel } from './models';

const GiB = 2 ** 30;

/** As desktop GPUs offer them to WebGPU: bindings and buffers of 2 GiB and more. */
export const LIMITS: DeviceLimits = {
  ...DEFAULT_LIMITS,
  maxBufferSize: 4 * GiB,
  maxStorageBufferBindingSize: 2 * GiB,
};

export interface RunShape {
  /** Longest sequence, in tokens. */
  context: number;
  /** Sequences sampled at once. */
  slots: number;
  /** Bytes of keys and values at most. */
  cacheBytes: number;
}

const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxNorm: 1 };

/** What a run takes, cut so that it fits; undefined when nothing does. */
export async function planFor(
  { name, config }: NamedModel,
  method: Method,
  { context, slots, cacheBytes }: RunShape,
  budgetBytes: number,
): Promise<MemoryPlan | undefined> {
  const lora: LoraConfig | undefined =
    method === 'lora'
      ? {
          rank: LORA_RANK,
          alpha: 2 * LORA_RANK,
          dropout: 0,
          rslora: false,
          targets: [...LORA_TARGETS],
          baseModel: name,
        }
      : undefined;
  const text = tinyText(new CharTokenizer('ab'), config); // takes no memory of the device
  try {
    return await planMemory(LIMITS, { recompute: 'auto', budgetBytes }, context, (gpu, cut) =>
      Policy.create(gpu, config, text, {
        ...cut,
        optimizer: OPTIMIZER,
        generator: { slots, cacheBytes, cacheStorage: CACHE_STORAGE },
        storage: STORAGE[method],
        lora,
        context,
      }),
    );
  } catch (error) {
    if (error instanceof UnfitConfigError) return undefined;
    throw error;
  }
}
