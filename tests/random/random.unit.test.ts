import { expect, it } from 'vitest';
import { PURPOSE, Random, deriveKey, threefry, uniform } from '../../src/random';

// Known answers of Random123's threefry2x32-20.
it.each([
  [
    [0, 0],
    [0, 0],
    [0x6b200159, 0x99ba4efe],
  ],
  [
    [0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x1cb996fc, 0xbb002be7],
  ],
  [
    [0x13198a2e, 0x03707344],
    [0x243f6a88, 0x85a308d3],
    [0xc4923a9c, 0x483df7a0],
  ],
] as const)('threefry under key %j at counter %j', (key, counter, expected) => {
  expect(threefry(key, counter)).toEqual(expected);
});

it('gives every path another key', () => {
  const keys = new Set<string>();
  for (const seed of [0, 1, 2 ** 40]) {
    for (const purpose of Object.values(PURPOSE)) {
      for (const index of [0, 1, 7]) keys.add(deriveKey(seed, purpose, index).join());
    }
  }
  expect(keys.size).toBe(3 * Object.keys(PURPOSE).length * 3);
  expect(() => deriveKey(-1)).toThrow(RangeError);
  expect(() => deriveKey(0.5)).toThrow(RangeError);
});

it('draws uniform, normal and whole numbers with the right moments', () => {
  const random = new Random(deriveKey(1));
  const n = 20_000;
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const uniforms = Array.from({ length: n }, () => random.next());
  expect(Math.min(...uniforms)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...uniforms)).toBeLessThan(1);
  expect(mean(uniforms)).toBeCloseTo(0.5, 2);
  const normals = Array.from({ length: n }, () => random.normal());
  expect(mean(normals)).toBeCloseTo(0, 1);
  expect(mean(normals.map((v) => v * v))).toBeCloseTo(1, 1);
  const dice = new Set(Array.from({ length: 500 }, () => random.between(1, 6)));
  expect([...dice].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  expect(random.shuffle([1, 2, 3, 4]).toSorted()).toEqual([1, 2, 3, 4]);
  expect(() => random.sample([1], 2)).toThrow(RangeError);
  expect(() => random.pick([])).toThrow(RangeError);
});

it('uniform is a function of key and counter alone', () => {
  const key = deriveKey(3, 4);
  expect(uniform(key, 5)).toBe(uniform(key, 5));
  expect(uniform(key, 5)).not.toBe(uniform(key, 6));
  expect(uniform(key, 5) * 2 ** 24).toBe(Math.floor(uniform(key, 5) * 2 ** 24));
});
