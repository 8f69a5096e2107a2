import { expect, it } from 'vitest';
import {
  compareRuns,
  estimate,
  evaluate,
  filterTraces,
  functionModel,
  groupTraces,
  studentT975,
  summarize,
  summarizeBy,
} from '../../../src/envs';
import type { Trace } from '../../../src/envs';
import { Random } from '../../../src/random';
import { sums } from './worlds';

/** P(|T| < t) by Simpson's rule over the density, whose constant is its own integral. */
function integrated(t: number, df: number): number {
  // With x = sqrt(df) tan(a) the density is cos(a)^(df - 1) over (-pi/2, pi/2).
  const area = (to: number) => {
    const steps = 20_000;
    let sum = 0;
    for (let i = 0; i <= steps; i++) {
      const weight = i === 0 || i === steps ? 1 : i % 2 ? 4 : 2;
      sum += weight * Math.cos((to * i) / steps) ** (df - 1);
    }
    return (sum * to) / steps / 3;
  };
  return area(Math.atan(t / Math.sqrt(df))) / area(Math.PI / 2);
}

it.each([1, 2, 3, 4, 5, 9, 10, 30, 99, 100, 1000])('t(0.975, %d) leaves 5%% outside', (df) => {
  expect(integrated(studentT975(df), df)).toBeCloseTo(0.95, 9);
});

it('Student’s t has its closed forms, and ends as the normal distribution', () => {
  expect(studentT975(1)).toBeCloseTo(Math.tan(0.475 * Math.PI), 9);
  expect(studentT975(2)).toBeCloseTo(0.95 * Math.sqrt(2 / (1 - 0.95 ** 2)), 9);
  expect(studentT975(1001)).toBeCloseTo(studentT975(1000), 4);
  expect(studentT975(1e9)).toBeCloseTo(1.959963985, 8);
});

it('one rollout per example: the textbook interval', () => {
  const values = [1, 0, 1, 1, 0];
  const scores = values.map((value, example) => ({ example, value }));
  const { mean, interval } = estimate(scores)!;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - 0.6) ** 2, 0) / 4);
  const half = (2.7764451051977987 * deviation) / Math.sqrt(5);
  expect(mean).toBeCloseTo(0.6, 12);
  expect(interval![0]).toBeCloseTo(0.6 - half, 10);
  expect(interval![1]).toBeCloseTo(0.6 + half, 10);
});

it('copies of a rollout make an interval no narrower, and one example has none', () => {
  const values = [1, 0, 0.5, 1];
  const once = estimate(values.map((value, example) => ({ example, value })))!;
  const thrice = estimate(values.flatMap((value, example) => [0, 1, 2].map(() => ({ example, value }))))!;
  expect(thrice.interval![0]).toBeCloseTo(once.interval![0], 12);
  expect(thrice).toMatchObject({ rollouts: 12, examples: 4 });
  expect(estimate([{ example: 1, value: 1 }])).toEqual({ mean: 1, interval: null, rollouts: 1, examples: 1 });
  expect(estimate([])).toBeNull();
});

it('95 of 100 intervals hold the true mean, also for clusters', () => {
  const random = new Random([3, 4]);
  let held = 0;
  const trials = 2000;
  for (let trial = 0; trial < trials; trial++) {
    const scores = Array.from({ length: 8 }, (_, example) => {
      const difficulty = random.normal();
      return [0, 1, 2].map(() => ({ example, value: difficulty + 0.5 * random.normal() }));
    }).flat();
    const [low, high] = estimate(scores)!.interval!;
    if (low <= 0 && 0 <= high) held++;
  }
  expect(held / trials).toBeGreaterThan(0.935);
  expect(held / trials).toBeLessThan(0.965);
});

async function run(share: number, seed: number, count = 40, rolloutsPerExample = 3): Promise<Trace[]> {
  const model = functionModel('m', ({ messages, key }) => {
    const right = String(Number(messages.at(-1)!.content.split('+')[0]) + 1);
    return new Random(key).next() < share ? right : 'wrong';
  });
  return (await evaluate(sums(count), model, { rolloutsPerExample, seed })).traces;
}

