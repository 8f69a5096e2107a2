/** @file reverse-text's options for lessons: rewards that can be had cheaply, few tasks, a judge that fails. */
import { expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import type { Environment } from '../../../src/envs';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT } from './players';

const load = (options: Record<string, unknown> = {}) => libraryEntry('reverse-text').load(options);

async function play(env: Environment, reply: (word: string) => string, index = 0, rollout = 0) {
  const example = await env.example(index);
  return env.rollout(example, new ScriptedModel(() => reply(example.question!)), { ...ROLLOUT, rollout });
}

const reversed = (word: string) => [...word].reverse().join('');

it.each([
  ['exact', 'exactMatch', [1, 0, 0]],
  ['recall', 'letterRecall', [1, 1, 1]],
])('reward %s: earned by the answer, the word itself, and everything at once', async (reward, name, earned) => {
  const env = load({ reward });
  const replies = [reversed, (word: string) => `${word}${word}`, () => 'abcdefghijklmnopqrstuvwxyz'];
  const traces = await Promise.all(replies.map((reply) => play(env, reply)));
  expect(traces.map((trace) => trace.reward)).toEqual(earned);
  for (const trace of traces) expect(trace.metrics[name]).toBe(trace.reward);
  expect(traces.map(({ metrics }) => metrics.exactMatch)).toEqual([1, 0, 0]);
  expect(env.rubric.metricNames).toEqual(
    expect.arrayContaining(['exactMatch', 'similarity'].filter((metric) => metric !== name)),
  );
  expect(env.rubric.metricNames).not.toContain(name);
});

it('reward similarity: a part of the answer earns a part', async () => {
  const trace = await play(load({ reward: 'similarity' }), (word) => reversed(word).slice(1));
  expect(trace.reward).toBeGreaterThan(0.5);
  expect(trace.reward).toBeLessThan(1);
  expect(trace.metrics).toMatchObject({ exactMatch: 0, similarity: trace.reward });
});

it('few training tasks are the first of the endless ones; held-out tasks stay as they are', async () => {
  const [few, all] = [load({ training_tasks: 3 }), load()];
  expect(few.dataset.length).toBe(3);
  for (let i = 0; i < 3; i++) expect(await few.example(i)).toEqual(await all.example(i));
  expect(await few.example(5, 'eval')).toEqual(await all.example(5, 'eval'));
});

it('a judge that fails: for that share of the rollouts, and for the same ones again', async () => {
  const failed = async () => {
    const env = load({ reward_failures: 0.3 });
    const traces = await Promise.all(Array.from({ length: 200 }, (_, i) => play(env, reversed, i, i % 8)));
    for (const { reward, error } of traces) {
      if (error)
        expect({ reward, error }).toMatchObject({ reward: null, error: { source: 'reward', where: 'exactMatch' } });
      else expect(reward).toBe(1);
    }
    return traces.map(({ error }) => error !== null);
  };
  const first = await failed();
  const share = first.filter(Boolean).length / first.length;
  expect(share).toBeGreaterThan(0.2);
  expect(share).toBeLessThan(0.4);
  expect(await failed()).toEqual(first);
});

it.each([
  [{ reward: 'vibes' }, 'reverse-text: option reward: '],
  [{ reward_failures: 2 }, 'reverse-text: option rewardFailures: '],
  [{ training_tasks: -1 }, 'reverse-text: option trainingTasks: '],
])('refuses %j', (options, message) => expect(() => load(options)).toThrow(message));
