/**
 * @file How much memory a run takes on the device, and how its step is made to fit: found out before anything is allocated.
 *
 * WebGPU does not say how much memory a GPU has. Unless told (`memory.budget_mb`), we assume twice the largest buffer that
 * the adapter offers, since drivers cap one buffer at half of the memory or less, and never more than 4 GiB.
 */
import { GpuLimitError, formatBytes, measureAllocations, stagingSize } from '../kernels';
import type { Allocation, DeviceLimits, Gpu } from '../kernels';
import { READ_BYTES } from '../model';
import { UnfitConfigError } from './errors';

/** How a step is cut so that it fits. */
export interface StepCut {
  /** Tokens that one forward and backward pass takes; gradients of more are accumulated. */
  microBatchTokens: number;
  /** Activations are computed again in the backward pass instead of being kept. */
  recompute: boolean;
}

/** What the settings ask for; what they leave open is chosen. */
export interface MemorySettings {
  microBatchTokens?: number | undefined;
  recompute: 'auto' | 'on' | 'off';
  budgetBytes?: number | undefined;
}

export const MEMORY_PARTS = [
  'weights',
  'gradients',
  'optimizer',
  'activations',
  'batch',
  'cache',
  'sampler',
  'copies',
  'readback',
] as const;

/** weights, and an adapter beside them; gradients; AdamW's moments and scratch; activations and logits; inputs of a batch; keys and values; the
 * sampler's own activations and state; other copies of the weights; buffers through which snapshots are read. */
export type MemoryPart = (typeof MEMORY_PARTS)[number];

/** What a run takes, before it runs. */
export interface MemoryPlan extends StepCut {
  bytes: number;
  budgetBytes: number;
  parts: Record<MemoryPart, number>;
}

/** Micro batch where memory is no concern: GPUs are busy with as many tokens, and more would only take more memory. */
const FULL_MICRO_BATCH = 4096;

/** Shorter passes leave a GPU idle; a model whose step does not fit with this one fits with none. */
const SMALLEST_MICRO_BATCH = 256;

const LARGEST_ASSUMED_BUDGET = 4 * 2 ** 30;

/** Bytes that a device with these limits is taken to have for a run. */
export function assumedBudget(limits: DeviceLimits): number {
  return Math.min(2 * limits.maxBufferSize, LARGEST_ASSUMED_BUDGET);
}

/**
 * Chooses micro batch and recomputation, before anything is allocated: the largest micro batch that fits with every
 * activation kept; where not even the smallest does, the largest that fits when activations are computed again.
 * Accumulation costs next to nothing, recomputation a third of the arithmetic.
 * @param context longest sequence: a micro batch holds at least one
 * @param reserve makes everything that the run will hold on the device it is given; called with one that only takes notes
 * @throws UnfitConfigError when nothing fits, saying what is needed, what is there and which settings to change
 */
export async function planMemory(
  limits: DeviceLimits,
  settings: MemorySettings,
  context: number,
  reserve: (gpu: Gpu, cut: StepCut) => Promise<unknown>,
): Promise<MemoryPlan> {
  const budgetBytes = settings.budgetBytes ?? assumedBudget(limits);
  let smallest: MemoryPlan | undefined;
  let limit: GpuLimitError | undefined;
  for (const cut of stepCuts(settings, context)) {
    try {
      const allocations = await measureAllocations(limits, (gpu) => reserve(gpu, cut));
      const parts = sumByPart(allocations, limits);
      const bytes = Object.values(parts).reduce((sum, part) => sum + part, 0);
      smallest = { ...cut, bytes, budgetBytes, parts };
    } catch (error) {
      if (!(error instanceof GpuLimitError)) throw error;
      limit = error;
      continue;
    }
    if (smallest.bytes <= budgetBytes) return smallest;
  }
  throw new UnfitConfigError(smallest ? tooLarge(smallest, settings) : `${limit!.message}. ${ADVICE}`);
}

/** Ways to cut the step that the settings allow, the fastest first. */
function stepCuts({ microBatchTokens, recompute }: MemorySettings, context: number): StepCut[] {
  const sizes: number[] = [];
  if (microBatchTokens !== undefined) sizes.push(Math.max(context, microBatchTokens));
  else {
    const least = Math.max(context, SMALLEST_MICRO_BATCH);
    for (let tokens = Math.max(context, FULL_MICRO_BATCH); tokens > least; tokens /= 2) sizes.push(Math.ceil(tokens));
    sizes.push(least);
  }
  const ways = recompute === 'auto' ? [false, true] : [recompute === 'on'];
  return ways.flatMap((way) => sizes.map((tokens) => ({ microBatchTokens: tokens, recompute: way })));
}

