import { expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import { CharTokenizer, Generator, Weights, tinyText } from '../../src/model';
import type { ModelConfig } from '../../src/model';
import { Policy, planMemory, planModel } from '../../src/rl';
import type { PolicyOptions } from '../../src/rl';
import { ODD, TINY } from '../checks/generation';

const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, maxNorm: 1 };
const text = tinyText(new CharTokenizer('abc'), TINY);

const WORDS: ModelConfig = { ...TINY, vocabSize: 151_936 };

it.each<[string, ModelConfig, Partial<PolicyOptions>]>([
  ['two layers', TINY, {}],
  ['twelve layers', { ...TINY, layers: 12 }, { microBatchTokens: 1024 }],
  [
    'twelve layers with activations computed again',
    { ...TINY, layers: 12 },
    { microBatchTokens: 1024, recompute: true },
  ],
  ['151,936 words, few slots', WORDS, { microBatchTokens: 256, generator: { slots: 16, prefillRows: 32 } }],
  ['awkward sizes, a small cache', ODD, { microBatchTokens: 77, generator: { cacheBytes: 100_000, slots: 5 } }],
])('%s: the plan is what is allocated, to the byte', async (_, config, more) => {
  const options: PolicyOptions = { optimizer: OPTIMIZER, microBatchTokens: 4096, ...more };
  const settings = { microBatchTokens: options.microBatchTokens, recompute: options.recompute ? 'on' : 'off' } as const;
  const gpu = await acquireNodeGpu(); // of its own, without what others left to be used again
  const plan = await planMemory(gpu.device.limits, settings, config.maxPositions, (device, cut) =>
    Policy.create(device, config, text, { ...options, ...cut }),
  );
  const policy = await Policy.create(gpu, config, text, options);
  expect(gpu.liveBytes).toBe(plan.bytes - plan.parts.readback);
  await policy.snapshot();
  policy.destroy();
  expect(gpu.liveBytes).toBe(plan.parts.readback); // what snapshots go through stays, for the next
  gpu.destroy();
});

it('what sampling alone takes is planned as it is allocated, to the byte', async () => {
  const gpu = await acquireNodeGpu();
  const config = { ...TINY, vocabSize: 160, hiddenSize: 64 };
  const settings = { storage: 'bf16', context: 64, slots: 8, cacheBytes: 200_000, cacheStorage: 'f16' } as const;
  const [inference] = await planModel(gpu.device.limits, config, settings);
  const weights = await Weights.create(gpu, { ...config, maxPositions: 64 }, 'parameters', { storage: 'bf16' });
  const generator = await Generator.create(weights, settings);
  expect(gpu.liveBytes).toBe(inference!.bytes);
  expect(inference!.fits).toBe(true);
  generator.destroy();
  weights.destroy();
  expect(gpu.liveBytes).toBe(0);
  gpu.destroy();
});