it('groups and filters', async () => {
  const traces = await run(0.5, 1, 6);
  traces[0]!.error = { source: 'environment', name: 'Odd', message: '' };
  traces[1]!.isTruncated = true;
  traces[2]!.stopCondition = 'prompt_too_long';
  traces[3]!.task = 'other';
  const ids = (list: readonly Trace[]) => list.map((trace) => traces.indexOf(trace));
  expect(ids(filterTraces(traces, { error: true }))).toEqual([0]);
  expect(ids(filterTraces(traces, { error: 'Odd' }))).toEqual([0]);
  expect(filterTraces(traces, { error: false })).toHaveLength(17);
  expect(ids(filterTraces(traces, { isTruncated: true }))).toEqual([1]);
  expect(ids(filterTraces(traces, { stopCondition: 'prompt_too_long' }))).toEqual([2]);
  expect(ids(filterTraces(traces, { task: 'other' }))).toEqual([3]);
  expect(ids(filterTraces(traces, { exampleId: 1 }))).toEqual([3, 4, 5]);
  const solved = filterTraces(traces, { reward: { min: 1 } });
  expect(solved.every(({ reward, error }) => reward === 1 && !error)).toBe(true);
  expect(filterTraces(traces, { metrics: { length: { max: 1 } } }).every(({ metrics }) => metrics.length! <= 1)).toBe(
    true,
  );
  expect(filterTraces(traces, { metrics: { missing: {} } })).toEqual([]);
  expect([...groupTraces(traces, ({ task }) => task).keys()]).toEqual(['', 'other']);
  const byTask = summarizeBy(traces, ({ task }) => task);
  expect(byTask.get('other')).toMatchObject({ rollouts: 1, examples: 1 });
  expect(summarize(traces)).toMatchObject({
    failed: 1,
    errors: { 'environment: Odd': 1 },
    truncated: 1,
    stopConditions: { max_turns_reached: 17, prompt_too_long: 1 },
  });
  expect(summarize([])).toMatchObject({ rollouts: 0, reward: null, metrics: {}, passAtK: {} });
});

it('compares run with run: pairs examples, and says what cannot be paired', async () => {
  const [a, b] = [await run(0.3, 1), await run(0.6, 2)];
  const { reward, metrics, ...counts } = compareRuns(a, b);
  expect(counts).toEqual({ paired: 40, onlyA: 0, onlyB: 0, different: 0 });
  const mean = (traces: readonly Trace[]) => traces.reduce((sum, trace) => sum + trace.reward!, 0) / traces.length;
  expect(reward!.difference).toBeCloseTo(mean(b) - mean(a), 12);
  expect([reward!.a, reward!.b]).toEqual([expect.closeTo(mean(a), 12), expect.closeTo(mean(b), 12)]);
  expect(reward!.interval![0]).toBeGreaterThan(0);
  expect(reward!.better).toBeGreaterThan(reward!.worse);
  expect(Object.keys(metrics).sort()).toEqual(['exact', 'length', 'num_turns']);
  expect(metrics.num_turns).toMatchObject({ difference: 0, interval: [0, 0] });
  const reversed = compareRuns(b, a).reward!;
  expect(reversed.difference).toBeCloseTo(-reward!.difference, 12);
  expect(compareRuns(a, a).reward).toMatchObject({ difference: 0, interval: [0, 0], better: 0, worse: 0 });
});

it('pairs nothing that is another task, missing or failed', async () => {
  const [a, b] = [await run(0.5, 1, 6), await run(0.5, 2, 8)];
  for (const trace of a) if (trace.exampleId === 0) trace.error = { source: 'model', name: 'E', message: '' };
  for (const trace of b) if (trace.exampleId === 1) trace.taskKey = 'another';
  const { reward, ...counts } = compareRuns(a, b);
  expect(counts).toMatchObject({ paired: 4, onlyA: 0, onlyB: 3, different: 1 });
  expect(reward!.examples).toBe(4);
  expect(compareRuns(a, [])).toMatchObject({ reward: null, metrics: {}, paired: 0, onlyA: 5 });
});

it('a paired interval is narrower than two apart where examples differ in difficulty', () => {
  const random = new Random([8, 9]);
  const make = (shift: number): Trace[] =>
    Array.from({ length: 30 }, (_, exampleId) => {
      const reward = 10 * new Random([exampleId, 1]).normal() + shift + 0.1 * random.normal();
      return { exampleId, reward, error: null, metrics: {}, taskKey: '' } as unknown as Trace;
    });
  const { interval } = compareRuns(make(0), make(0.5)).reward!;
  expect(interval![0]).toBeGreaterThan(0.3);
  expect(interval![1]).toBeLessThan(0.7);
});
