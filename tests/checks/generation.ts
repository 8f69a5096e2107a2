/**
 * @file Generation: the same bits alone, in a batch and at any slot; prompts computed once; finished sequences cost
 * nothing; sampler and trainer agree.
 */
import { Submission } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { Generator, TrainProgram, Weights, initialValues, packSequences } from '../../src/model';
import type {
  CacheStorage,
  GeneratedTokens,
  GenerationRequest,
  ModelConfig,
  Storage,
  TokenSampling,
} from '../../src/model';
import { PURPOSE, Random, deriveKey } from '../../src/random';
import type { Check, CheckCase } from './report';

export const TINY: ModelConfig = {
  family: 'qwen3',
  vocabSize: 56,
  hiddenSize: 64,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediateSize: 128,
  rmsNormEps: 1e-6,
  ropeTheta: 1000,
  maxPositions: 96,
  tiedEmbeddings: true,
  qkvBias: false,
  qkNorm: true,
};

/** Awkward sizes: nothing is a multiple of 4 or of a power of two. */
export const ODD: ModelConfig = {
  ...TINY,
  family: 'qwen2',
  vocabSize: 53,
  hiddenSize: 30,
  heads: 3,
  kvHeads: 1,
  headDim: 10,
  intermediateSize: 41,
  tiedEmbeddings: false,
  qkvBias: true,
  qkNorm: false,
};

/** Random weights, with embeddings large enough that distributions are neither flat nor certain. */
export async function randomModel(gpu: Gpu, config: ModelConfig, seed = 3, storage: Storage = 'f32'): Promise<Weights> {
  const weights = await Weights.create(gpu, config, 'parameters', { storage });
  const values = initialValues(weights, seed);
  const random = new Random(deriveKey(seed, 99));
  for (const [name, { values: data }] of values) {
    if (name.endsWith('.bias')) for (let i = 0; i < data.length; i++) data[i] = 0.3 * random.normal();
    if (name.includes('norm')) for (let i = 0; i < data.length; i++) data[i] = 1 + 0.2 * random.normal();
  }
  weights.write(values, 'random');
  return weights;
}

const SAMPLING: TokenSampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 12, stopTokens: [2] };

/** 64 requests of different prompts, lengths and settings. */
function mixedRequests(config: ModelConfig, count: number): GenerationRequest[] {
  const random = new Random(deriveKey(5));
  return Array.from({ length: count }, (_, i) => ({
    promptIds: Array.from({ length: 1 + random.below(40) }, () => random.below(config.vocabSize)),
    key: deriveKey(1, PURPOSE.sampling, i),
    sampling: {
      ...SAMPLING,
      maxTokens: 1 + random.below(30),
      temperature: [1, 0.7, 0, 1.3][i % 4]!,
      topK: i % 5 === 0 ? 7 : 0,
      topP: i % 3 === 0 ? 0.9 : 1,
      minP: i % 7 === 0 ? 0.02 : 0,
    },
  }));
}

function differences(a: GeneratedTokens, b: GeneratedTokens): number {
  const bits = (values: number[]) => new Uint32Array(Float32Array.from(values).buffer);
  if (a.ids.length !== b.ids.length || a.finishReason !== b.finishReason) return 1;
  const [x, y] = [bits(a.logprobs), bits(b.logprobs)];
  return a.ids.filter((id, i) => id !== b.ids[i] || x[i] !== y[i]).length;
}

const batchInvariance: Check = {
  name: 'generation: tokens and log-probabilities bit-equal alone, among 64 and at any slot',
  async run(gpu) {
    const cases: CheckCase[] = [];
    const models: [name: string, config: ModelConfig, storage: Storage, cacheStorage: CacheStorage][] = [
      ['tiny', TINY, 'f32', 'f32'],
      ['odd', ODD, 'f32', 'f32'],
      ['tiny in q8, cache in f16', TINY, 'q8', 'f16'],
      ['odd, cache in f16', ODD, 'f32', 'f16'],
    ];
    for (const [name, config, storage, cacheStorage] of models) {
      const weights = await randomModel(gpu, config, 3, storage);
      const requests = mixedRequests(config, 64);
      const generator = await Generator.create(weights, { slots: 64, cacheStorage });
      const together = await Promise.all(requests.map((request) => generator.generate(request)));
      generator.invalidate();
      // Another order gives every sequence another slot and other neighbours.
      const reversed = await Promise.all(requests.toReversed().map((request) => generator.generate(request)));
      generator.destroy();
      // Few slots and few steps per submission: sequences wait, and prompts are cut into chunks.
      const narrow = await Generator.create(weights, { slots: 3, steps: 2, prefillRows: 16, cacheStorage });
      const queued = await Promise.all(requests.map((request) => narrow.generate(request)));
      narrow.destroy();
      const single = await Generator.create(weights, { slots: 1, cacheStorage });
      const alone: GeneratedTokens[] = [];
      for (const request of requests) alone.push(await single.generate(request));
      single.destroy();
      weights.destroy();
      const count = (other: GeneratedTokens[]) =>
        other.reduce((sum, tokens, i) => sum + differences(alone[i]!, tokens), 0);
      cases.push({ name: `${name}: among 64`, error: count(together), tolerance: 0 });
      cases.push({ name: `${name}: other slots`, error: count(reversed.toReversed()), tolerance: 0 });
      cases.push({ name: `${name}: queued, chunked`, error: count(queued), tolerance: 0 });
      const lengths = new Set(alone.map(({ ids }) => ids.length)).size;
      cases.push({ name: `${name}: too few different lengths to mean much`, error: lengths > 5 ? 0 : 1, tolerance: 0 });
    }
    return cases;
  },
};

