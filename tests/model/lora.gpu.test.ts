/** @file Adapters on the GPU: nothing where B is 0, the same numbers in sampler and trainer, gradients, dropout, switching. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Submission } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import {
  Adapter,
  AdapterSwitch,
  Generator,
  LORA_TARGETS,
  TrainProgram,
  Weights,
  initialAdapter,
  initialValues,
  packSequences,
} from '../../src/model';
import type {
  GeneratedTokens,
  LoadedAdapter,
  LoraConfig,
  ModelConfig,
  Storage,
  TensorValues,
  TrainProgramOptions,
  TrainingSequence,
} from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import { lossParameters, lossSettings } from '../../src/rl';
import { ODD, TINY } from '../checks/generation';
import { relativeError } from '../checks/report';
import { testGpu } from '../gpu';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

const LORA: LoraConfig = { rank: 8, alpha: 12, targets: LORA_TARGETS, dropout: 0, rslora: false, baseModel: null };

/** Llama with heads that are shared, as in tests/oracle/models/llama-tied-gqa; even sizes, so that 16 bits can hold it. */
const GQA: ModelConfig = {
  ...TINY,
  family: 'llama',
  qkNorm: false,
  hiddenSize: 48,
  heads: 6,
  kvHeads: 2,
  headDim: 8,
  intermediateSize: 100,
};

/** Weights that fit 16 bits exactly, kept as asked for. */
async function model(config: ModelConfig, storage: Storage = 'f32'): Promise<Weights> {
  const weights = await Weights.create(gpu, config, 'parameters', { storage });
  const values = initialValues(weights, 3);
  const random = new Random(deriveKey(3, 99));
  for (const [name, each] of values) {
    const wave = name.endsWith('.bias') ? 0.3 : name.includes('norm') ? 0.2 : 0;
    if (wave > 0) each.values = each.values.map((value) => value + wave * random.normal());
    each.values = each.values.map((value) => Math.round(value * 128) / 128);
  }
  weights.write(values, 'random');
  return weights;
}

function randomValues(config: ModelConfig, lora: LoraConfig, seed: number, size = 0.1): TensorValues {
  const random = new Random(deriveKey(seed));
  const values = initialAdapter(config, lora, seed);
  for (const each of values.values()) each.values = each.values.map(() => size * random.normal());
  return values;
}

async function adapterOf(config: ModelConfig, lora: LoraConfig, values: TensorValues): Promise<Adapter> {
  const adapter = await Adapter.create(gpu, config, lora);
  adapter.write(values, 'test');
  return adapter;
}

function sequences(config: ModelConfig, count: number): TrainingSequence[] {
  const random = new Random(deriveKey(17));
  return Array.from({ length: count }, () => {
    const length = 2 + random.below(30);
    return {
      ids: Array.from({ length }, () => random.below(config.vocabSize)),
      mask: Array.from({ length }, (_, i) => Number(i > 0 && i % 3 > 0)),
      oldLogprobs: Array.from({ length }, () => -4 - random.next()),
      advantage: random.normal(),
    };
  });
}

interface Dropout {
  rate: number;
  key: readonly [number, number];
}

/** A supervised pass over parts of a batch whose gradients add up. */
async function pass(
  weights: Weights,
  gradients: Weights | Adapter | null,
  parts: readonly TrainingSequence[][],
  options: Partial<TrainProgramOptions> = {},
  dropout: Dropout = { rate: 0, key: [0, 0] },
) {
  const capacity = { tokens: 512, rows: 512, sequences: 32 };
  const train = await TrainProgram.create(weights, gradients, { ...capacity, ...options, inspect: true });
  const packed = parts.map((part) => packSequences(part, weights.config));
  const rows = packed.reduce((sum, batch) => sum + batch.rows, 0);
  const totals = { tokens: rows, sequences: parts.flat().length, maxCompletionLength: 1 };
  Object.assign(train.loss, lossParameters('sft', lossSettings('sft'), totals));
  gradients?.clear();
  let firstToken = 0;
  let loss = 0;
  const logprobs: number[] = [];
  const logits: number[] = [];
  for (const batch of packed) {
    train.load(batch);
    train.dropout = { ...dropout, firstToken };
    firstToken += batch.tokens;
    const submission = new Submission(gpu);
    train.clearMetrics(submission);
    train.forward(submission);
    const readLogits = submission.read(train.tensors.get('logits')!, batch.rows * weights.config.vocabSize);
    if (gradients) train.backward(submission);
    const reads = [train.readLogprobs(submission), train.readMetrics(submission)] as const;
    submission.submit();
    logprobs.push(...new Float32Array(await reads[0]));
    if (!gradients) logits.push(...new Float32Array(await readLogits));
    loss += new Float32Array(await reads[1])[0]!;
  }
  train.destroy();
  return { loss, logprobs, logits, gradients: gradients && (await gradients.readFlat()) };
}

