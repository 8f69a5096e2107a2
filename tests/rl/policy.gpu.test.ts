import { afterAll, beforeAll, expect, it } from 'vitest';
import { Gpu, GpuLimitError, GpuMemoryError, Submission } from '../../src/kernels';
import {
  CharTokenizer,
  CheckpointError,
  ContextLengthError,
  TrainProgram,
  Weights,
  formatSafetensors,
  initialValues,
  packSequences,
  parseSafetensors,
  readFloats,
  tinyText,
} from '../../src/model';
import type { FileSource, ModelConfig, TrainingSequence } from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import { LOSS_NAMES, Policy, loadModel, lossParameters, lossSettings, referenceLoss } from '../../src/rl';
import type { Objective } from '../../src/rl';
import { deviceShortOfMemory } from '../checks/device';
import { TINY, randomModel } from '../checks/generation';
import { relativeError } from '../checks/report';
import { tokenWeight } from '../checks/surrogate';
import { countCalls } from '../counting';
import { testGpu } from '../gpu';

const tokenizer = new CharTokenizer('abcdefghijklmnopqrstuvwxyz0123456789 ()+=-?.,:;#\n');
const text = tinyText(tokenizer, TINY);
const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, maxNorm: 1 };

let gpu: Gpu;
let policy: Policy;
beforeAll(async () => {
  gpu = await testGpu();
  policy = await Policy.create(gpu, TINY, text, { optimizer: OPTIMIZER, microBatchTokens: 2048 });
});
afterAll(() => policy.destroy());

function reset(seed = 1): void {
  policy.setWeights(initialValues(policy.weights, seed), 'test');
}

/** Sequences of random lengths and ids; half of each carries loss. */
function sequences(count: number, seed: number, longest = 40): TrainingSequence[] {
  const random = new Random(deriveKey(seed));
  return Array.from({ length: count }, () => {
    const length = 2 + random.below(longest - 1);
    return {
      ids: Array.from({ length }, () => random.below(TINY.vocabSize)),
      mask: Array.from({ length }, (_, i) => (i > length / 2 ? 1 : 0)),
      oldLogprobs: Array.from({ length }, () => -4 - random.next()),
      referenceLogprobs: Array.from({ length }, () => -4 - random.next()),
      advantage: random.normal(),
    };
  });
}

const objective = (count: number, loss: Objective['loss'] = 'dapo'): Objective => ({
  loss,
  settings: lossSettings(loss),
  temperature: 1,
  sequences: count,
  maxCompletionLength: 16,
});

it('a policy frees everything it reserved', async () => {
  const before = gpu.liveBytes;
  const other = await Policy.create(gpu, TINY, text, { optimizer: OPTIMIZER, microBatchTokens: 256 });
  expect(gpu.liveBytes).toBeGreaterThan(before);
  other.destroy();
  expect(gpu.liveBytes).toBe(before);
  other.destroy();
  expect(gpu.liveBytes).toBe(before);
});

it('a policy destroyed in the middle of generation frees everything and rejects what it owes', async () => {
  const before = gpu.liveBytes;
  const other = await Policy.create(gpu, TINY, text, { optimizer: OPTIMIZER, microBatchTokens: 256 });
  const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 60, stopTokens: [] };
  const running = other.generator.generate({ promptIds: [1], sampling, key: [0, 0] });
  other.destroy();
  await expect(running).rejects.toThrow('this generator was destroyed');
  expect(gpu.liveBytes).toBe(before);
});

it('whichever allocation fails, those before it are freed', async () => {
  let failing = -1;
  let allocations = 0;
  const device = deviceShortOfMemory(gpu.device, () => allocations++ === failing);
  const small = Gpu.fromDevice(device, 'small');
  const create = () => {
    allocations = 0;
    return Policy.create(small, TINY, text, { optimizer: OPTIMIZER, microBatchTokens: 256 });
  };
  (await create()).destroy();
  const total = allocations;
  // Parameters, gradients, two moments, decay; the programs of update, training, prefill and decode; the sampler's state.
  expect(total).toBe(5 + 4 + TINY.layers + 6);
  for (failing = 0; failing < total; failing++) {
    await expect(create(), `allocation ${failing}`).rejects.toThrow(GpuMemoryError);
    expect(allocations).toBe(failing + 1); // and nothing is tried after it
    expect(small.liveBytes, `after a failure of allocation ${failing}`).toBe(0);
  }
});

