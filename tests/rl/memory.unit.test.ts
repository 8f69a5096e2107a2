import { expect, it } from 'vitest';
import { starterFolder } from '../../cli/files';
import { DEFAULT_LIMITS } from '../../src/kernels';
import type { DeviceLimits } from '../../src/kernels';
import { PRESETS, Run, UnfitConfigError, describeParts, resolveConfig } from '../../src/rl';
import type { ConfigLayer, Policy } from '../../src/rl';

const MiB = 2 ** 20;

/** The plan of a run from random weights. */
function plan(layer: ConfigLayer, limits: DeviceLimits = DEFAULT_LIMITS) {
  return Run.plan(limits, resolveConfig({ env: 'reverse-text', start: 'scratch' }, layer));
}

it('every preset keeps its micro batch and its activations, on the least of all devices', async () => {
  expect(Object.keys(PRESETS).length).toBeGreaterThanOrEqual(7);
  for (const env of Object.keys(PRESETS)) {
    const config = resolveConfig({ env });
    const found = await Run.plan(DEFAULT_LIMITS, config, {
      starter: (name) => Promise.resolve(starterFolder(name)),
      folder: () => Promise.reject(new Error('no folder is asked for')),
    });
    expect(found, env).toMatchObject({ microBatchTokens: 4096, recompute: false, budgetBytes: 512 * MiB });
    expect(found.bytes).toBeLessThan(128 * MiB);
    expect(found.bytes).toBe(Object.values(found.parts).reduce((a, b) => a + b, 0));
    expect(found.parts.copies).toBe(0); // every buffer belongs to a part that has a name
  }
});

it('the shorter the memory, the smaller the micro batch; activations are computed again where that is not enough', async () => {
  const model = { layers: 12, hidden_size: 128, intermediate_size: 384, context: 128 };
  const small = { model, memory: { slots: 8, cache_mb: 4 } };
  const cuts: [number, boolean][] = [];
  for (const budget of [900, 300, 130, 90, 75]) {
    const { microBatchTokens, recompute, bytes, budgetBytes } = await plan({
      ...small,
      memory: { ...small.memory, budget_mb: budget },
    });
    expect(budgetBytes).toBe(budget * MiB);
    expect(bytes).toBeLessThanOrEqual(budgetBytes);
    // What would have been faster does not fit.
    const faster: [number, 'on' | 'off'][] = recompute
      ? [[256, 'off'], ...(microBatchTokens < 4096 ? ([[2 * microBatchTokens, 'on']] as [number, 'on'][]) : [])]
      : microBatchTokens < 4096
        ? [[2 * microBatchTokens, 'off']]
        : [];
    for (const [tokens, way] of faster) {
      const optimizer = { micro_batch_tokens: tokens };
      const other = await plan({ ...small, optimizer, memory: { ...small.memory, recompute: way, budget_mb: 4096 } });
      expect(other.bytes, `${tokens} ${way}`).toBeGreaterThan(budgetBytes);
    }
    cuts.push([microBatchTokens, recompute]);
  }
  expect(cuts).toEqual([
    [4096, false],
    [2048, false],
    [512, false],
    [1024, true],
    [256, true],
  ]);
});

it('what is set is not chosen', async () => {
  expect(await plan({ optimizer: { micro_batch_tokens: 300 } })).toMatchObject({
    microBatchTokens: 300,
    recompute: false,
  });
  expect(await plan({ memory: { recompute: 'on' } })).toMatchObject({ microBatchTokens: 4096, recompute: true });
  // A micro batch holds at least one sequence.
  expect(await plan({ optimizer: { micro_batch_tokens: 8 } })).toMatchObject({ microBatchTokens: 64 });
});

it('slots and cache are as the settings say', async () => {
  const parts = async (memory: ConfigLayer) => (await plan({ memory })).parts;
  const [many, few] = [await parts({}), await parts({ slots: 16 })];
  expect(few.cache).toBe(many.cache / 16);
  expect(few.sampler).toBeLessThan(many.sampler);
  expect((await parts({ cache_mb: 1 })).cache).toBe(MiB);
});

it('nothing fits: the error says what is needed, what is there, and what to change', async () => {
  const refused = plan({ memory: { budget_mb: 8 } });
  await expect(refused).rejects.toThrow(UnfitConfigError);
  await expect(refused).rejects.toThrow(
    /This run needs 1\d\.\d MiB of GPU memory even in micro batches of 256 tokens with activations computed again \(weights 304 KiB, gradients 304 KiB, .*\); 8 MiB are allowed by memory\.budget_mb\. Less is needed with .*model\.context.*memory\.slots.*memory\.cache_mb/,
  );
  const huge = plan({ model: { hidden_size: 512, intermediate_size: 2048, layers: 14, head_dim: 64 } });
  await expect(huge).rejects.toThrow(/512 MiB are assumed, since browsers do not say .*memory\.budget_mb/);
});

it('no buffer is larger and no tensor wider than the device allows', async () => {
  const wide = { model: { intermediate_size: 4096 }, memory: { budget_mb: 4096 } };
  expect(await plan(wide)).toMatchObject({ microBatchTokens: 4096 }); // gate and up: 128 MiB, the most that can be bound
  const wider = { model: { intermediate_size: 4100 }, memory: { budget_mb: 4096 } };
  expect(await plan(wider)).toMatchObject({ microBatchTokens: 2048, recompute: false });
  const roomy = { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: 256 * MiB };
  expect(await plan(wider, roomy)).toMatchObject({ microBatchTokens: 4096 });

  const words = Array.from({ length: 40_000 }, (_, i) => `word${i}`);
  const vocabulary = { model: { vocabulary: words, hidden_size: 1024, layers: 1 }, memory: { budget_mb: 65536 } };
  // 156 MiB of embeddings: more than one binding, so they are bound in pieces; parameters fill several buffers.
  expect((await plan(vocabulary, DEFAULT_LIMITS)).parts.weights).toBeGreaterThan(156 * MiB);
  const refused = plan(vocabulary, { ...DEFAULT_LIMITS, maxBufferSize: 128 * MiB });
  await expect(refused).rejects.toThrow(UnfitConfigError);
  await expect(refused).rejects.toThrow(/tensor model\.embed_tokens\.weight .* buffers have at most 128 MiB.*Less is/);
  const narrow = plan(vocabulary, { ...DEFAULT_LIMITS, maxStorageBufferBindingSize: MiB });
  await expect(narrow).rejects.toThrow(/model\.embed_tokens\.weight .* binds at most 1 MiB at once/);
});

it('what the caller reserves besides counts', async () => {
  const config = resolveConfig({ env: 'even-digits' });
  const alone = await Run.plan(DEFAULT_LIMITS, config);
  const alongside = ({ gpu }: Policy) => Promise.resolve(gpu.createBuffer('starting weights', 12_345, 0));
  const both = await Run.plan(DEFAULT_LIMITS, config, undefined, undefined, { alongside });
  expect(both.bytes - alone.bytes).toBe(12_345);
  expect(describeParts(both.parts)).toContain('copies 12.1 KiB');
});
