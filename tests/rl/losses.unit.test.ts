import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import {
  ADVANTAGE_NAMES,
  LOSS_NAMES,
  advantages,
  hasSignal,
  learningRate,
  warmedUp,
  lossSettings,
  referenceLoss,
} from '../../src/rl';
import { noise, numericGradient } from '../checks/harness';
import { freeze, surrogate } from '../checks/surrogate';

// The oracle says that loss and gradient are upstream's; finite differences say that the gradient is the loss's own.
// Stop-gradients (cispo, distill) are held fixed by differencing the surrogate they stand for.
const lengths = [3, 1, 4];
const flat = (values: Float64Array) =>
  lengths.map((n, s) => [...values.slice(lengths.slice(0, s).reduce((a, b) => a + b, 0)).slice(0, n)]);
const logprobs = (seed: number) => noise(8, seed).map((v) => -1 - Math.abs(v));

it.each(LOSS_NAMES)('%s: the derivative is that of the value', (name) => {
  const [now, old, ref] = [logprobs(1), logprobs(2), logprobs(3)].map(flat) as [number[][], number[][], number[][]];
  const advantage = [0.7, -0.4, 1.3];
  const totals = { tokens: 8, sequences: 3, maxCompletionLength: 5 };
  const sequences = lengths.map((_, s) => ({ old: old[s]!, reference: ref[s]!, advantage: advantage[s]! }));
  for (const delta of [0, 1.4]) {
    const settings = lossSettings(name, { beta: 0.05, delta });
    const { loss, gradient } = referenceLoss(
      name,
      settings,
      totals,
      sequences.map((sequence, s) => ({ ...sequence, new: now[s]! })),
    );
    const frozen = freeze(name, settings, sequences, now);
    const value = (values: Float64Array) => surrogate(name, settings, totals, sequences, flat(values), frozen);
    const x = Float64Array.from(now.flat());
    expect(value(x)).toBeCloseTo(loss, 12);
    const numeric = numericGradient(value, x, 1e-6);
    gradient.flat().forEach((derivative, i) => expect(derivative).toBeCloseTo(numeric[i]!, 8));
    expect(gradient.flat().filter((derivative) => derivative !== 0).length).toBeGreaterThan(3);
  }
});

it('the oracle has values of every loss and every advantage', () => {
  interface Case {
    losses: Record<string, { params: { kind: string } }>;
    advantages: Record<string, unknown>;
  }
  const read = (file: string) =>
    JSON.parse(readFileSync(new URL(`../oracle/losses/${file}.json`, import.meta.url), 'utf8')) as unknown;
  const extra = read('extra') as { cases: Case[]; accumulation: Case[] };
  const cases = [...(read('cases') as Case[]), ...extra.cases, ...extra.accumulation];
  const kinds = new Set(cases.flatMap(({ losses }) => Object.values(losses).map(({ params }) => params.kind)));
  expect([...kinds].sort()).toEqual(LOSS_NAMES.filter((name) => name !== 'sft').sort()); // sft is in backward/
  const names = new Set(cases.flatMap((each) => Object.keys(each.advantages)));
  expect(names.size).toBe(ADVANTAGE_NAMES.length);
});

it('advantages of the four kinds', () => {
  const groups = [[1, 0, 0, 1], [0.5, 0.5], []];
  expect(advantages('none', groups)).toEqual([[0.5, -0.5, -0.5, 0.5], [0, 0], []]);
  const std = Math.sqrt(1 / 3);
  expect(advantages('group', groups)[0]![0]).toBeCloseTo(0.5 / (std + 1e-4), 12);
  expect(advantages('group', groups)[1]).toEqual([0, 0]);
  expect(
    advantages('max_rl', [
      [1, 0],
      [0, 0],
      [-1, -1],
    ]),
  ).toEqual([
    [1, -1],
    [0, 0],
    [0, 0],
  ]);
  const [first] = advantages('batch', groups);
  expect(first![0]).toBeGreaterThan(0.5);
});

it('a group has a signal when its rewards differ', () => {
  expect([[0, 0], [0, 1], [1], []].map(hasSignal)).toEqual([false, true, false, false]);
});

it('warms the learning rate up linearly', () => {
  expect([1, 2, 3, 4, 9].map((step) => learningRate(step, warmedUp(1, 4)))).toEqual([0.25, 0.5, 0.75, 1, 1]);
  expect(learningRate(1, warmedUp(1, 0))).toBe(1);
});

it('lets the learning rate fall in a line or as a cosine, down to the lowest and no further', () => {
  const rates = (kind: 'constant' | 'linear' | 'cosine') =>
    [1, 2, 3, 5, 7, 9].map((step) => learningRate(step, { lr: 1, kind, warmupSteps: 2, decaySteps: 4, minRatio: 0.2 }));
  expect(rates('constant')).toEqual([0.5, 1, 1, 1, 1, 1]);
  expect(rates('linear').map((rate) => +rate.toFixed(6))).toEqual([0.5, 1, 1, 0.6, 0.2, 0.2]);
  expect(rates('cosine').map((rate) => +rate.toFixed(6))).toEqual([0.5, 1, 1, 0.6, 0.2, 0.2]);
  const quarter = learningRate(4, { lr: 1, kind: 'cosine', warmupSteps: 2, decaySteps: 4, minRatio: 0 });
  expect(quarter).toBeCloseTo((1 + Math.cos(Math.PI / 4)) / 2, 12);
});
