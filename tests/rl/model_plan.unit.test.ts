import { readFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { DEFAULT_LIMITS } from '../../src/kernels';
import { parseModelConfig } from '../../src/model';
import { planModel } from '../../src/rl';
import type { ModelPlanSettings } from '../../src/rl';

/** Planning a model of 28 layers takes a while on a busy machine. */
vi.setConfig({ testTimeout: 60_000 });

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** Limits of a usual desktop adapter. */
const DESKTOP = { ...DEFAULT_LIMITS, maxBufferSize: 4 * GiB - 4, maxStorageBufferBindingSize: 4 * GiB - 4 };

const configOf = (name: string) =>
  parseModelConfig(JSON.parse(readFileSync(`tests/model/configs/${name}.json`, 'utf8')), name);

const plan = async (name: string, settings: Partial<ModelPlanSettings> = {}, limits = DESKTOP) => {
  const plans = await planModel(limits, configOf(name), { storage: 'bf16', context: 2048, ...settings });
  return Object.fromEntries(plans.map((each) => [each.use, each]));
};

it('SmolLM2-135M: everything fits 4 GiB; sampling and adapters keep the weights in 16 bits', async () => {
  const { inference, lora, full } = await plan('SmolLM2-135M-Instruct');
  expect([inference, lora, full].map((use) => use!.fits)).toEqual([true, true, true]);
  // 134.5 million parameters: 2 bytes each where they are frozen, 4 where they are trained.
  expect(inference!.parts!.weights / 134_515_008).toBeCloseTo(2, 2);
  expect(lora!.parts!.weights).toBeGreaterThan(inference!.parts!.weights);
  expect(full!.parts!.weights / 134_515_008).toBeCloseTo(4, 2);
  expect(full!.parts!.optimizer).toBeGreaterThan(2 * full!.parts!.weights);
  expect(full!.bytes).toBeLessThan(4 * GiB);
  expect(inference!.advice).toBeUndefined();
});

it('Qwen3-0.6B: too large to be trained fully, and says what to do instead', async () => {
  const { inference, lora, full } = await plan('Qwen3-0.6B');
  expect([inference!.fits, lora!.fits, full!.fits]).toEqual([true, true, false]);
  expect(full!.bytes).toBeGreaterThan(9 * GiB); // 0.6 billion parameters, 16 bytes each
  expect(full!.advice).toMatch(
    /^needs [\d.]+ GiB; 4 GiB are assumed \(memory\.budget_mb .*\)\. No settings make it fit: choose a smaller model, or train an adapter \(method = "lora"\)$/,
  );
});

it('says the settings with which a use fits, those that cost least first', async () => {
  const tight = await plan('Qwen3-0.6B', { budgetBytes: 1024 * MiB });
  expect(tight.inference!.fits).toBe(false);
  expect(tight.inference!.advice).toMatch(
    /1 GiB are allowed\. It fits with memory\.cache_mb = 64, .*memory\.base_storage = "q8": \d+ MiB$/,
  );
  expect(tight.full!.advice).toContain('No settings make it fit');
});

it('a device whose buffers are too small for a tensor is named as the reason', async () => {
  const { inference } = await plan('Qwen3-0.6B', {}, { ...DEFAULT_LIMITS, maxBufferSize: 128 * MiB });
  expect(inference!.fits).toBe(false);
  expect(inference!.bytes).toBeUndefined();
  expect(inference!.advice).toMatch(/^exceeds a limit of this device/);
});

it('the least of all devices can sample from SmolLM2-135M: embeddings are bound in pieces', async () => {
  const { inference } = await plan('SmolLM2-135M-Instruct', { budgetBytes: 4 * GiB }, DEFAULT_LIMITS);
  expect(inference!.fits).toBe(true);
});
