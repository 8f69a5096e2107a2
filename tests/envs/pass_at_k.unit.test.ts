import { expect, it } from 'vitest';
import { outputMeans, passAtK, passHatK, passRates } from '../../src/envs/eval/pass_at_k';
import { passkCases } from '../checks/verifiers_passk';

it('equals verifiers on passk.json', () => {
  expect(passkCases('tests/oracle/verifiers').filter(({ ok }) => !ok)).toEqual([]);
});

it('stays exact at the edges and for large n', () => {
  expect(passAtK(10, 0, 5)).toBe(0);
  expect(passAtK(10, 6, 5)).toBe(1);
  expect(passAtK(4, 1, 4)).toBe(1);
  expect(passHatK(10, 10, 10)).toBe(1);
  expect(passHatK(10, 4, 5)).toBe(0);
  expect(passAtK(1e6, 1, 1)).toBeCloseTo(1e-6, 15);
  expect(passAtK(1e6, 1, 5e5)).toBeCloseTo(0.5, 12);
  expect(passHatK(1e6, 5e5, 2)).toBeCloseTo(0.25, 6);
  expect(passHatK(1e5, 5e4, 5e4)).toBe(0); // 1e-30100: below the smallest double
});

it('agrees with counting every draw', () => {
  for (let n = 1; n <= 7; n++) {
    for (let c = 0; c <= n; c++) {
      for (let k = 1; k <= n; k++) {
        let [draws, any, all] = [0, 0, 0];
        for (let set = 0; set < 2 ** n; set++) {
          const drawn = Array.from({ length: n }, (_, i) => i).filter((i) => (set >> i) & 1);
          if (drawn.length !== k) continue;
          draws++;
          if (drawn.some((i) => i < c)) any++;
          if (drawn.every((i) => i < c)) all++;
        }
        expect(passAtK(n, c, k)).toBeCloseTo(any / draws, 12);
        expect(passHatK(n, c, k)).toBeCloseTo(all / draws, 12);
      }
    }
  }
});

it.each([
  [4, 5, 1],
  [4, -1, 1],
  [4, 1, 0],
  [4, 1, 5],
  [4, 1.5, 1],
  [NaN, 1, 1],
])('refuses n=%s, c=%s, k=%s', (n, c, k) => {
  expect(() => passAtK(n, c, k)).toThrow(RangeError);
  expect(() => passHatK(n, c, k)).toThrow(RangeError);
});

it('does not take a rollout that was never scored for a wrong one', () => {
  const outputs = [
    { example_id: 0, reward: 1 },
    { example_id: 0, reward: null },
    { example_id: 1, reward: 1 },
    { example_id: 1, reward: 0 },
  ];
  expect(passRates(outputs, { rolloutsPerExample: 2 }).passAtK).toEqual({ 1: 0.5, 2: 1 });
  expect(outputMeans(outputs).reward).toEqual({ mean: 2 / 3, count: 3 });
});