it('20 steps of different sizes: one submission each, and not one object made', async () => {
  reset();
  const tokens = new Set<number>();
  await policy.update(sequences(10, 0), objective(10), 1e-3); // the staging buffer of the first readback
  const calls = countCalls(gpu.device);
  for (let step = 1; step <= 20; step++) {
    const batch = sequences(10 + step, step);
    const total = () => batch.reduce((sum, { ids }) => sum + ids.length, 0);
    while (tokens.has(total())) batch.push({ ids: [1, 2], mask: [0, 1] });
    tokens.add(total());
    await policy.update(batch, objective(batch.length), 1e-3);
  }
  calls.stop();
  expect(tokens.size).toBe(20);
  const { submit, commandBuffers, dispatchWorkgroups, ...made } = calls.counts;
  expect([submit, commandBuffers]).toEqual([20, 20]);
  expect(made).toEqual({});
  expect(dispatchWorkgroups! / 20).toBeLessThanOrEqual(75);
});

it('one long and 31 short sequences cost what their tokens cost', async () => {
  const config: ModelConfig = { ...TINY, maxPositions: 1024 };
  const weights = await Weights.create(gpu, config);
  const gradients = await Weights.create(gpu, config, 'gradients');
  const train = await TrainProgram.create(weights, gradients, { tokens: 2048, rows: 2048, sequences: 64 });
  const lengths = [700, ...Array.from({ length: 31 }, (_, i) => 3 + (i % 17))];
  const tokens = lengths.reduce((a, b) => a + b, 0);
  const of = (length: number): TrainingSequence => ({
    ids: new Array<number>(length).fill(7),
    mask: [0, ...new Array<number>(length - 1).fill(1)],
  });
  train.load(packSequences(lengths.map(of), config));
  // Rows that matrix products compute, padding included, against tokens.
  const ragged = train.costs();
  for (const { kernel, workgroups } of ragged.filter((cost) => cost.kernel === 'matmul')) {
    const [, y = 1] = workgroups;
    if (y > 8) expect(y * 32, kernel).toBeLessThanOrEqual(1.3 * tokens); // the others run over weights, not tokens
  }
  // Attention does exactly the pairs that exist.
  const pairs = lengths.reduce((sum, n) => sum + (n * (n + 1)) / 2, 0);
  const flops = (costs: typeof ragged, kernel: string) =>
    costs.filter((cost) => cost.kernel === kernel).reduce((sum, cost) => sum + cost.flops, 0);
  expect(flops(ragged, 'attention')).toBe(config.layers * 4 * pairs * config.heads * config.headDim);
  // Everything else costs what the same tokens cost in equal sequences.
  const count = Math.round(tokens / 33);
  train.load(
    packSequences(
      Array.from({ length: count }, () => of(33)),
      config,
    ),
  );
  const even = train.costs();
  const ratio = (kernel: string) => flops(ragged, kernel) / tokens / (flops(even, kernel) / (count * 33));
  expect(ratio('matmul')).toBeLessThan(1.05);
  train.destroy();
  weights.destroy();
  gradients.destroy();
});