const SAMPLING = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 24, stopTokens: [] };
const PROMPTS = [[5, 6, 7], [5, 6, 7], [1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20], [9]];

function ask(generator: Generator, seed = 1): Promise<GeneratedTokens[]> {
  return Promise.all(
    PROMPTS.map((promptIds, i) => generator.generate({ promptIds, sampling: SAMPLING, key: [seed, i] })),
  );
}

const nextTask = () => new Promise<void>((resolve) => void setTimeout(resolve, 0));

const said = (replies: readonly GeneratedTokens[]) => replies.map(({ ids, logprobs }) => ({ ids, logprobs }));

it.each<[string, ModelConfig, Storage]>([
  ['TINY', TINY, 'f32'],
  ['awkward sizes with biases', ODD, 'f32'],
  ['shared heads, BF16', GQA, 'bf16'],
  ['shared heads, F16', GQA, 'f16'],
])('%s: an adapter that has just begun changes no bit', async (_, config, storage) => {
  const weights = await model(config, storage);
  const adapter = await adapterOf(config, LORA, initialAdapter(config, LORA, 1));
  const batch = [sequences(config, 8)];
  const plain = await pass(weights, null, batch);
  const adapted = await pass(weights, null, batch, { adapter });
  expect(adapted.logits).toEqual(plain.logits);
  expect(adapted.logprobs).toEqual(plain.logprobs);
  const without = await Generator.create(weights, { slots: 4 });
  const beside = await Generator.create(weights, { slots: 4, adapter });
  expect(said(await ask(beside))).toEqual(said(await ask(without)));
  for (const part of [without, beside, adapter, weights]) part.destroy();
});

it.each<[string, ModelConfig, Storage, Partial<LoraConfig>]>([
  ['TINY', TINY, 'f32', {}],
  ['awkward sizes, rank 3', ODD, 'f32', { rank: 3, targets: ['k_proj', 'o_proj', 'gate_proj'] }],
  ['shared heads, BF16', GQA, 'bf16', { rank: 4 }],
])('%s: what the sampler says of its tokens, the trainer says as well', async (_, config, storage, more) => {
  const lora = { ...LORA, ...more };
  const weights = await model(config, storage);
  const adapter = await adapterOf(config, lora, randomValues(config, lora, 5));
  const generator = await Generator.create(weights, { slots: 4, adapter });
  const replies = await ask(generator);
  const without = await Generator.create(weights, { slots: 4 });
  expect(said(await ask(without))).not.toEqual(said(replies));
  const trained = await pass(
    weights,
    null,
    [
      replies.map(({ ids }, i) => ({
        ids: [...PROMPTS[i]!, ...ids],
        mask: [...PROMPTS[i]!.map(() => 0), ...ids.map(() => 1)],
      })),
    ],
    { adapter },
  );
  const sampled = replies.flatMap(({ logprobs }) => logprobs);
  expect(trained.logprobs).toHaveLength(sampled.length);
  const worst = Math.max(...sampled.map((value, i) => Math.abs(value - trained.logprobs[i]!)));
  expect(worst).toBeLessThanOrEqual(1e-4);
  for (const part of [generator, without, adapter, weights]) part.destroy();
});

