import { expect, it } from 'vitest';
import { Rubric, SingleTurnEnv, rows } from '../../src/envs';
import type { RewardFunction, Trace } from '../../src/envs';
import { ScriptedModel } from '../scripted';

async function score(rubric: Rubric, reply = 'yes'): Promise<Trace> {
  const env = new SingleTurnEnv({ name: 'e', dataset: rows([{ question: 'q', answer: 'yes' }]), rubric });
  return env.rollout(await env.example(0), new ScriptedModel(() => reply), { draw: 0, rollout: 0, key: [0, 0] });
}

it('adds weighted scores, sync and async; weight 0 is a metric only', async () => {
  const rubric = new Rubric(
    { one: () => 1, half: () => Promise.resolve(0.5), seen: ({ response }) => response.length },
    { weights: { half: 4, seen: 0 } },
  );
  const trace = await score(rubric);
  expect(trace.reward).toBe(1 + 4 * 0.5);
  expect(trace.metrics).toEqual({ one: 1, half: 0.5, seen: 3, num_turns: 1 });
});

it.each<[string, RewardFunction, string]>([
  [
    'throws',
    () => {
      throw new TypeError('no answer');
    },
    'no answer',
  ],
  ['rejects', () => Promise.reject(new TypeError('late')), 'late'],
  ['returns NaN', () => NaN, 'returned NaN, not a finite number'],
  ['returns text', () => 'good', 'returned good, not a finite number'],
  ['returns nothing', () => undefined as never, 'returned undefined, not a finite number'],
])('a reward function that %s is an error by name, not a 0', async (_, bad, message) => {
  const trace = await score(new Rubric({ fine: () => 1, bad }));
  expect(trace.reward).toBeNull();
  expect(trace.error).toEqual({ source: 'reward', where: 'bad', name: 'TypeError', message });
  expect(trace.metrics).toEqual({ fine: 1, num_turns: 1 });
});

it('refuses weights that belong to nothing or are not numbers', () => {
  expect(() => new Rubric({ a: () => 1 }, { weights: { b: 1 } })).toThrow('a weight for b, but no reward function');
  expect(() => new Rubric({ a: () => 1 }, { weights: { a: NaN } })).toThrow('the weight of a is NaN');
});
