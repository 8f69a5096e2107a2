/** @file Which prompts a step asks: passes, pools of difficulty, curricula, replacements, and datasets that run dry. */
import { expect, it } from 'vitest';
import { EnvGroup, SingleTurnEnv, generated, rows } from '../../src/envs';
import { TaskQueue, UnfitConfigError, resolveConfig } from '../../src/rl';
import type { ConfigLayer, Task } from '../../src/rl';

const finite = (name: string, length: number) =>
  new SingleTurnEnv({ name, dataset: rows(Array.from({ length }, (_, i) => ({ question: `${name} ${i}` }))) });
const endless = (name: string) =>
  new SingleTurnEnv({ name, dataset: generated((index) => ({ question: `${name} ${index}` })) });

const config = (...layers: ConfigLayer[]) =>
  resolveConfig({ env: 'mine', grpo: { steps: 100, batch_size: 8, group_size: 2 } }, ...layers);

const ids = (tasks: readonly Task[]) => tasks.map(({ exampleId }) => exampleId);

it('walks through a finite dataset again and again, each pass another draw', () => {
  const queue = new TaskQueue(finite('a', 6), config());
  expect(queue.next(1)).toEqual([0, 1, 2, 3].map((exampleId) => ({ exampleId, draw: 0 })));
  expect(queue.next(2)).toEqual([
    { exampleId: 4, draw: 0 },
    { exampleId: 5, draw: 0 },
    { exampleId: 0, draw: 1 },
    { exampleId: 1, draw: 1 },
  ]);
});

it('asks easy and hard tasks as often as their weights say, none twice in a step', () => {
  const settings = config({ difficulty: { easy_weight: 0, hard_weight: 0.05, normal_weight: 1 } });
  const queue = new TaskQueue(finite('a', 30), settings);
  const rewardOf = (id: number) => [id < 10 ? 1 : id < 20 ? 0 : 0.5]; // easy, hard, normal
  queue.record(Array.from({ length: 30 }, (_, exampleId) => ({ exampleId, rewards: rewardOf(exampleId) })));
  expect(queue.pools()).toEqual({ easy: 10, normal: 10, hard: 10 });
  const asked: number[] = [];
  for (let step = 1; step <= 100; step++) {
    const step_ids = ids(queue.next(step));
    expect(new Set(step_ids).size).toBe(4);
    asked.push(...step_ids);
  }
  const share = (from: number, to: number) => asked.filter((id) => id >= from && id < to).length / asked.length;
  expect(share(0, 10)).toBe(0);
  expect(share(10, 20)).toBeLessThan(0.12);
  expect(share(20, 30)).toBeGreaterThan(0.88);
  expect(new Set(asked.filter((id) => id >= 20)).size).toBe(10);
});

it('goes on from its state as if nothing had happened', () => {
  const settings = config({ difficulty: { easy_weight: 0.2 } });
  const whole = new TaskQueue(finite('a', 20), settings);
  whole.record([{ exampleId: 3, rewards: [1, 1] }]);
  whole.next(1);
  const resumed = new TaskQueue(finite('a', 20), settings);
  resumed.restore(JSON.parse(JSON.stringify(whole.state)) as typeof whole.state);
  expect(resumed.next(2)).toEqual(whole.next(2));
  expect(resumed.pools()).toEqual({ easy: 1, normal: 0, hard: 0 });
});

it('a curriculum: members of a group by the weights of the stage', async () => {
  const group = new EnvGroup({ envs: [endless('easy'), endless('hard')] });
  const settings = config({
    curriculum: [
      { from_step: 1, weights: { easy: 1 } },
      { from_step: 3, weights: { easy: 0.5, hard: 0.5 } },
      { from_step: 20, weights: { hard: 1 } },
    ],
  });
  const queue = new TaskQueue(group, settings);
  const memberOf = async (task: Task) => (await group.example(task.exampleId)).task;
  const counts: Record<string, number>[] = [];
  for (let step = 1; step <= 22; step++) {
    const members = await Promise.all(queue.next(step).map(memberOf));
    counts.push({
      easy: members.filter((name) => name === 'easy').length,
      hard: members.filter((name) => name === 'hard').length,
    });
  }
  expect(counts.slice(0, 2)).toEqual([
    { easy: 4, hard: 0 },
    { easy: 4, hard: 0 },
  ]);
  expect(counts.slice(19)).toEqual(Array.from({ length: 3 }, () => ({ easy: 0, hard: 4 })));
  const mixed = counts.slice(2, 19).reduce((sum, { hard }) => sum + hard!, 0) / (17 * 4);
  expect(mixed).toBeGreaterThan(0.3);
  expect(mixed).toBeLessThan(0.7);
});

it('a curriculum over finite members walks through each of them', () => {
  const group = new EnvGroup({ envs: [finite('a', 3), finite('b', 5)] });
  const queue = new TaskQueue(group, config({ curriculum: [{ from_step: 1, weights: { b: 1 } }] }));
  expect(ids(queue.next(1))).toEqual([3, 4, 5, 6]);
  expect(queue.next(2)).toEqual([
    { exampleId: 7, draw: 0 },
    { exampleId: 3, draw: 1 },
    { exampleId: 4, draw: 1 },
    { exampleId: 5, draw: 1 },
  ]);
});

it('replacements are other tasks, the same for the same step and round, and no more than there are', () => {
  const queue = new TaskQueue(finite('a', 6), config());
  const asked = queue.next(1);
  const first = queue.replacements(1, 1, 4, asked);
  expect(ids(first).sort()).toEqual([4, 5]);
  expect(queue.replacements(1, 1, 4, asked)).toEqual(first);
  const open = new TaskQueue(endless('a'), config());
  expect(ids(open.replacements(1, 1, 3, [])).every((id) => id >= 2 ** 32)).toBe(true);
  expect(open.replacements(1, 2, 3, [])).not.toEqual(open.replacements(1, 1, 3, []));
});

it.each<[string, () => unknown, string]>([
  [
    'a dataset that runs dry',
    () => new TaskQueue(finite('a', 50), config({ grpo: { max_epochs: 2 } })),
    'the dataset runs dry: 100 steps of 4 prompts need 400 tasks, and grpo.max_epochs 2 of 50 rows give 100; at most 25 steps',
  ],
  [
    'difficulty of tasks that never come twice',
    () => new TaskQueue(endless('a'), config({ difficulty: { easy_weight: 0 } })),
    'the tasks of a have no end',
  ],
  [
    'more prompts than there are',
    () => new TaskQueue(finite('a', 3), config({ difficulty: { easy_weight: 0 } })),
    '4 prompts a step of a dataset of 3',
  ],
  [
    'a curriculum of one environment',
    () => new TaskQueue(finite('a', 3), config({ curriculum: [{ from_step: 1, weights: { a: 1 } }] })),
    'curriculum: a is one environment',
  ],
  [
    'a curriculum with a foreign name',
    () =>
      new TaskQueue(
        new EnvGroup({ envs: [finite('a', 3), finite('b', 5)] }),
        config({ curriculum: [{ from_step: 1, weights: { c: 1 } }] }),
      ),
    'curriculum: group has no member c; it has a, b',
  ],
  [
    'a curriculum without weight',
    () =>
      new TaskQueue(
        new EnvGroup({ envs: [finite('a', 3), finite('b', 5)] }),
        config({ curriculum: [{ from_step: 1, weights: { a: 0 } }] }),
      ),
    'curriculum: all weights are 0',
  ],
])('refuses %s', (_, make, message) => {
  expect(make).toThrow(UnfitConfigError);
  expect(make).toThrow(message);
});