describe.each([0, 0.3])('with dropout %d', (rate) => {
  const dropout: Dropout = { rate, key: [11, 12] };
  const options = { dropout: rate > 0 };

  it.each<[string, ModelConfig, Partial<LoraConfig>]>([
    ['Qwen3, q and v', TINY, { targets: ['q_proj', 'v_proj'] }],
    ['awkward sizes, down and gate', ODD, { rank: 3, targets: ['down_proj', 'gate_proj'] }],
    ['everything', GQA, { rank: 5 }],
  ])('%s: gradients are those of finite differences, and 0 elsewhere', async (_, config, more) => {
    const lora = { ...LORA, ...more };
    const weights = await model(config);
    const values = randomValues(config, lora, 7);
    const adapter = await adapterOf(config, lora, values);
    const gradients = await adapter.alike('gradients');
    const batch = [sequences(config, 10)];
    const { gradients: flat } = await pass(weights, gradients, batch, { ...options, adapter }, dropout);
    const named = gradients.split(flat!);
    const moved = (list: Float32Array) => list.filter((value) => value !== 0).length;
    expect(moved(flat!)).toBe([...named.values()].reduce((sum, each) => sum + moved(each.values), 0));

    const random = new Random(deriveKey(23));
    for (const [name, { values: gradient }] of named) {
      // Along a direction that leans to the gradient, so that the loss moves by more than its rounding.
      const length = Math.hypot(...gradient);
      const direction = gradient.map((value) => value / length + (0.5 * random.normal()) / Math.sqrt(gradient.length));
      const lossAt = async (by: number) => {
        const before = values.get(name)!;
        const shifted = before.values.map((value, i) => value + by * direction[i]!);
        adapter.write(new Map(values).set(name, { ...before, values: shifted }), 'shifted');
        return (await pass(weights, gradients, batch, { ...options, adapter }, dropout)).loss;
      };
      const step = 3e-2;
      const numeric = ((await lossAt(step)) - (await lossAt(-step))) / (2 * step);
      const exact = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
      expect(Math.abs(numeric - exact) / Math.max(Math.abs(exact), 1e-3), name).toBeLessThan(2e-2);
    }
    for (const part of [gradients, adapter, weights]) part.destroy();
  });

  it('activations that are computed again give the same bits', async () => {
    const weights = await model(TINY);
    const adapter = await adapterOf(TINY, LORA, randomValues(TINY, LORA, 9));
    const gradients = await adapter.alike('gradients');
    const batch = [sequences(TINY, 12)];
    const of = (recompute: boolean) => pass(weights, gradients, batch, { ...options, adapter, recompute }, dropout);
    const kept = await of(false);
    expect(kept.gradients!.some((value) => value !== 0)).toBe(true);
    expect(await of(true)).toEqual(kept);
    for (const part of [gradients, adapter, weights]) part.destroy();
  });

  it('one micro-batch and four have the same gradient: a token has its mask wherever it is computed', async () => {
    const weights = await model(GQA, 'bf16');
    const adapter = await adapterOf(GQA, LORA, randomValues(GQA, LORA, 9));
    const gradients = await adapter.alike('gradients');
    const all = sequences(GQA, 12);
    const parts = [all.slice(0, 1), all.slice(1, 6), all.slice(6, 10), all.slice(10)];
    const one = await pass(weights, gradients, [all], { ...options, adapter }, dropout);
    const four = await pass(weights, gradients, parts, { ...options, adapter }, dropout);
    expect(relativeError(four.gradients!, one.gradients!)).toBeLessThan(1e-5);
    expect(four.logprobs).toEqual(one.logprobs);
    for (const part of [gradients, adapter, weights]) part.destroy();
  });
});

it('dropout changes what is computed, by its key, and at rate 0 not a bit', async () => {
  const weights = await model(TINY);
  const adapter = await adapterOf(TINY, LORA, randomValues(TINY, LORA, 9));
  const batch = [sequences(TINY, 12)];
  const of = (rate: number, key: [number, number]) =>
    pass(weights, null, batch, { adapter, dropout: true }, { rate, key }).then(({ logprobs }) => logprobs);
  const plain = (await pass(weights, null, batch, { adapter })).logprobs;
  expect(await of(0, [1, 2])).toEqual(plain);
  const dropped = await of(0.5, [1, 2]);
  expect(dropped).not.toEqual(plain);
  expect(await of(0.5, [1, 2])).toEqual(dropped);
  expect(await of(0.5, [1, 3])).not.toEqual(dropped);
  for (const part of [adapter, weights]) part.destroy();
});

it('gradients that do not belong to what is trained are refused', async () => {
  const weights = await model(TINY);
  const adapter = await Adapter.create(gpu, TINY, LORA);
  const capacity = { tokens: 64, rows: 64, sequences: 4 };
  await expect(TrainProgram.create(weights, weights, { ...capacity, adapter })).rejects.toThrow(
    'gradients must be of what is trained',
  );
  await expect(TrainProgram.create(weights, adapter, capacity)).rejects.toThrow('gradients must be of what is trained');
  for (const part of [adapter, weights]) part.destroy();
});

