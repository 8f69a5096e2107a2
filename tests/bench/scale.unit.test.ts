import { describe, expect, it } from 'vitest';
import {
  adapterElements,
  cacheBytesPerToken,
  causalPairs,
  decodeBytes,
  layerElements,
  optimizerBytes,
  rolloutsAtOnce,
  stepFlops,
} from '../../bench/scale/arithmetic';
import type { Workload } from '../../bench/scale/arithmetic';
import { BANDWIDTH_EFFICIENCY, COMPUTE_EFFICIENCY, roofline } from '../../bench/scale/hardware';
import { METHODS } from '../../bench/scale/methods';
import { MODELS } from '../../bench/scale/models';
import type { NamedModel } from '../../bench/scale/models';
import { planFor } from '../../bench/scale/plan';
import { Adapter, LORA_TARGETS, countParameters } from '../../src/model';
import { DEFAULT_LIMITS, measureAllocations } from '../../src/kernels';

const GiB = 2 ** 30;
const WORK: Workload = { groups: 2, groupSize: 4, promptTokens: 5, completionTokens: 3 };

it('the models have as many parameters as their cards say', () => {
  expect(MODELS.map(({ name, config }) => [name, countParameters(config)])).toEqual([
    ['SmolLM2-135M', 134_515_008],
    ['Qwen2.5-0.5B', 494_032_768],
    ['Qwen3-0.6B', 596_049_920],
  ]);
});

it('matrices, norms, biases and the tied embedding make up all of a model', () => {
  for (const { config } of MODELS) {
    const { hiddenSize: d, layers, vocabSize, heads, kvHeads, headDim, qkvBias, qkNorm } = config;
    const biases = qkvBias ? layers * (heads + 2 * kvHeads) * headDim : 0;
    const norms = (2 * layers + 1) * d + (qkNorm ? 2 * layers * headDim : 0);
    expect(layerElements(config) + vocabSize * d + norms + biases).toBe(countParameters(config));
  }
});

it('pairs of attention are those that a loop counts', () => {
  const count = (begin: number, end: number) => {
    let pairs = 0;
    for (let token = begin; token < end; token++) for (let seen = 0; seen <= token; seen++) pairs++;
    return pairs;
  };
  for (const [begin, end] of [
    [0, 1],
    [0, 7],
    [3, 9],
    [4, 4],
  ] as const)
    expect(causalPairs(begin, end)).toBe(count(begin, end));
});

describe.each(MODELS)('$name', ({ config }) => {
  it('an adapter has as many elements as the code that trains it reserves', async () => {
    const lora = { rank: 16, alpha: 32, dropout: 0, rslora: false, targets: [...LORA_TARGETS], baseModel: '' };
    let named = 0;
    await measureAllocations(DEFAULT_LIMITS, async (gpu) => {
      const adapter = await Adapter.create(gpu, config, lora);
      named = adapter.named.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    });
    expect(adapterElements(config)).toBe(named);
  });

  it('operations add up token by token', () => {
    const { groups, groupSize, promptTokens: p, completionTokens: c } = WORK;
    const head = 2 * config.hiddenSize * config.vocabSize;
    const attention = (pairs: number) => 4 * config.layers * config.heads * config.headDim * pairs;
    let decode = 0;
    for (let position = p; position < p + c; position++) {
      decode += groups * groupSize * (2 * layerElements(config) + head + attention(position + 1));
    }
    const full = stepFlops(config, WORK, 'full', false);
    expect(full.decode).toBe(decode);
    expect(full.total).toBe(full.prefill + full.decode + full.forward + full.backward);
    // Once more through the layers, and nothing else.
    const again = stepFlops(config, WORK, 'full', true);
    const tokens = groups * groupSize * (p + c);
    const layers = 2 * tokens * layerElements(config) + groups * groupSize * attention(causalPairs(0, p + c));
    expect(again.forward - full.forward).toBe(layers);
    expect(again.backward).toBe(full.backward);
    // No gradients of the weights saves half, which attention and the adapter's own work take a part of.
    const lora = stepFlops(config, WORK, 'lora', false);
    expect(lora.backward / full.backward).toBeGreaterThan(0.5);
    expect(lora.backward / full.backward).toBeLessThan(0.65);
    expect(lora.decode).toBeGreaterThan(full.decode);
  });

  it('sampling reads the weights as often as batches of rollouts fit the cache', () => {
    const one = decodeBytes(config, WORK, 'full', 8) - decodeBytes(config, WORK, 'full', Infinity);
    expect(one).toBe(WORK.completionTokens * 4 * countParameters(config));
    const two = decodeBytes(config, WORK, 'lora', 4) - decodeBytes(config, WORK, 'lora', Infinity);
    expect(two).toBe(2 * WORK.completionTokens * 2 * countParameters(config));
    const sequence = (WORK.promptTokens + WORK.completionTokens) * cacheBytesPerToken(config);
    expect(rolloutsAtOnce(config, WORK, 3 * sequence)).toBe(3);
    expect(rolloutsAtOnce(config, WORK, 3 * sequence - 1)).toBe(2);
    expect(rolloutsAtOnce(config, WORK, 100 * sequence)).toBe(8);
    expect(optimizerBytes(config, 'full')).toBe(28 * countParameters(config));
  });
});

it('the slower of arithmetic and memory decides', () => {
  const machine = { name: '', flops: 1e12, bandwidth: 1e11 };
  expect(roofline(1e12, 0, machine)).toBeCloseTo(1 / COMPUTE_EFFICIENCY, 12);
  expect(roofline(1, 1e11, machine)).toBeCloseTo(1 / BANDWIDTH_EFFICIENCY, 12);
  expect(roofline(1e12, 1e11, machine)).toBe(Math.max(1 / COMPUTE_EFFICIENCY, 1 / BANDWIDTH_EFFICIENCY));
});

it('the plan holds what training needs, and fits what it is given or is none', async () => {
  const [model] = MODELS as [NamedModel];
  const { config } = model;
  const shape = { context: 384, slots: 64, cacheBytes: GiB };
  for (const method of METHODS) {
    const plan = (await planFor(model, method, shape, 64 * GiB))!;
    const trained = method === 'full' ? countParameters(config) : adapterElements(config);
    const { weights, gradients, optimizer, cache } = plan.parts;
    // Tensors begin at multiples of 256 bytes, and AdamW has its tables.
    expect(gradients / (4 * trained)).toBeCloseTo(1, 1);
    expect(optimizer / (8 * trained)).toBeCloseTo(1, 1);
    const kept = (method === 'full' ? 4 : 2) * countParameters(config) + (method === 'lora' ? 4 * trained : 0);
    expect(weights / kept).toBeCloseTo(1, 2);
    expect(cache).toBeLessThanOrEqual(GiB);
    const tight = (await planFor(model, method, shape, plan.bytes - 1))!;
    expect(tight.bytes).toBeLessThan(plan.bytes);
    expect(tight.microBatchTokens < plan.microBatchTokens || tight.recompute).toBe(true);
    expect(await planFor(model, method, shape, weights)).toBeUndefined();
  }
}, 60_000);
