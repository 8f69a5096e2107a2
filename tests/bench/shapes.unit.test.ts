import { expect, it } from 'vitest';
import { covered } from '../../bench/grpo/covered';
import { FAMILIES, flopsOf, operandsOf, shapesOf } from '../../bench/matmul/shapes';
import { layerElements } from '../../bench/scale/arithmetic';
import { MODELS } from '../../bench/scale/models';

it('every product of a layer is there once, forward and backward', () => {
  const shapes = shapesOf(FAMILIES);
  const keys = shapes.map(({ layout, m, n, k }) => `${layout} ${m} ${n} ${k}`);
  expect(new Set(keys).size).toBe(keys.length);
  // 5 layers of S of which two have one shape, 5 of M, 4 of SmolLM2; three products each.
  expect(shapes).toHaveLength(3 * (4 + 5 + 4));
  expect(shapes.find(({ name }) => name === 'S out = S head')).toMatchObject({ layout: 'NT', m: 2048, n: 64, k: 64 });
  // Forward, and the two of its backward, of one matrix: q, k, v of SmolLM2, 576 to (9 + 2 x 3) x 64.
  expect(keys).toEqual(expect.arrayContaining(['NT 512 960 576', 'NN 512 576 960', 'TN 960 576 512']));
});

it('the products of SmolLM2’s layers do the work of its layers’ elements', () => {
  const layers = shapesOf([FAMILIES.at(-1)!]);
  const forward = layers.filter(({ layout }) => layout === 'NT').reduce((sum, shape) => sum + flopsOf(shape), 0);
  const { config } = MODELS[0]!;
  expect(forward * config.layers).toBe(2 * 512 * layerElements(config));
  expect(layers.reduce((sum, shape) => sum + flopsOf(shape), 0)).toBe(3 * forward);
});

it('operands lie as the layout says', () => {
  const [m, n, k] = [6, 4, 2];
  expect(operandsOf({ name: '', layout: 'NT', m, n, k })).toEqual({ a: [6, 2], b: [4, 2] });
  expect(operandsOf({ name: '', layout: 'NN', m, n, k })).toEqual({ a: [6, 2], b: [2, 4] });
  expect(operandsOf({ name: '', layout: 'TN', m, n, k })).toEqual({ a: [2, 6], b: [2, 4] });
});

it('time that several rewards take at once counts once', () => {
  const span = (start: number, end: number) => ({ start, end });
  expect(covered([])).toBe(0);
  expect(covered([span(5, 6), span(0, 2), span(1, 3)])).toBe(4);
  expect(covered([span(0, 10), span(2, 3), span(9, 12)])).toBe(12);
});
