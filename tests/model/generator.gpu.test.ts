/** @file What generation refuses, how it is cancelled, and what it keeps between turns. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ContextLengthError, Generator, NonFiniteLogitsError, Weights, initialValues } from '../../src/model';
import type { GenerationRequest } from '../../src/model';
import { TINY, randomModel } from '../checks/generation';
import { testGpu } from '../gpu';

let weights: Weights;
/** One generator for everything that is refused: it goes on after each. */
let refusing: Generator;
beforeAll(async () => {
  weights = await randomModel(await testGpu(), TINY);
  refusing = await Generator.create(weights, { slots: 4 });
});
afterAll(() => {
  refusing.destroy();
  weights.destroy();
});

const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 20, stopTokens: [] };
const request = (more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  promptIds: [5, 6, 7],
  sampling,
  key: [1, 2],
  ...more,
});

/**
 * Waits until so many tokens have been sampled: a moment in the middle of generation, whatever the machine's speed.
 * @param requests those in flight: when one fails first, or all are done, so does this
 */
async function sampled(generator: Generator, tokens: number, requests: readonly Promise<unknown>[]): Promise<void> {
  let over = false;
  const end = Promise.all(requests).finally(() => (over = true));
  const wait = async () => {
    while (!over && generator.stats.sampledTokens < tokens) await new Promise(setImmediate);
  };
  await Promise.race([end, wait()]);
  expect(generator.stats.sampledTokens).toBeGreaterThanOrEqual(tokens);
}

it.each([
  [request({ promptIds: [] }), RangeError, 'an empty prompt'],
  [request({ promptIds: [1, 56] }), RangeError, 'prompt token 1: id 56 of a vocabulary of 56'],
  [request({ promptIds: [1.5] }), RangeError, 'prompt token 0: id 1.5'],
  ...(
    [
      ['maxTokens', 0, 'a whole number, at least 1'],
      ['maxTokens', 2.5, 'a whole number, at least 1'],
      ['maxTokens', NaN, 'a whole number, at least 1'],
      ['temperature', -1, '0 or a positive number'],
      ['temperature', NaN, '0 or a positive number'],
      ['temperature', Infinity, '0 or a positive number'],
      ['topK', -1, 'a whole number, 0 for off'],
      ['topK', 1.5, 'a whole number, 0 for off'],
      ['topK', NaN, 'a whole number, 0 for off'],
      ['topK', 2 ** 32, 'a whole number, 0 for off'],
      ['topP', 0, 'above 0 and at most 1'],
      ['topP', 1.1, 'above 0 and at most 1'],
      ['topP', NaN, 'above 0 and at most 1'],
      ['minP', -0.1, 'from 0 to 1'],
      ['minP', 1.1, 'from 0 to 1'],
      ['minP', NaN, 'from 0 to 1'],
    ] as const
  ).map(
    ([name, value, wanted]) =>
      [
        request({ sampling: { ...sampling, [name]: value } }),
        RangeError,
        `${name} is ${value}; it must be ${wanted}`,
      ] as const,
  ),
  [
    request({ sampling: { ...sampling, maxTokens: 94 } }),
    ContextLengthError,
    "prompt of 3 tokens + 94 to generate = 97; this model's context is 96",
  ],
  [request({ sampling: { ...sampling, stopTokens: [1, 2, 3, 4, 5] } }), RangeError, 'at most 4 stop tokens'],
] as const)('refuses request %# and goes on', async (bad, type, message) => {
  const good = refusing.generate(request({ sampling: { ...sampling, maxTokens: 2 } }));
  await expect(refusing.generate(bad)).rejects.toThrow(type);
  await expect(refusing.generate(bad)).rejects.toThrow(message);
  expect((await good).ids).toHaveLength(2);
});

/** Room for so many pages of 16 tokens: keys and values of two layers, 2 heads of 16, f32. */
const cacheBytes = (pages: number) => pages * 2 * 2 * 16 * 32 * 4;

it('refuses what its cache can never hold', async () => {
  const small = await Generator.create(weights, { slots: 4, cacheBytes: cacheBytes(2) });
  await expect(small.generate(request())).resolves.toBeDefined();
  const long = request({ sampling: { ...sampling, maxTokens: 60 } });
  await expect(small.generate(long)).rejects.toThrow('63 tokens do not fit the key-value cache of 32 tokens');
  small.destroy();
});

it(
  'a kept prefix that the next request names but does not continue makes room for it',
  { timeout: 20_000 },
  async () => {
    const small = await Generator.create(weights, { slots: 4, cacheBytes: cacheBytes(2) });
    const first = await small.generate(request()); // 22 tokens cached: both pages
    const other = request({ promptIds: [9, 8, 7, 6], continues: first.cacheId });
    const fresh = await Generator.create(weights, { slots: 4 });
    expect((await small.generate(other)).ids).toEqual((await fresh.generate(other)).ids);
    expect(small.stats.prefixHits).toBe(0);
    small.destroy();
    fresh.destroy();
  },
);

it('pages that several kept sequences share are one page each when room is made', { timeout: 20_000 }, async () => {
  const small = await Generator.create(weights, { slots: 8, cacheBytes: cacheBytes(8) });
  const prompt = Array.from({ length: 17 }, (_, i) => i); // one full page, shared, and one more each
  const ask = (promptIds: number[], count: number, maxTokens: number) =>
    Promise.all(
      Array.from({ length: count }, (_, i) =>
        small.generate(request({ promptIds, key: [i, 0], sampling: { ...sampling, maxTokens } })),
      ),
    );
  await ask(prompt, 4, 5);
  // Five of two pages are more than eight: the four kept prefixes hold five pages, though their lists name eight.
  const replies = await ask([1, 2, 3], 5, 20);
  expect(replies.map(({ ids }) => ids.length)).toEqual([20, 20, 20, 20, 20]);
  small.destroy();
});