describe('adapters of one base, one after the other', () => {
  let weights: Weights;
  let generator: Generator;
  let adapters: AdapterSwitch;
  let before: number;
  beforeAll(async () => {
    weights = await model(GQA, 'bf16');
    before = gpu.liveBytes;
    generator = await Generator.create(weights, { slots: 4 });
    adapters = new AdapterSwitch(generator);
  });
  afterAll(() => {
    generator.destroy();
    adapters.destroy();
    expect(gpu.liveBytes).toBeLessThanOrEqual(before + 64 * 1024); // what readbacks go through stays
    weights.destroy();
  });

  const loaded = (seed: number, more: Partial<LoraConfig> = {}): LoadedAdapter => {
    const lora = { ...LORA, ...more };
    return { lora, tensors: randomValues(GQA, lora, seed), source: `adapter ${seed}` };
  };
  const fresh = async ({ lora, tensors }: LoadedAdapter) => {
    const adapter = await adapterOf(GQA, lora, tensors);
    const own = await Generator.create(weights, { slots: 4, adapter });
    const replies = said(await ask(own));
    own.destroy();
    adapter.destroy();
    return replies;
  };

  it('each says what it would say if it had been loaded alone, and none is the base', async () => {
    const plain = said(await ask(generator));
    const [one, two, other] = [loaded(1), loaded(2), loaded(3, { rank: 3, alpha: 1, targets: ['q_proj', 'up_proj'] })];
    for (const adapter of [one, two, other, one, undefined, two]) {
      await adapters.use(adapter);
      expect(adapters.current).toBe(adapter);
      expect(said(await ask(generator))).toEqual(adapter ? await fresh(adapter) : plain);
    }
    expect(said(await ask(generator))).not.toEqual(plain);
  });

  it('forgets what was cached under another adapter', async () => {
    await adapters.use(loaded(1));
    const [first] = await ask(generator);
    const promptIds = [...PROMPTS[0]!, ...first!.ids, 4];
    const request = { promptIds, sampling: SAMPLING, key: [4, 4] as const, continues: first!.cacheId };
    const two = loaded(2);
    await adapters.use(two);
    const hits = generator.stats.prefixHits;
    const reply = await generator.generate(request);
    expect(generator.stats.prefixHits).toBe(hits);
    const adapter = await adapterOf(GQA, two.lora, two.tensors);
    const own = await Generator.create(weights, { slots: 4, adapter });
    expect(said([await own.generate(request)])).toEqual(said([reply]));
    own.destroy();
    adapter.destroy();
  });

  it('takes no memory for those that are not in use', async () => {
    const alone = loaded(1, { rank: 16 });
    await adapters.use(alone);
    const bytes = gpu.liveBytes;
    for (const seed of [2, 3, 4]) await adapters.use(loaded(seed, { rank: seed }));
    await adapters.use(alone);
    expect(gpu.liveBytes).toBe(bytes);
  });

  it('waits for nobody: with sequences in flight it is refused, and what is asked meanwhile waits for it', async () => {
    await adapters.use(loaded(1));
    const running = ask(generator);
    await expect(adapters.use(loaded(2, { rank: 4 }))).rejects.toThrow('weights changed while sequences were running');
    await expect(adapters.use(loaded(2))).rejects.toThrow('weights changed while sequences were running');
    expect(said(await running)).toEqual(await fresh(loaded(1)));
    const changed = adapters.use(loaded(2, { rank: 4 }));
    const asked = nextTask().then(() => ask(generator));
    await changed;
    expect(said(await asked)).toEqual(await fresh(loaded(2, { rank: 4 })));
  });

  it('one that does not fit is refused, and the one before stays', async () => {
    const good = loaded(1);
    await adapters.use(good);
    const broken = loaded(2);
    broken.tensors.delete([...broken.tensors.keys()][3]!);
    await expect(adapters.use(broken)).rejects.toThrow('is missing');
    const wrong = loaded(2, { rank: 4 });
    await expect(adapters.use({ ...wrong, lora: { ...wrong.lora, rank: 2 } })).rejects.toThrow('has shape');
    expect(adapters.current).toBe(good);
    expect(said(await ask(generator))).toEqual(await fresh(good));
  });
});
