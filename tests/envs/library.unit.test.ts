import { expect, it } from 'vitest';
import { LIBRARY, UnknownEnvironmentError, libraryEntry, sequenceRatio } from '../../src/envs';
import { Random, deriveKey } from '../../src/random';
import { readJsonFile } from '../checks/files';
import { ORACLE_DIR } from '../gpu';
import { ScriptedModel, lastContent } from '../scripted';

const OPTIONS = { draw: 0, rollout: 0, key: [0, 0] as const };

it("similarity is difflib's ratio, on every golden case", () => {
  const { cases } = readJsonFile(ORACLE_DIR, 'verifiers', 'difflib.json') as {
    cases: { a: string; b: string; ratio: number }[];
  };
  expect(cases.length).toBeGreaterThan(100);
  for (const { a, b, ratio } of cases) expect(sequenceRatio(a, b)).toBeCloseTo(ratio, 9);
});

const PERFECT: Record<string, (prompt: string) => string> = {
  'reverse-text': (prompt) => [...prompt].reverse().join(''),
  'even-digits': () => '02468024',
};

it.each(LIBRARY.map((entry) => entry.name))('%s: a perfect player scores 1, a wrong one 0', async (name) => {
  const env = libraryEntry(name).load({ seed: 3 });
  for (let index = 0; index < 50; index++) {
    const example = await env.example(index, 'eval');
    const perfect = await env.rollout(
      example,
      new ScriptedModel((request) => PERFECT[name]!(lastContent(request))),
      OPTIONS,
    );
    expect([perfect.reward, perfect.metrics.exactMatch, perfect.error]).toEqual([1, 1, null]);
    const wrong = await env.rollout(example, new ScriptedModel(() => '###'), OPTIONS);
    expect([wrong.reward, wrong.metrics.exactMatch, wrong.error]).toEqual([0, 0, null]);
  }
});

it.each(LIBRARY.map((entry) => entry.name))('%s: nothing a model writes breaks it', async (name) => {
  const env = libraryEntry(name).load();
  const random = new Random(deriveKey(4));
  const example = await env.example(0);
  for (let i = 0; i < 1000; i++) {
    const text = Array.from({ length: random.below(40) }, () => String.fromCodePoint(random.below(0xd7ff))).join('');
    const trace = await env.rollout(example, new ScriptedModel(() => text), OPTIONS);
    expect(trace.error).toBeNull();
    expect(trace.reward).toBeGreaterThanOrEqual(0);
    expect(trace.reward).toBeLessThanOrEqual(1);
  }
});

it('reverse-text: tasks are a function of seed and index; eval words are never trained on', async () => {
  const load = libraryEntry('reverse-text').load;
  const [a, b, c] = [load({ seed: 1 }), load({ seed: 1 }), load({ seed: 2 })];
  expect(await a.example(12345)).toEqual(await b.example(12345));
  expect(await a.example(5)).not.toEqual(await c.example(5));
  const words = async (split: 'train' | 'eval') =>
    Promise.all(Array.from({ length: 1000 }, async (_, i) => (await a.example(i, split)).question!));
  const train = new Set(await words('train'));
  const held = await words('eval');
  expect(held.filter((word) => train.has(word))).toEqual([]);
  const lengths = new Set([...train].map((word) => word.length));
  expect([...lengths].sort()).toEqual([3, 4, 5, 6, 7, 8]);
  await expect(a.example(1000, 'eval')).rejects.toThrow('row 1000 of a dataset of 1000');
});

it('reverse-text: partial credit is only a metric', async () => {
  const env = libraryEntry('reverse-text').load();
  const example = await env.example(0);
  const almost = await env.rollout(example, new ScriptedModel(() => example.answer!.slice(0, -1)), OPTIONS);
  expect(almost.reward).toBe(0);
  expect(almost.metrics.similarity).toBeGreaterThan(0.5);
  expect(almost.metrics.similarity).toBeLessThan(1);
});

it('reverse-text: demonstrations are right, and wrong as often as asked', async () => {
  const env = libraryEntry('reverse-text').load();
  const wrong = async (careless: number) => {
    let count = 0;
    for (let i = 0; i < 400; i++) {
      const example = await env.example(i);
      const [message] = await env.demonstrate!(example, new Random(deriveKey(9, i)), { careless });
      if (message!.content !== example.answer) count++;
    }
    return count / 400;
  };
  expect(await wrong(0)).toBe(0);
  const share = await wrong(0.4); // palindromes and equal neighbours come out right by accident
  expect(share).toBeGreaterThan(0.3);
  expect(share).toBeLessThan(0.45);
});

it('even-digits: partial credit for each even digit, none for going on', async () => {
  const env = libraryEntry('even-digits').load();
  const example = await env.example(0);
  const reward = async (reply: string) => (await env.rollout(example, new ScriptedModel(() => reply), OPTIONS)).reward;
  expect(await reward('2222')).toBe(0.5);
  expect(await reward('24682461')).toBe(7 / 8);
  expect(await reward('0000000000000000')).toBe(0.5);
});

it('an unknown name lists those there are', () => {
  expect(() => libraryEntry('wiki')).toThrow(UnknownEnvironmentError);
  expect(() => libraryEntry('wiki')).toThrow(
    'there is no environment "wiki"; the library has reverse-text, even-digits',
  );
});
