import { describe, expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT } from './players';

describe.each([
  ['reverse-text', [3, 4, 5, 6, 7, 8], 'krvam', 'mavrk'],
  ['letter-sort', [4, 5, 6, 7, 8], 'krvam', 'akmrv'],
] as const)('%s', (name, lengths, word, answer) => {
  it('asks for words of every length', async () => {
    const env = libraryEntry(name).load();
    const words = await Promise.all(Array.from({ length: 500 }, async (_, i) => (await env.example(i)).question!));
    expect([...new Set(words.map(({ length }) => length))].sort()).toEqual([...lengths]);
    await expect(env.example(1000, 'eval')).rejects.toThrow('row 1000 of a dataset of 1000');
  });

  it('gives partial credit only as a metric', async () => {
    const env = libraryEntry(name).load();
    const example = { exampleId: 0, question: word, answer };
    const almost = await env.rollout(example, new ScriptedModel(() => answer.slice(0, -1)), ROLLOUT);
    expect([almost.reward, almost.metrics.exactMatch]).toEqual([0, 0]);
    expect(almost.metrics.similarity).toBeCloseTo(8 / 9);
    const right = await env.rollout(example, new ScriptedModel(() => answer), ROLLOUT);
    expect([right.reward, right.metrics.similarity]).toEqual([1, 1]);
  });
});

describe('even-digits', () => {
  it.each([
    ['2222', 0.5],
    ['24682461', 7 / 8],
    ['24682468', 1],
    ['0000000000000000', 0.5],
    ['', 0],
  ])('%s scores %d', async (reply, reward) => {
    const env = libraryEntry('even-digits').load();
    const trace = await env.rollout(await env.example(0), new ScriptedModel(() => reply), ROLLOUT);
    expect(trace.reward).toBe(reward);
    expect(trace.metrics.exactMatch).toBe(reward === 1 ? 1 : 0);
  });
});
