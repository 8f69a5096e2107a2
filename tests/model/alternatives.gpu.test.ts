/** @file Tokens as they come, and what could have stood in their place: the same numbers as those sampled with. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Generator, NativeModel, TinyChat, TinyTokenizer, alternatives } from '../../src/model';
import type { GenerationRequest, Weights } from '../../src/model';
import { TINY, randomModel } from '../checks/generation';
import { testGpu } from '../gpu';

let weights: Weights;
/** Rows with logits at once are as many as slots: a reply takes several passes. */
let generator: Generator;
beforeAll(async () => {
  weights = await randomModel(await testGpu(), TINY);
  generator = await Generator.create(weights, { slots: 4, prefillRows: 16 });
});
afterAll(() => {
  generator.destroy();
  weights.destroy();
});

const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 30, stopTokens: [] };
const request = (more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  promptIds: [5, 6, 7],
  sampling,
  key: [1, 2],
  ...more,
});

it('hands out tokens while a reply grows, every one once, with its log-probability', async () => {
  const told: [ids: readonly number[], logprobs: readonly number[]][] = [];
  const others = [2, 3, 4].map((key) => generator.generate(request({ key: [key, 0] })));
  const { ids, logprobs } = await generator.generate(request({ onTokens: (...news) => told.push(news) }));
  await Promise.all(others);
  expect(told.length).toBeGreaterThan(1);
  expect(told.flatMap(([some]) => some)).toEqual(ids);
  expect(told.flatMap(([, some]) => some)).toEqual(logprobs);
});

it('a cancelled reply has handed out what there was, and hands out nothing more', async () => {
  const controller = new AbortController();
  let count = 0;
  const cancelled = generator.generate(
    request({
      sampling: { ...sampling, maxTokens: 90 },
      signal: controller.signal,
      onTokens: (ids) => {
        count += ids.length;
        controller.abort(new Error('enough'));
      },
    }),
  );
  await expect(cancelled).rejects.toThrow('enough');
  const then = count;
  await generator.generate(request());
  expect(count).toBe(then);
  expect(then).toBeLessThan(90);
});

it('a model behind the environments’ interface hands them out as well', async () => {
  const tokenizer = new TinyTokenizer([...'abcdefghijklmnopqrstuvwxyz0123456789 ()+=-?.,:;#\n'].slice(0, 52));
  expect(tokenizer.vocabSize).toBe(TINY.vocabSize);
  const model = new NativeModel('tiny', new TinyChat(tokenizer), generator);
  const told: number[] = [];
  const messages = [{ role: 'user' as const, content: 'abc' }];
  const { tokens } = await model.complete(
    { messages, sampling: { maxTokens: 12 }, key: [1, 1] },
    { onTokens: (ids) => told.push(...ids) },
  );
  expect(told).toEqual(tokens!.completionIds);
});

it.each([1, 0.5, 0])(
  'at temperature %f the reply’s tokens have the log-probabilities they were sampled with',
  async (temperature) => {
    const reply = await generator.generate(request({ sampling: { ...sampling, temperature } }));
    const ids = [5, 6, 7, ...reply.ids];
    // Others at the same time, one of them with the same prompt: rows are not mixed up.
    const others = [
      generator.generate(request({ key: [9, 9] })),
      generator.generate(request({ promptIds: ids.slice(0, -1) })),
    ];
    const found = await alternatives(generator, { ids, first: 3, count: 5, temperature });
    await Promise.all(others);
    expect(found).toHaveLength(30);
    for (const [i, { logprob, rank, top }] of found.entries()) {
      expect(logprob, `token ${i}`).toBeCloseTo(reply.logprobs[i]!, 4);
      expect(top).toHaveLength(5);
      expect(top.map((each) => each.logprob)).toEqual([...top.map((each) => each.logprob)].sort((a, b) => b - a));
      if (rank < 5) expect(top[rank]).toEqual({ id: reply.ids[i], logprob });
      else expect(logprob).toBeLessThanOrEqual(top[4]!.logprob);
      if (temperature === 0) expect(rank).toBe(0);
    }
  },
);

it('asks about a part of a sequence, and refuses what has no logits', async () => {
  const ids = [5, 6, 7, 8, 9, 10];
  const whole = await alternatives(generator, { ids, first: 1, count: 2, temperature: 1 });
  const part = await alternatives(generator, { ids, first: 4, count: 2, temperature: 1 });
  expect(whole).toHaveLength(5);
  expect(part).toEqual(whole.slice(3));
  const asked = { ids, count: 2, temperature: 1 };
  await expect(alternatives(generator, { ...asked, first: 0 })).rejects.toThrow(
    'logits from position -1 of a prompt of 5 tokens',
  );
  await expect(alternatives(generator, { ...asked, first: 6 })).rejects.toThrow(RangeError);
});