const logitBits: Check = {
  name: 'generation: every logit bit-equal alone, among 64 and in prefill or decode',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const [name, config] of Object.entries({ tiny: TINY, odd: ODD })) {
      const weights = await randomModel(gpu, config);
      const random = new Random(deriveKey(8));
      const ids = Array.from({ length: 64 }, () => Array.from({ length: 20 }, () => random.below(config.vocabSize)));
      const generator = await Generator.create(weights, { slots: 64, prefillRows: 64 * 20 });
      const greedy = { ...SAMPLING, temperature: 0, maxTokens: 1, stopTokens: [] };
      const ask = (promptIds: number[], continues?: number) =>
        generator.generate({ promptIds, sampling: greedy, key: [0, 0], continues });
      const readLogits = async (rows: number) => {
        const submission = new Submission(gpu);
        const bytes = submission.read(generator.logits, rows * config.vocabSize);
        submission.submit();
        return new Uint32Array(await bytes);
      };
      await Promise.all(ids.map((prompt) => ask(prompt)));
      const batch = await readLogits(64);
      let different = 0;
      for (const [i, prompt] of ids.entries()) {
        generator.invalidate();
        // All but the last token first, then the last one on top of the cache: the decode shape.
        const first = await ask(prompt.slice(0, -1));
        await ask(prompt, first.cacheId);
        const alone = await readLogits(1);
        different += alone.filter((word, v) => word !== batch[i * config.vocabSize + v]).length;
      }
      generator.destroy();
      weights.destroy();
      cases.push({ name: `${name}: logits that differ`, error: different, tolerance: 0 });
      // Bits that are all the same would say nothing.
      const values = new Set(batch).size / batch.length;
      cases.push({ name: `${name}: logits that are copies of others`, error: 1 - values, tolerance: 0.1 });
    }
    return cases;
  },
};

const groupCosts: Check = {
  name: 'generation: a group computes its prompt once, finished sequences cost nothing',
  async run(gpu) {
    const weights = await randomModel(gpu, TINY);
    const generator = await Generator.create(weights, { slots: 256 });
    const random = new Random(deriveKey(6));
    const prompts = Array.from({ length: 16 }, () =>
      Array.from({ length: 3 + random.below(45) }, () => random.below(56)),
    );
    const submitsBefore = gpu.stats.submits;
    // Every rollout may stop at one of four tokens, and half of them earlier than the others.
    const stopTokens = [2, 3, 4, 5];
    const tokens = await Promise.all(
      prompts.flatMap((promptIds, g) =>
        Array.from({ length: 8 }, (_, r) => {
          const maxTokens = r % 2 === 0 ? 24 : 1 + ((5 * g + 3 * r) % 24);
          return generator.generate({
            promptIds,
            sampling: { ...SAMPLING, maxTokens, stopTokens },
            key: deriveKey(2, g, r),
          });
        }),
      ),
    );
    const submits = gpu.stats.submits - submitsBefore;
    const { prefillTokens, decodeRowSteps, sampledTokens } = generator.stats;
    const kept = tokens.reduce((sum, { ids }) => sum + ids.length, 0);
    const promptTokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
    const replies = new Set(tokens.slice(0, 8).map(({ ids }) => ids.join())).size;
    const lengths = tokens.map(({ ids }) => ids.length);
    const stopped = tokens.filter(({ finishReason }) => finishReason === 'stop').length;
    generator.destroy();
    weights.destroy();
    return [
      {
        name: 'prefilled tokens beyond one prompt per group',
        error: Math.abs(prefillTokens - promptTokens),
        tolerance: 0,
      },
      // The prefill samples each sequence's first token, every other one costs one row of one step, and no more.
      {
        name: 'decode row-steps beyond one per further token kept',
        error: Math.abs(decodeRowSteps - (kept - tokens.length)),
        tolerance: 0,
      },
      { name: 'decode row-steps over tokens kept', error: decodeRowSteps / kept, tolerance: 1.25 },
      { name: 'rollouts short of 30 that stopped by a token', error: Math.max(0, 30 - stopped), tolerance: 0 },
      {
        name: 'different lengths short of 15',
        error: Math.max(0, 15 - new Set(lengths).size),
        tolerance: 0,
      },
      { name: 'sampled tokens that were not returned', error: sampledTokens - kept, tolerance: 0 },
      // 24 tokens: one from the prefill, 23 in submissions of eight steps, the first of them with the prefill.
      { name: 'submissions for 24 tokens of 128 rollouts', error: submits, tolerance: 3 },
      { name: 'rollouts of a group must differ', error: replies > 1 ? 0 : 1, tolerance: 0 },
    ];
  },
};

