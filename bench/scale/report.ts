/** @file "Scale by arithmetic": tables of memory, work and time, from the planner and from shapes. */
import { formatBytes } from '../../src/kernels';
import { countParameters } from '../../src/model';
import { MEMORY_PARTS } from '../../src/rl';
import type { MemoryPlan } from '../../src/rl';
import { figure, markdownTable } from '../table';
import {
  adapterElements,
  cacheBytesPerToken,
  decodeBytes,
  optimizerBytes,
  rolloutsAtOnce,
  stepFlops,
} from './arithmetic';
import type { Workload } from './arithmetic';
import { BANDWIDTH_EFFICIENCY, COMPUTE_EFFICIENCY, HARDWARE, roofline } from './hardware';
import type { Hardware } from './hardware';
import { CACHE_STORAGE, LORA_RANK, METHODS, STORAGE, describeMethod } from './methods';
import type { Method } from './methods';
import { MODELS } from './models';
import type { NamedModel } from './models';
import { planFor } from './plan';

const GiB = 2 ** 30;

/** A small step of a real model: 64 rollouts of 384 tokens. */
export const WORK: Workload = { groups: 8, groupSize: 8, promptTokens: 128, completionTokens: 256 };

const CACHE_BYTES = GiB;
const BUDGETS = [4, 8, 16];
const CONTEXTS = [384, 1024, 2048];

interface Case {
  model: NamedModel;
  method: Method;
}

const CASES: readonly Case[] = MODELS.flatMap((model) => METHODS.map((method) => ({ model, method })));

function nameOf({ model, method }: Case): string {
  return `${model.name}, ${describeMethod(method)}`;
}

function runShape(context: number) {
  return { context, slots: WORK.groups * WORK.groupSize, cacheBytes: CACHE_BYTES };
}

/** Seconds of a step's rollouts and of its update. */
export function stepSeconds(
  { model: { config }, method }: Case,
  recompute: boolean,
  machine: Hardware,
): { rollout: number; update: number } {
  const flops = stepFlops(config, WORK, method, recompute);
  const atOnce = rolloutsAtOnce(config, WORK, CACHE_BYTES);
  return {
    rollout:
      roofline(flops.prefill, 0, machine) + roofline(flops.decode, decodeBytes(config, WORK, method, atOnce), machine),
    update: roofline(flops.forward + flops.backward, 0, machine) + roofline(0, optimizerBytes(config, method), machine),
  };
}

/** The section of the page, in Markdown. */
export async function scaleSection(): Promise<string> {
  const context = CONTEXTS[0]!;
  const roomy = new Map<Case, MemoryPlan>();
  for (const each of CASES) roomy.set(each, (await planFor(each.model, each.method, runShape(context), 1024 * GiB))!);
  return [
    `Derived by \`bench/scale/\`, not measured: a step of ${WORK.groups} groups of ${WORK.groupSize} rollouts, prompts of ` +
      `${WORK.promptTokens} tokens, replies of ${WORK.completionTokens}. Full training keeps weights, gradients and both ` +
      `moments in ${STORAGE.full}; LoRA an adapter of rank ${LORA_RANK} on every matrix beside weights in ${STORAGE.lora}. Keys ` +
      `and values are in ${CACHE_STORAGE}, at most ${formatBytes(CACHE_BYTES)} of them.\n\n`,
    `Memory, from the planner that every run asks before it starts, where there is no limit but the device's:\n\n`,
    memoryRows(roomy),
    `\nWork of a step, and bytes that sampling reads (all weights once per position, as often as it takes batches of as many rollouts as the cache holds at once):\n\n`,
    workRows(roomy),
    `\nSeconds per step, rollout + update, at ${100 * COMPUTE_EFFICIENCY}% of the stated f32 operations and ` +
      `${100 * BANDWIDTH_EFFICIENCY}% of the stated bandwidth, the slower of the two (${HARDWARE.map(describeHardware).join('; ')}):\n\n`,
    timeRows(roomy),
    `\nWhat fits in ${BUDGETS.join(', ')} GiB of GPU memory: tokens of the largest micro batch, and whether its activations are ` +
      'kept or computed again. "no": not even the smallest fits. A computer that shares its memory with its GPU gives a page ' +
      'about two thirds of it.\n\n',
    await fitRows(),
  ].join('');
}

function memoryRows(plans: ReadonlyMap<Case, MemoryPlan>): string {
  const parts = MEMORY_PARTS.filter((part) => [...plans.values()].some((plan) => plan.parts[part] > 0));
  const rows = [...plans].map(([each, plan]) => [
    nameOf(each),
    ...parts.map((part) => formatBytes(plan.parts[part])),
    formatBytes(plan.bytes),
  ]);
  return markdownTable(['model', ...parts, 'together'], rows);
}

function workRows(plans: ReadonlyMap<Case, MemoryPlan>): string {
  const head = [
    'model',
    'parameters',
    'trained',
    'prefill',
    'decode',
    'forward',
    'backward',
    'TFLOP',
    'at once',
    'read',
  ];
  const rows = [...plans].map(([each, { recompute }]) => {
    const { config } = each.model;
    const flops = stepFlops(config, WORK, each.method, recompute);
    const share = (part: number) => `${((100 * part) / flops.total).toFixed(0)}%`;
    const atOnce = rolloutsAtOnce(config, WORK, CACHE_BYTES);
    const million = (count: number) => `${figure(count / 1e6)} M`;
    return [
      nameOf(each),
      million(countParameters(config)),
      million(each.method === 'full' ? countParameters(config) : adapterElements(config)),
      ...[flops.prefill, flops.decode, flops.forward, flops.backward].map(share),
      figure(flops.total / 1e12),
      formatBytes(cacheBytesPerToken(config)),
      `${atOnce}`,
      formatBytes(decodeBytes(config, WORK, each.method, atOnce)),
    ];
  });
  return markdownTable(head, rows);
}

function timeRows(plans: ReadonlyMap<Case, MemoryPlan>): string {
  const rows = [...plans].map(([each, { recompute }]) => [
    nameOf(each),
    ...HARDWARE.map((machine) => {
      const { rollout, update } = stepSeconds(each, recompute, machine);
      return `${figure(rollout + update)} (${figure(rollout)} + ${figure(update)})`;
    }),
  ]);
  return markdownTable(['model', ...HARDWARE.map(({ name }) => name)], rows);
}

async function fitRows(): Promise<string> {
  const rows: string[][] = [];
  for (const each of CASES) {
    for (const context of CONTEXTS) {
      const cells: string[] = [];
      for (const budget of BUDGETS) {
        const plan = await planFor(each.model, each.method, runShape(context), budget * GiB);
        const cut = plan && `${plan.microBatchTokens} ${plan.recompute ? 'again' : 'kept'}`;
        cells.push(plan ? `${cut} (${formatBytes(plan.bytes)})` : 'no');
      }
      rows.push([nameOf(each), `${context}`, ...cells]);
    }
  }
  return markdownTable(['model', 'context', ...BUDGETS.map((budget) => `${budget} GiB`)], rows);
}

function describeHardware({ name, flops, bandwidth }: Hardware): string {
  return `${name}: ${figure(flops / 1e12)} TFLOP/s, ${figure(bandwidth / 1e9)} GB/s`;
}