const ADVICE =
  'Less is needed with a smaller model (model.*, or another checkpoint in start), a smaller model.context, fewer ' +
  'memory.slots, a smaller memory.cache_mb, and with optimizer.micro_batch_tokens and memory.recompute left to be chosen.';

function tooLarge({ bytes, budgetBytes, parts, ...cut }: MemoryPlan, settings: MemorySettings): string {
  const budget =
    settings.budgetBytes === undefined
      ? 'are assumed, since browsers do not say how much a GPU has (memory.budget_mb tells)'
      : 'are allowed by memory.budget_mb';
  return (
    `This run needs ${formatBytes(bytes)} of GPU memory even in micro batches of ${cut.microBatchTokens} tokens` +
    `${cut.recompute ? ' with activations computed again' : ''} (${describeParts(parts)}); ` +
    `${formatBytes(budgetBytes)} ${budget}. ${ADVICE}`
  );
}

/** `weights 1.2 MiB, gradients 1.2 MiB, ...`: what is not zero. */
export function describeParts(parts: MemoryPlan['parts']): string {
  return MEMORY_PARTS.filter((part) => parts[part] > 0)
    .map((part) => `${part} ${formatBytes(parts[part])}`)
    .join(', ');
}

/** What each part is, for people. */
const PART_NAMES: Record<MemoryPart, string> = {
  weights: 'weights (and adapter)',
  gradients: 'gradients',
  optimizer: "AdamW's moments",
  activations: 'activations and logits',
  batch: "a micro batch's inputs",
  cache: 'keys and values',
  sampler: "the sampler's activations and state",
  copies: 'copies of the weights',
  readback: 'reading snapshots',
};

/** `4096 tokens at a time, activations kept`. */
export function describeCut({ microBatchTokens, recompute }: StepCut): string {
  return `${microBatchTokens} tokens at a time, activations ${recompute ? 'computed again' : 'kept'}`;
}

/** The plan as lines of a table. */
export function memoryTable(plan: MemoryPlan, device: string): string {
  const row = (name: string, bytes: number) => `${name.padEnd(36)}${formatBytes(bytes).padStart(12)}\n`;
  const rows = MEMORY_PARTS.filter((part) => plan.parts[part] > 0).map((part) =>
    row(`  ${PART_NAMES[part]}`, plan.parts[part]),
  );
  return (
    `Memory on ${device} (${describeCut(plan)}):\n${rows.join('')}` +
    `${row('  together', plan.bytes)}${row('  of', plan.budgetBytes)}`
  );
}

/** Which part a buffer belongs to, by the beginning of its label; the first that fits. */
const LABELS: readonly [RegExp, MemoryPart][] = [
  [/^(parameters|adapter)$/, 'weights'],
  [/^gradients$/, 'gradients'],
  [/^(exp_avg|exp_avg_sq|weight decay)$|^adamw /, 'optimizer'],
  [/^train arena /, 'activations'],
  [/^train[ .]/, 'batch'],
  [/^generation\.cache /, 'cache'],
  [/^(generation\.|prefill[ .]|decode[ .])/, 'sampler'],
];

/** What a snapshot reads at once, each through a buffer of its own; a reference comes after them, through one of theirs. */
const MOMENTS = ['exp_avg', 'exp_avg_sq'];

/** Bytes by part; without reading anything back. */
export function partsOf(allocations: readonly Allocation[]): MemoryPlan['parts'] {
  const parts = Object.fromEntries(MEMORY_PARTS.map((part) => [part, 0])) as MemoryPlan['parts'];
  for (const { label, bytes } of allocations) {
    parts[LABELS.find(([pattern]) => pattern.test(label))?.[1] ?? 'copies'] += bytes;
  }
  return parts;
}

/** @throws GpuLimitError when a snapshot could not be read back */
function sumByPart(allocations: readonly Allocation[], limits: DeviceLimits): MemoryPlan['parts'] {
  const parts = partsOf(allocations);
  const read = (label: string) => {
    const bytes = allocations.reduce((sum, allocation) => sum + (allocation.label === label ? allocation.bytes : 0), 0);
    const size = stagingSize(Math.min(bytes, READ_BYTES));
    if (size > limits.maxBufferSize) {
      throw new GpuLimitError(
        `reading back ${label} needs ${formatBytes(size)} in one buffer; this device allows ${formatBytes(limits.maxBufferSize)}`,
      );
    }
    return size;
  };
  const hasAdapter = allocations.some(({ label }) => label === 'adapter');
  const together = [hasAdapter ? 'adapter' : 'parameters', ...MOMENTS].map(read);
  const after = read('reference');
  parts.readback = [...together, after > Math.max(...together) ? after : 0].reduce((sum, size) => sum + size, 0);
  return parts;
}