/** The loss in float64, from the log-probabilities and entropies that the policy has now. */
async function expectedLoss({ trainProgram: train }: Policy, batch: TrainingSequence[], wanted: Objective) {
  train.load(packSequences(batch, TINY));
  const submission = new Submission(gpu);
  train.forward(submission);
  const reads = [train.readLogprobs(submission), train.readEntropies(submission)];
  submission.submit();
  const [logprobs, entropies] = (await Promise.all(reads)).map((bytes) => [...new Float32Array(bytes)]);
  let bonus = 0;
  const tokens = batch.reduce((sum, { mask }) => sum + Array.from(mask).filter(Boolean).length, 0);
  const totals = { ...wanted, tokens };
  const parts = batch.map(({ mask, oldLogprobs, referenceLogprobs, advantage }) => {
    const kept = (values: ArrayLike<number>) => Array.from(values).filter((_, i) => mask[i]);
    const old = kept(oldLogprobs!);
    const weight = tokenWeight(wanted.loss, totals, Math.max(1, old.length));
    bonus += weight * entropies!.splice(0, old.length).reduce((sum, value) => sum + value, 0);
    const reference = kept(referenceLogprobs!);
    return { new: logprobs!.splice(0, old.length), old, reference, advantage: advantage as number };
  });
  expect(logprobs).toEqual([]);
  return referenceLoss(wanted.loss, wanted.settings, totals, parts).loss - wanted.settings.entropyCoefficient * bonus;
}

it.each(
  LOSS_NAMES.flatMap((loss) => [
    { loss, label: 'alone', given: {} },
    { loss, label: 'with KL, entropy and two-sided clip', given: { beta: 0.1, entropyCoefficient: 0.02, delta: 1.5 } },
  ]),
)(
  '$loss $label: one micro-batch and four give the same step, and the loss that float64 gives',
  async ({ loss, given }) => {
    const batch = sequences(80, 7, 20);
    const tokens = batch.reduce((sum, { ids }) => sum + ids.length, 0);
    const small = await Policy.create(gpu, TINY, text, {
      optimizer: OPTIMIZER,
      microBatchTokens: Math.ceil(tokens / 3.8),
      generator: { slots: 1 },
    });
    const wanted = { ...objective(batch.length, loss), settings: lossSettings(loss, given) };
    policy.setWeights(initialValues(policy.weights, 1), 'test');
    const expected = await expectedLoss(policy, batch, wanted);
    const results = [];
    for (const each of [policy, small]) {
      each.setWeights(initialValues(each.weights, 1), 'test');
      const before = gpu.stats.submits;
      const report = await each.update(batch, wanted, 1e-3);
      results.push({ report, submits: gpu.stats.submits - before, gradients: await each.gradients.readFlat() });
    }
    small.destroy();
    const [one, four] = results as [(typeof results)[0], (typeof results)[0]];
    expect([one.submits, four.submits]).toEqual([1, 4]);
    expect(relativeError(four.gradients, one.gradients)).toBeLessThan(1e-5);
    for (const { report } of results) {
      expect(Math.abs(report.loss - expected)).toBeLessThan(1e-5 * Math.max(Math.abs(expected), 1));
      // Every metric is a sum over the sequences: none is lost, whatever the micro-batches.
      expect(report.maxLogRatio).toBe(one.report.maxLogRatio);
      expect(report.entropy).toBeCloseTo(one.report.entropy, 4);
      expect(report.mismatchKl).toBeCloseTo(one.report.mismatchKl, 4);
      expect(report.clipFraction).toBeCloseTo(one.report.clipFraction, 6);
    }
    expect(four.report.lossTokens).toBe(one.report.lossTokens);
  },
);

it('logits in chunks give the loss and gradients of logits at once', async () => {
  const weights = await randomModel(gpu, TINY);
  const batch = packSequences(sequences(30, 3), TINY);
  const results: { loss: number; gradients: Float32Array }[] = [];
  for (const [logitsBytes, chunkRows] of [
    [1 << 20, 512],
    [1, 64],
  ] as const) {
    const gradients = await Weights.create(gpu, TINY, 'gradients');
    const train = await TrainProgram.create(weights, gradients, {
      tokens: 1024,
      rows: 512,
      sequences: 64,
      logitsBytes,
    });
    expect(train.tensors.get('logits')!.shape).toEqual([chunkRows, TINY.vocabSize]);
    const totals = { tokens: batch.rows, sequences: batch.sequences, maxCompletionLength: 1 };
    Object.assign(train.loss, lossParameters('sft', lossSettings('sft'), totals));
    train.load(batch);
    const submission = new Submission(gpu);
    train.forward(submission);
    train.backward(submission);
    const metrics = train.readMetrics(submission);
    submission.submit();
    results.push({ loss: new Float32Array(await metrics)[0]!, gradients: await gradients.readFlat() });
    train.destroy();
    gradients.destroy();
  }
  expect(batch.rows).toBeGreaterThan(3 * 64); // several chunks with rows in them, the last one part-filled
  expect(batch.rows % 64).not.toBe(0);
  expect(results[1]!.loss).toBe(results[0]!.loss);
  expect(relativeError(results[1]!.gradients, results[0]!.gradients)).toBeLessThan(1e-6);
  weights.destroy();
});