it('a group larger than the machine is split and finished all the same', async () => {
  const narrow = await Generator.create(weights, { slots: 3 });
  const wide = await Generator.create(weights, { slots: 16 });
  const ask = (generator: Generator) =>
    Promise.all(Array.from({ length: 10 }, (_, i) => generator.generate(request({ key: [i, 0] }))));
  const ids = (tokens: { ids: number[] }[]) => tokens.map((each) => each.ids);
  expect(ids(await ask(narrow))).toEqual(ids(await ask(wide)));
  expect(wide.stats.prefillTokens).toBe(3);
  narrow.destroy();
  wide.destroy();
});

it('stops at stop tokens and at the limit', async () => {
  const generator = await Generator.create(weights, { slots: 4 });
  const free = await generator.generate(request());
  expect(free).toMatchObject({ finishReason: 'length' });
  const stop = free.ids[7]!;
  const stopped = await generator.generate(request({ sampling: { ...sampling, stopTokens: [stop] } }));
  expect(stopped.finishReason).toBe('stop');
  expect(stopped.ids).toEqual(free.ids.slice(0, free.ids.indexOf(stop) + 1));
  generator.destroy();
});

it('a cancel ends one sequence, at once, and leaves the others', async () => {
  const generator = await Generator.create(weights, { slots: 4, steps: 1 });
  const controller = new AbortController();
  const other = generator.generate(request({ sampling: { ...sampling, maxTokens: 60 } }));
  const cancelled = generator.generate(request({ key: [3, 3], signal: controller.signal }));
  const queuedNever = AbortSignal.abort(new Error('too late'));
  await expect(generator.generate(request({ signal: queuedNever }))).rejects.toThrow('too late');
  await sampled(generator, 8, [other, cancelled]);
  controller.abort(new Error('enough'));
  await expect(cancelled).rejects.toThrow('enough');
  expect((await other).ids).toHaveLength(60);
  generator.destroy();
});

it('long replies: the next steps are submitted before the last ones are read, but not where somebody waits', async () => {
  const { gpu } = weights;
  const long = request({ sampling: { ...sampling, maxTokens: 12 } });
  /** How many submissions were not read yet, each time one is; two steps in each. */
  const unread = async (...others: GenerationRequest[]) => {
    const generator = await Generator.create(weights, { slots: 1, steps: 2 });
    const before = gpu.stats.submits;
    const counts: number[] = [];
    const onTokens = () => counts.push(gpu.stats.submits - before - counts.length);
    const replies = await Promise.all([{ ...long, onTokens }, ...others].map((each) => generator.generate(each)));
    generator.destroy();
    return { counts, ids: replies[0]!.ids };
  };
  const alone = await unread();
  // Three tokens come first, then two at a time; the last submission has none after it.
  expect(alone.counts).toEqual([1, 2, 2, 2, 2, 1]);
  const awaited = await unread(request({ key: [7, 7], sampling: { ...sampling, maxTokens: 2 } }));
  expect(awaited.counts).toEqual([1, 1, 1, 1, 1, 1]);
  expect(awaited.ids).toEqual(alone.ids);
});

it('continues a conversation from its cache, and from nothing when the cache is gone: the same tokens', async () => {
  const generator = await Generator.create(weights, { slots: 4 });
  const first = await generator.generate(request());
  const promptIds = [5, 6, 7, ...first.ids, 9, 10];
  const before = generator.stats.prefillTokens;
  const cached = await generator.generate(request({ promptIds, continues: first.cacheId, key: [4, 4] }));
  // The last sampled token had not been fed yet, and two are new.
  expect(generator.stats.prefillTokens - before).toBe(3);
  generator.invalidate();
  const fresh = await generator.generate(request({ promptIds, continues: first.cacheId, key: [4, 4] }));
  expect(fresh.ids).toEqual(cached.ids);
  expect(fresh.logprobs).toEqual(cached.logprobs);
  // Other tokens than those of the cached sequence: its cache is of no use and not used.
  const hits = generator.stats.prefixHits;
  await generator.generate(request({ promptIds: [1, 1, 1], continues: fresh.cacheId }));
  expect(generator.stats.prefixHits).toBe(hits);
  generator.destroy();
});

it('weights must not change under running sequences', async () => {
  const generator = await Generator.create(weights, { slots: 4 });
  const running = generator.generate(request());
  expect(() => generator.invalidate()).toThrow('weights changed while sequences were running');
  await running;
  generator.invalidate();
  generator.destroy();
});

it('destroyed in the middle, it rejects what it owes, and the device is none the worse', async () => {
  const generator = await Generator.create(weights, { slots: 2, steps: 1 });
  const running = [1, 2, 3].map((key) => generator.generate(request({ key: [key, 0] })));
  await sampled(generator, 4, running);
  generator.destroy();
  for (const result of await Promise.allSettled(running)) {
    expect(result).toMatchObject({ status: 'rejected', reason: { name: 'GeneratorDestroyedError' } });
  }
  await expect(generator.generate(request())).rejects.toThrow('this generator was destroyed');
  await weights.gpu.idle(); // throws whatever WebGPU has to say
});

it('logits that are not finite are an error, not a token', async () => {
  const broken = await Weights.create(weights.gpu, TINY);
  const values = initialValues(broken, 1);
  values.get('model.norm.weight')!.values.fill(3e38);
  broken.write(values, 'broken');
  const generator = await Generator.create(broken, { slots: 4 });
  await expect(generator.generate(request())).rejects.toThrow(NonFiniteLogitsError);
  await expect(generator.generate(request())).rejects.toThrow("the model's logits at position 3 are not finite");
  generator.destroy();
  broken.destroy();
});
