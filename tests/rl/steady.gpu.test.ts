/** @file A run that goes on and on holds no more than after its first steps. */
import { expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import type { TrainingSequence } from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import { Run, lossSettings, resolveConfig } from '../../src/rl';
import { countCalls } from '../counting';

it('60 updates and generations: no byte and no object more, nothing left waiting', async () => {
  const gpu = await acquireNodeGpu();
  const { policy } = await Run.create(gpu, resolveConfig({ env: 'even-digits', memory: { slots: 24 } }));
  const { vocabSize } = policy.config;
  const step = async (seed: number) => {
    const random = new Random(deriveKey(seed));
    const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 1 + random.below(9), stopTokens: [1] };
    const prompts = Array.from({ length: 3 }, () =>
      Array.from({ length: 1 + random.below(12) }, () => random.below(vocabSize)),
    );
    const generated = await Promise.all(
      Array.from({ length: 24 }, async (_, i) => {
        const promptIds = prompts[i % 3]!;
        const { ids, logprobs } = await policy.generator.generate({ promptIds, sampling, key: deriveKey(seed, i) });
        return { promptIds, ids, logprobs };
      }),
    );
    const sequences = generated.map(({ promptIds, ids, logprobs }, i): TrainingSequence => ({
      ids: [...promptIds, ...ids],
      mask: [...promptIds.map(() => 0), ...ids.map(() => 1)],
      oldLogprobs: [...promptIds.map(() => 0), ...logprobs],
      advantage: i % 2 ? 1 : -1,
    }));
    const objective = { loss: 'prime' as const, settings: lossSettings('prime'), temperature: 1 };
    const update = await policy.update(sequences, { ...objective, sequences: 24, maxCompletionLength: 9 }, 1e-4);
    expect(update.finite).toBe(true);
  };
  for (let seed = 0; seed < 10; seed++) await step(seed);
  const before = { ...gpu.stats };
  const bytes = gpu.liveBytes;
  const calls = countCalls(gpu.device);
  for (let seed = 10; seed < 70; seed++) await step(seed);
  calls.stop();
  const { submit, commandBuffers, dispatchWorkgroups, ...made } = calls.counts;
  expect(made).toEqual({});
  expect(submit).toBeGreaterThanOrEqual(120);
  expect(commandBuffers).toBe(submit);
  expect(dispatchWorkgroups).toBeGreaterThan(60);
  expect(gpu.liveBytes).toBe(bytes);
  const { buffers, bufferBytes, bindGroups, pipelines } = gpu.stats;
  expect({ buffers, bufferBytes, bindGroups, pipelines }).toEqual({
    buffers: before.buffers,
    bufferBytes: before.bufferBytes,
    bindGroups: before.bindGroups,
    pipelines: before.pipelines,
  });
  expect(gpu.waiting).toBe(0);
  policy.destroy();
  gpu.destroy();
});
