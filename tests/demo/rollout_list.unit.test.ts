/** @file The list of an evaluation's rollouts: filters, order, histogram. */
import { expect, it } from 'vitest';
import { EVERYTHING, busyWith, histogram, namesIn, selectRollouts } from '../../demo/panels/rollout_list';
import type { RolloutQuery, RolloutRow } from '../../demo/panels/rollout_list';
import type { Trace } from '../../src/envs';
import { traceOf } from './trace';

function row(exampleId: number, changes: Partial<Trace> = {}, rollout = 0): RolloutRow {
  const trace = traceOf([1], { exampleId, rollout, ...changes });
  return { exampleId, rollout, phase: 'done', trace };
}

const failure = { source: 'model', name: 'ConnectionError', message: 'gone' } as const;
const span = (length: number) => ({ start: 5, end: 5 + length });
const ROWS: RolloutRow[] = [
  row(0, { reward: 0.2, metrics: { length: 3 }, stopCondition: 'max_turns_reached' }),
  row(1, { reward: 1, metrics: { length: 9 }, stopCondition: 'max_turns_reached' }),
  row(2, { reward: 0.5, stopCondition: 'game_over', turns: [] }),
  row(3, { reward: 0, error: failure, stopCondition: 'has_error' }),
  { exampleId: 4, rollout: 0, phase: 'turn 2', trace: null },
  row(1, { reward: 0.2, metrics: { length: 5 } }, 1),
];

function ids(query: Partial<RolloutQuery>): string[] {
  return selectRollouts(ROWS, { ...EVERYTHING, ...query }, 0.5).map((each) => `${each.exampleId}.${each.rollout}`);
}

it('shows everything in the order of the tasks, what is under way too', () => {
  expect(ids({})).toEqual(['0.0', '1.0', '1.1', '2.0', '3.0', '4.0']);
});

it('filters by status: a failed rollout is neither solved nor unsolved', () => {
  expect(ids({ status: 'solved' })).toEqual(['1.0', '2.0']);
  expect(ids({ status: 'not solved' })).toEqual(['0.0', '1.1']);
  expect(ids({ status: 'failed' })).toEqual(['3.0']);
  expect(ids({ status: 'under way' })).toEqual(['4.0']);
});

it('filters by reward, metric, error and stop condition, all of which must hold', () => {
  expect(ids({ reward: { min: 0.5 } })).toEqual(['1.0', '2.0']);
  expect(ids({ reward: { max: 0.2 } })).toEqual(['0.0', '1.1']); // not the failed one, whose reward says nothing
  expect(ids({ metric: 'length', metricRange: { min: 4, max: 8 } })).toEqual(['1.1']);
  expect(ids({ metricRange: { min: 4 } })).toHaveLength(6); // of no metric
  expect(ids({ error: 'ConnectionError' })).toEqual(['3.0']);
  expect(ids({ stopCondition: 'max_turns_reached', reward: { min: 0.5 } })).toEqual(['1.0']);
});

it('sorts both ways, equal ones by task, those without a number last', () => {
  expect(ids({ sort: 'reward' })).toEqual(['0.0', '1.1', '2.0', '1.0', '3.0', '4.0']);
  expect(ids({ sort: 'reward', descending: true })).toEqual(['1.0', '2.0', '0.0', '1.1', '3.0', '4.0']);
  expect(ids({ sort: 'turns' })[0]).toBe('2.0');
  expect(ids({ sort: 'task', descending: true })[0]).toBe('4.0');
  const timed = [3, 1, 2].map((length, i) =>
    row(i, { timing: { setup: span(0), generation: span(length), scoring: span(0), environment: [] } }),
  );
  const sorted = selectRollouts(timed, { ...EVERYTHING, sort: 'seconds' }, 1);
  expect(sorted.map(({ exampleId }) => exampleId)).toEqual([1, 2, 0]);
});

it('says what those under way are busy with', () => {
  const under = ['turn 2', 'scoring', 'turn 2'].map((phase) => ({ exampleId: 9, rollout: 0, phase, trace: null }));
  expect(busyWith([...ROWS, ...under])).toBe('1 scoring, 3 turn 2');
  expect(busyWith([row(0)])).toBe('');
});

it('names what can be chosen', () => {
  expect(namesIn(ROWS)).toEqual({
    errors: ['ConnectionError'],
    stops: ['game_over', 'has_error', 'max_turns_reached'],
    metrics: ['length'],
  });
});

it('the histogram counts every reward once, its ends included, and reaches beyond 0 to 1 where rewards do', () => {
  const bins = histogram([0, 0.05, 0.3, 0.99, 1, 1]);
  expect(bins.map(({ count }) => count)).toEqual([2, 0, 0, 1, 0, 0, 0, 0, 0, 3]);
  expect([bins[0]!.from, bins[9]!.to]).toEqual([0, 1]);
  const wide = histogram([-1, 3], 4);
  expect(wide).toEqual([
    { from: -1, to: 0, count: 1 },
    { from: 0, to: 1, count: 0 },
    { from: 1, to: 2, count: 0 },
    { from: 2, to: 3, count: 1 },
  ]);
  expect(histogram([]).every(({ count }) => count === 0)).toBe(true);
});