it('a loss starts near ln(vocabulary) and falls', async () => {
  reset();
  const batch = sequences(30, 11).map((sequence) => ({ ...sequence, ids: Array.from(sequence.ids, (id) => id % 4) }));
  const losses: number[] = [];
  for (let i = 0; i < 15; i++) losses.push((await policy.update(batch, objective(30, 'sft'), 3e-3)).loss);
  expect(losses[0]).toBeGreaterThan(Math.log(TINY.vocabSize) * 0.6);
  expect(losses[0]).toBeLessThan(Math.log(TINY.vocabSize) * 2);
  expect(losses.at(-1)).toBeLessThan(losses[0]! / 2);
});

it('a gradient that is not finite changes nothing: not weights, not moments, not the step count', async () => {
  reset();
  await policy.update(sequences(5, 1), objective(5), 1e-3);
  const before = await policy.snapshot();
  const poisoned = sequences(5, 2).map((sequence, i) => (i === 3 ? { ...sequence, advantage: NaN } : sequence));
  const report = await policy.update(poisoned, objective(5), 1e-3);
  expect(report.finite).toBe(false);
  expect(await policy.snapshot()).toEqual(before);
  expect((await policy.update(sequences(5, 2), objective(5), 1e-3)).finite).toBe(true);
});

it('the same updates give the same bits, also from a snapshot', async () => {
  const run = async (from: number, to: number) => {
    for (let step = from; step < to; step++) await policy.update(sequences(20, step), objective(20), 1e-3);
  };
  reset();
  await run(0, 4);
  const whole = await policy.snapshot();
  reset();
  await run(0, 2);
  const middle = await policy.snapshot();
  await run(2, 3);
  policy.restore(middle);
  await run(2, 4);
  expect(await policy.snapshot()).toEqual(whole);
});

it('an over-long sequence is refused before anything changes', async () => {
  reset();
  const before = await policy.hash();
  const long = { ids: new Array<number>(97).fill(1), mask: new Array<number>(97).fill(0) };
  await expect(policy.update([...sequences(3, 1), long], objective(4), 1e-3)).rejects.toThrow(ContextLengthError);
  expect(await policy.hash()).toBe(before);
});

it('a model that the device cannot hold is refused by the name of its tensor, before anything is made', async () => {
  const before = gpu.liveBytes;
  // Embeddings are bound in pieces; other matrices are not.
  const huge = { ...TINY, intermediateSize: Math.ceil(gpu.device.limits.maxStorageBufferBindingSize / 512) + 1 };
  await expect(Weights.create(gpu, huge)).rejects.toThrow(GpuLimitError);
  await expect(Weights.create(gpu, huge)).rejects.toThrow('tensor model.layers.0.mlp.gate_up.weight');
  expect(gpu.liveBytes).toBe(before);
});

// ---- Checkpoints ----

function folder(files: Map<string, Uint8Array>, name = 'm'): FileSource {
  return { name, read: (file) => Promise.resolve(files.get(file)) };
}

