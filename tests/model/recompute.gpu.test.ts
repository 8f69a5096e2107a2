import { beforeAll, expect, it } from 'vitest';
import { LOSS_METRICS, Submission, measureAllocations } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { TrainProgram, Weights, packSequences } from '../../src/model';
import type { ModelConfig, TrainingSequence } from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import { lossParameters, lossSettings } from '../../src/rl';
import { ODD, TINY, randomModel } from '../checks/generation';
import { testGpu } from '../gpu';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

function sequences(config: ModelConfig, count: number): TrainingSequence[] {
  const random = new Random(deriveKey(17));
  return Array.from({ length: count }, () => {
    const length = 2 + random.below(40);
    return {
      ids: Array.from({ length }, () => random.below(config.vocabSize)),
      mask: Array.from({ length }, (_, i) => Number(i > 0 && i % 3 > 0)),
      oldLogprobs: Array.from({ length }, () => -4 - random.next()),
      advantage: random.normal(),
    };
  });
}

it.each([
  ['2 layers, Qwen3', TINY],
  ['5 layers, Qwen2 with awkward sizes', { ...ODD, layers: 5 }],
])('%s: activations that are computed again give the same bits as those that were kept', async (_, config) => {
  const weights = await randomModel(gpu, config);
  const parts = [sequences(config, 12), sequences(config, 7)].map((part) => packSequences(part, config));
  const results = [];
  for (const recompute of [false, true]) {
    const gradients = await Weights.create(gpu, config, 'gradients');
    const train = await TrainProgram.create(weights, gradients, { tokens: 512, rows: 512, sequences: 32, recompute });
    const totals = { tokens: 300, sequences: 19, maxCompletionLength: 1 };
    Object.assign(train.loss, lossParameters('dapo', lossSettings('dapo', { entropyCoefficient: 0.01 }), totals));
    const logprobs: ArrayBuffer[] = [];
    let metrics: ArrayBuffer | undefined;
    for (const part of parts) {
      train.load(part);
      const submission = new Submission(gpu);
      train.forward(submission);
      train.backward(submission);
      const reads = [train.readLogprobs(submission), train.readMetrics(submission)] as const;
      submission.submit();
      logprobs.push(await reads[0]);
      metrics = await reads[1];
    }
    results.push({ gradients: await gradients.readFlat(), logprobs, metrics, flops: flopsOf(train) });
    train.destroy();
    gradients.destroy();
  }
  weights.destroy();
  const [kept, again] = results as [(typeof results)[0], (typeof results)[0]];
  expect(kept.gradients.some((value) => value !== 0)).toBe(true);
  expect(new Float32Array(kept.metrics!)).toHaveLength(LOSS_METRICS.length);
  const { flops: fewer, ...bits } = kept;
  const { flops: more, ...same } = again;
  expect(same).toEqual(bits);
  // Every layer's forward once more, without its last product: less than a third again.
  expect(more / fewer).toBeGreaterThan(1.1);
  expect(more / fewer).toBeLessThan(4 / 3);
});

function flopsOf(train: TrainProgram): number {
  return train.costs().reduce((sum, { flops }) => sum + flops, 0);
}

/** Shaped like SmolLM2-135M, with fewer layers and words. */
const TWELVE: ModelConfig = {
  ...TINY,
  family: 'llama',
  qkNorm: false,
  vocabSize: 4096,
  hiddenSize: 576,
  layers: 12,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  intermediateSize: 1536,
  maxPositions: 512,
};

it('12 layers need a fraction of the memory when their activations are computed again', async () => {
  const tokens = 4096;
  const programBytes = async (layers: number, recompute: boolean) => {
    const allocations = await measureAllocations(gpu.device.limits, async (dry) => {
      const weights = await Weights.create(dry, { ...TWELVE, layers });
      const gradients = await Weights.create(dry, { ...TWELVE, layers }, 'gradients');
      await TrainProgram.create(weights, gradients, { tokens, rows: tokens, sequences: tokens, recompute });
    });
    return allocations.filter(({ label }) => label.startsWith('train')).reduce((sum, { bytes }) => sum + bytes, 0);
  };
  const [kept, again] = [await programBytes(12, false), await programBytes(12, true)];
  expect(kept / 2 ** 20).toBeCloseTo(1858, 0);
  expect(again / 2 ** 20).toBeCloseTo(338, 0);
  // One more layer costs its input; the last 1% are its dispatches' uniforms.
  const layerInput = tokens * TWELVE.hiddenSize * 4;
  expect((again - (await programBytes(11, true))) / layerInput).toBeLessThan(1.01);
  expect((kept - (await programBytes(11, false))) / layerInput).toBeGreaterThan(15);
});