const samplerAgainstTrainer: Check = {
  name: 'generation: sampler and trainer agree on log-probabilities over 10,000 tokens of multi-turn groups',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const temperature of [0.7, 1]) cases.push(...(await agreement(gpu, TINY, temperature, 32, 5000)));
    return cases;
  },
};

/** What 16 bits for keys and values cost in agreement: their 11 bits, not more. */
const halfCache: Check = {
  name: 'generation: with keys and values in 16 bits sampler and trainer agree up to their rounding',
  run: (gpu) => agreement(gpu, TINY, 1, 8, 1000, { cacheStorage: 'f16', tolerance: 0.02 }),
};

/** Heads wider than the 64 lanes of the paged attention, which then own two dimensions each. */
const wideHeads: Check = {
  name: 'generation: sampler and trainer agree on log-probabilities with heads of 80 and 128',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const headDim of [80, 128]) {
      const config = { ...TINY, heads: 2, kvHeads: 1, headDim };
      cases.push(...(await agreement(gpu, config, 1, 6, 300)));
    }
    return cases;
  },
};

/**
 * Conversations of three turns, sampled in groups of eight with cached prefixes; then the trainer's view of every
 * sampled token.
 * @param groups prompts, each with eight rollouts
 * @param least tokens that must have been compared
 */
async function agreement(
  gpu: Gpu,
  config: ModelConfig,
  temperature: number,
  groups: number,
  least: number,
  { cacheStorage = 'f32', tolerance = 1e-4 }: { cacheStorage?: CacheStorage; tolerance?: number } = {},
): Promise<CheckCase[]> {
  const weights = await randomModel(gpu, config);
  const gradients = await Weights.create(gpu, config, 'gradients');
  const generator = await Generator.create(weights, { slots: 256, cacheStorage });
  const random = new Random(deriveKey(9));
  const prompts = Array.from({ length: groups }, () =>
    Array.from({ length: 4 + random.below(20) }, () => random.below(config.vocabSize)),
  );
  const sampling = { ...SAMPLING, temperature, maxTokens: 20, stopTokens: [2, 3] };
  const sequences = await Promise.all(
    prompts.flatMap((prompt, g) =>
      Array.from({ length: 8 }, async (_, r) => {
        const ids = [...prompt];
        const mask = prompt.map(() => 0);
        const old = prompt.map(() => 0);
        let continues: number | undefined;
        for (let turn = 0; turn < 3; turn++) {
          const reply = await generator.generate({
            promptIds: [...ids],
            sampling: { ...sampling, maxTokens: Math.min(20, config.maxPositions - ids.length - 1) },
            key: deriveKey(4, g, r),
            continues,
          });
          ids.push(...reply.ids);
          mask.push(...reply.ids.map(() => 1));
          old.push(...reply.logprobs);
          continues = reply.cacheId;
          const tool = [6, 7 + ((g + turn) % 30), 5];
          if (ids.length + tool.length + 20 >= config.maxPositions) break;
          ids.push(...tool);
          mask.push(0, 0, 0);
          old.push(0, 0, 0);
        }
        return { ids, mask, oldLogprobs: old };
      }),
    ),
  );
  const packed = packSequences(sequences, config);
  const { tokens, rows } = packed;
  const train = await TrainProgram.create(weights, gradients, { tokens, rows, sequences: packed.sequences });
  train.temperature = temperature;
  train.load(packed);
  const submission = new Submission(gpu);
  train.forward(submission);
  const read = train.readLogprobs(submission);
  submission.submit();
  const trained = new Float32Array(await read);
  let worst = 0;
  trained.forEach((value, row) => (worst = Math.max(worst, Math.abs(value - packed.behaviour[row * 3]!))));
  const { prefixHits } = generator.stats;
  generator.destroy();
  train.destroy();
  gradients.destroy();
  weights.destroy();
  const name = `heads of ${config.headDim}, T=${temperature}, cache in ${cacheStorage}`;
  return [
    { name: `${name}: largest |difference| of ${rows} tokens`, error: worst, tolerance },
    { name: `${name}: tokens short of ${least}`, error: Math.max(0, least - rows), tolerance: 0 },
    { name: `${name}: no cached prefix was used`, error: prefixHits > 0 ? 0 : 1, tolerance: 0 },
  ];
}

export const generationChecks: Check[] = [
  batchInvariance,
  logitBits,
  groupCosts,
  samplerAgainstTrainer,
  halfCache,
  wideHeads,
];