it('an exported model loads bit for bit', async () => {
  reset(5);
  const files = await policy.export();
  expect([...files.keys()].sort()).toEqual([
    'config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
  const loaded = await loadModel(folder(files));
  expect(loaded.text.tokenizer.tokens).toEqual(tokenizer.tokens);
  const hash = await policy.hash();
  reset(6);
  expect(await policy.hash()).not.toBe(hash);
  policy.setWeights(loaded.tensors, 'm');
  expect(await policy.hash()).toBe(hash);
});

it.each<[string, (tensors: Map<string, { shape: number[]; values: Float32Array<ArrayBuffer> }>) => void, string]>([
  ['missing', (t) => t.delete('model.norm.weight'), 'tensor model.norm.weight [64] is missing'],
  [
    'extra',
    (t) => t.set('model.layers.2.mlp.down_proj.weight', { shape: [1], values: new Float32Array(1) }),
    'model.layers.2.mlp.down_proj.weight does not belong',
  ],
  [
    'wrongly shaped',
    (t) => t.set('model.norm.weight', { shape: [8, 8], values: new Float32Array(64) }),
    'tensor model.norm.weight has shape [8, 8], the config wants [64]',
  ],
  ['not finite', (t) => (t.get('model.norm.weight')!.values[3] = NaN), 'tensor model.norm.weight holds NaN at 3'],
])('a checkpoint with a tensor that is %s is refused whole', async (_, spoil, message) => {
  reset(5);
  const hash = await policy.hash();
  const values = initialValues(policy.weights, 9);
  spoil(values);
  expect(() => policy.setWeights(values, 'm')).toThrow(CheckpointError);
  expect(() => policy.setWeights(values, 'm')).toThrow(`m: `);
  expect(() => policy.setWeights(values, 'm')).toThrow(message);
  expect(await policy.hash()).toBe(hash);
});

it.each<[string, (files: Map<string, Uint8Array>) => void, string]>([
  ['config.json missing', (f) => f.delete('config.json'), 'm: config.json is missing'],
  ['config.json is not JSON', (f) => f.set('config.json', Uint8Array.of(123)), 'm/config.json is not JSON'],
  ['model.safetensors missing', (f) => f.delete('model.safetensors'), 'm: model.safetensors is missing'],
  [
    'model.safetensors cut',
    (f) => f.set('model.safetensors', f.get('model.safetensors')!.slice(0, -5)),
    'm/model.safetensors: tensor',
  ],
  ['tokenizer.json missing', (f) => f.delete('tokenizer.json'), 'm: tokenizer.json is missing'],
  [
    'a tokenizer of another size',
    (f) => f.set('tokenizer.json', new TextEncoder().encode(JSON.stringify(new CharTokenizer('ab').toJson()))),
    'tokenizer.json has 9 tokens, config.json says 56',
  ],
  [
    'an index into another folder',
    (f) =>
      f.set('model.safetensors.index.json', new TextEncoder().encode('{"weight_map": {"a": "../../x.safetensors"}}')),
    'tensor a lies in "../../x.safetensors"',
  ],
  [
    'an index without a map',
    (f) => f.set('model.safetensors.index.json', new TextEncoder().encode('{}')),
    'weight_map is missing',
  ],
  [
    'a shard missing',
    (f) => f.set('model.safetensors.index.json', new TextEncoder().encode('{"weight_map": {"a": "x.safetensors"}}')),
    'm: x.safetensors is missing',
  ],
])('a folder with %s is refused by file', async (_, spoil, message) => {
  const files = new Map<string, Uint8Array>(await policy.export());
  spoil(files);
  await expect(loadModel(folder(files))).rejects.toThrow(CheckpointError);
  await expect(loadModel(folder(files))).rejects.toThrow(message);
});

it('shards load like one file', async () => {
  const files = new Map<string, Uint8Array>(await policy.export());
  const whole = parseSafetensors(files.get('model.safetensors')!, 'whole');
  const names = [...whole.entries.keys()];
  const map: Record<string, string> = {};
  [names.slice(0, 5), names.slice(5)].forEach((part, i) => {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    for (const name of part) map[name] = file;
    const tensors = new Map(
      part.map((name) => [name, { shape: whole.entries.get(name)!.shape, values: readFloats(whole, name) }]),
    );
    files.set(file, formatSafetensors(tensors));
  });
  files.delete('model.safetensors');
  files.set('model.safetensors.index.json', new TextEncoder().encode(JSON.stringify({ weight_map: map })));
  const { tensors } = await loadModel(folder(files));
  for (const name of names) expect(tensors.get(name)!.values).toEqual(readFloats(whole, name));
});
