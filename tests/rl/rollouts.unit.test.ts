import { expect, it } from 'vitest';
import { Rubric, SingleTurnEnv, rows } from '../../src/envs';
import { PURPOSE } from '../../src/random';
import { rolloutGroups, solveRates, taskAt } from '../../src/rl';
import { ScriptedModel, lastContent } from '../scripted';

const env = new SingleTurnEnv({
  name: 'e',
  dataset: rows([
    { question: 'a', answer: 'a' },
    { question: 'b', answer: 'b' },
    { question: 'c', answer: 'x' },
  ]),
  rubric: new Rubric({ exactMatch: ({ response, answer }) => Number(response === answer) }),
});

const plan = {
  split: 'train' as const,
  tasks: [0, 1, 2].map((index) => taskAt(index, 3)),
  groupSize: 2,
  seed: 1,
  purpose: PURPOSE.sampling,
  sampling: {},
};

it('gives every rollout a key of its own; walks through a finite dataset again and again', async () => {
  const model = new ScriptedModel(lastContent);
  const first = await rolloutGroups(env, model, plan);
  const second = await rolloutGroups(env, model, { ...plan, tasks: [3, 4, 5].map((index) => taskAt(index, 3)) });
  expect(first.map(({ exampleId, draw }) => [exampleId, draw])).toEqual([
    [0, 0],
    [1, 0],
    [2, 0],
  ]);
  expect(second.map(({ exampleId, draw }) => [exampleId, draw])).toEqual([
    [0, 1],
    [1, 1],
    [2, 1],
  ]);
  const keys = new Set(model.requests.map(({ key }) => key.join()));
  expect(keys.size).toBe(12);
});

it('does not depend on who finishes first', async () => {
  const slow = new ScriptedModel(async (request) => {
    await new Promise((resolve) => setTimeout(resolve, lastContent(request) === 'a' ? 20 : 0));
    return lastContent(request);
  });
  const finished: number[] = [];
  const groups = await rolloutGroups(env, slow, { ...plan, onTrace: (trace) => finished.push(trace.exampleId) });
  expect(finished.at(-1)).toBe(0);
  expect(groups.map(({ exampleId }) => exampleId)).toEqual([0, 1, 2]);
  expect(groups.flatMap(({ traces }) => traces.map((trace) => trace.rollout))).toEqual([0, 1, 0, 1, 0, 1]);
});

it('evaluates at temperature 1 and greedy; failures count as unsolved and are counted', async () => {
  const model = new ScriptedModel((request) =>
    request.sampling.temperature === 1 && lastContent(request) === 'a' ? new Error('down') : lastContent(request),
  );
  const progress: number[] = [];
  const result = await solveRates(env, model, {
    examples: 3,
    seed: 1,
    onProgress: (done, total) => progress.push(done / total),
  });
  expect(result).toMatchObject({ t1: 1 / 3, greedy: 2 / 3, examples: 3, errors: 1 });
  expect(progress.at(-1)).toBe(1);
});

it('a task is solved from the pass threshold on', async () => {
  const graded = new SingleTurnEnv({
    name: 'graded',
    dataset: rows([{ question: 'x' }]),
    rubric: new Rubric({ graded: () => 0.7 }),
    passThreshold: 0.8,
  });
  const model = new ScriptedModel(lastContent);
  expect(await solveRates(graded, model, { examples: 1, seed: 1 })).toMatchObject({ t1: 0, metrics: { graded: 0.7 } });
});
