/**
 * @file What can be done with a model on this device, said before anything of it is loaded: does sampling fit, training an
 * adapter, training everything - and where not, what to change. Config and limits decide; the same code reserves on a
 * device that only takes notes.
 */
import { GpuLimitError, formatBytes, measureAllocations } from '../kernels';
import type { DeviceLimits } from '../kernels';
import { Generator, LORA_TARGETS, Weights } from '../model';
import type { CacheStorage, ModelConfig, Storage } from '../model';
import { LORA_DEFAULTS } from './config';
import { UnfitConfigError } from './errors';
import { assumedBudget, partsOf, planMemory } from './memory';
import type { MemoryPart } from './memory';
import { reservePolicy } from './policy';

export const MODEL_USES = ['inference', 'lora', 'full'] as const;
export type ModelUse = (typeof MODEL_USES)[number];

/** What is open to choice; the names in `advice` are those of a run's settings. */
export interface ModelPlanSettings {
  /** How the weights are kept where they are not trained: usually as in their file. */
  storage: Storage;
  /** `seq_len`: longest sequence. */
  context: number;
  /** `memory.budget_mb`; by default what is assumed of these limits. */
  budgetBytes?: number | undefined;
  /** `memory.slots` */
  slots?: number | undefined;
  /** `memory.cache_mb` */
  cacheBytes?: number | undefined;
  /** `memory.cache_type` */
  cacheStorage?: CacheStorage | undefined;
  /** `lora.rank` */
  rank?: number | undefined;
}

/** Whether one use fits. */
export interface UsePlan {
  use: ModelUse;
  fits: boolean;
  /** Of GPU memory, with these settings; undefined where a limit of the device forbids it at any size. */
  bytes: number | undefined;
  budgetBytes: number;
  parts: Record<MemoryPart, number> | undefined;
  /** Where it does not fit: settings with which it does, or that there are none. */
  advice: string | undefined;
}

/**
 * Finds out what fits, allocating nothing.
 * @returns one plan for each of MODEL_USES
 */
export async function planModel(
  limits: DeviceLimits,
  config: ModelConfig,
  settings: ModelPlanSettings,
): Promise<UsePlan[]> {
  const plans: UsePlan[] = [];
  for (const use of MODEL_USES) {
    const plan = await planUse(limits, config, settings, use);
    plans.push(plan.fits ? plan : { ...plan, advice: await adviceFor(limits, config, settings, plan) });
  }
  return plans;
}

/** One use with one choice of settings. */
async function planUse(
  limits: DeviceLimits,
  config: ModelConfig,
  settings: ModelPlanSettings,
  use: ModelUse,
): Promise<UsePlan> {
  const budgetBytes = settings.budgetBytes ?? assumedBudget(limits);
  const plan = { use, budgetBytes, advice: undefined };
  try {
    const parts = await (use === 'inference'
      ? inference(limits, config, settings)
      : training(limits, config, settings, use));
    const bytes = Object.values(parts).reduce((sum, part) => sum + part, 0);
    return { ...plan, fits: bytes <= budgetBytes, bytes, parts };
  } catch (error) {
    if (!(error instanceof GpuLimitError) && !(error instanceof UnfitConfigError)) throw error;
    return { ...plan, fits: false, bytes: undefined, parts: undefined };
  }
}

async function inference(
  limits: DeviceLimits,
  config: ModelConfig,
  { storage, context, slots, cacheBytes, cacheStorage }: ModelPlanSettings,
): Promise<Record<MemoryPart, number>> {
  const allocations = await measureAllocations(limits, async (gpu) => {
    const weights = await Weights.create(gpu, { ...config, maxPositions: context }, 'parameters', { storage });
    await Generator.create(weights, generatorOptions({ slots, cacheBytes, cacheStorage }));
  });
  return partsOf(allocations);
}

/** Nothing is decided here: AdamW takes the same memory whatever its rates are. */
const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxNorm: 1 };

/** The plan of the smallest step, so that what is reported as too large is so at any size. */
async function training(
  limits: DeviceLimits,
  config: ModelConfig,
  { storage, context, slots, cacheBytes, cacheStorage, rank = LORA_DEFAULTS.rank }: ModelPlanSettings,
  use: 'lora' | 'full',
): Promise<Record<MemoryPart, number>> {
  const lora = { rank, alpha: 2 * rank, dropout: 0, rslora: false, targets: LORA_TARGETS, baseModel: null };
  const generator = generatorOptions({ slots, cacheBytes, cacheStorage });
  const common = { optimizer: OPTIMIZER, context, generator, ...(use === 'lora' && { lora, storage }) };
  const smallest = { microBatchTokens: context, recompute: 'on', budgetBytes: Infinity } as const;
  const plan = await planMemory(limits, smallest, context, (gpu, cut) =>
    reservePolicy(gpu, config, { ...common, ...cut }),
  );
  return plan.parts;
}

function generatorOptions({
  slots,
  cacheBytes,
  cacheStorage,
}: Pick<ModelPlanSettings, 'slots' | 'cacheBytes' | 'cacheStorage'>) {
  return { slots, ...(cacheBytes !== undefined && { cacheBytes }), ...(cacheStorage && { cacheStorage }) };
}

/** Changes that cost the least first; each goes on from those before it. */
const CHANGES: readonly {
  says: string;
  change: (settings: ModelPlanSettings) => Partial<ModelPlanSettings>;
  not?: ModelUse;
}[] = [
  { says: 'memory.cache_mb = 64', change: () => ({ cacheBytes: 64 * 2 ** 20 }) },
  { says: 'memory.slots = 16', change: () => ({ slots: 16 }) },
  { says: 'seq_len = 512', change: ({ context }) => ({ context: Math.min(context, 512) }) },
  { says: 'memory.cache_type = "f16"', change: () => ({ cacheStorage: 'f16' }) },
  { says: 'memory.base_storage = "q8"', change: () => ({ storage: 'q8' }), not: 'full' },
];

async function adviceFor(
  limits: DeviceLimits,
  config: ModelConfig,
  settings: ModelPlanSettings,
  { use, bytes, budgetBytes }: UsePlan,
): Promise<string> {
  const need = bytes === undefined ? 'exceeds a limit of this device' : `needs ${formatBytes(bytes)}`;
  const has = `${formatBytes(budgetBytes)} ${settings.budgetBytes === undefined ? 'are assumed (memory.budget_mb tells how much there is)' : 'are allowed'}`;
  let changed = settings;
  const said: string[] = [];
  for (const { says, change, not } of CHANGES) {
    if (not === use) continue;
    changed = { ...changed, ...change(changed) };
    said.push(says);
    // q8 is for rows of whole blocks; a model with others cannot be kept so.
    if (changed.storage === 'q8' && [config.hiddenSize, config.intermediateSize].some((size) => size % 32 !== 0)) break;
    const plan = await planUse(limits, config, changed, use);
    if (plan.fits) return `${need}; ${has}. It fits with ${said.join(', ')}: ${formatBytes(plan.bytes!)}`;
  }
  const smaller = use === 'full' ? ', or train an adapter (method = "lora")' : '';
  return `${need}; ${has}. No settings make it fit: choose a smaller model${smaller}`;
}
