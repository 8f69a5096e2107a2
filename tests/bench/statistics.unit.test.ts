import { expect, it } from 'vitest';
import { describeRatio, geometricMean, largestDifference, median, ratioOf } from '../../bench/statistics';
import { figure, markdownTable, textTable } from '../../bench/table';

it('a median is the middle one, or the mean of the two in the middle, and leaves its input as it is', () => {
  const values = [9, 1, 5];
  expect(median(values)).toBe(5);
  expect(values).toEqual([9, 1, 5]);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(() => median([])).toThrow(RangeError);
});

it('twice as fast and half as fast are in the mean as fast', () => {
  expect(geometricMean([2, 0.5])).toBeCloseTo(1, 12);
  expect(geometricMean([1, 8])).toBeCloseTo(Math.sqrt(8), 12);
  expect(() => geometricMean([])).toThrow(RangeError);
});

it('a ratio is one of medians; one disturbed turn shows in its spread alone', () => {
  const ratio = ratioOf([20, 22, 90], [10, 11, 9]);
  expect(ratio).toEqual({ ofMedians: 2.2, rounds: [2, 2, 10] });
  expect(describeRatio(ratio)).toBe('2.20 (2.00 to 10.00)');
  expect(() => ratioOf([1, 2], [1])).toThrow('2 rounds against 1');
});

it('a NaN on either side is no agreement', () => {
  expect(largestDifference([1, 2, 0], [1, 2.5, 0])).toBeCloseTo(0.2, 12);
  expect(largestDifference([1, NaN], [1, 2])).toBeNaN();
  expect(largestDifference([1, 2, 3], [1, NaN, 3])).toBeNaN();
  expect(() => largestDifference([1], [])).toThrow(RangeError);
});

it('tables line up their figures', () => {
  const rows = [
    ['ours', '9.5'],
    ['jax-js', '120'],
  ];
  expect(textTable(['', 'ms'], rows)).toBe('         ms\nours    9.5\njax-js  120\n');
  expect(markdownTable(['', 'ms'], rows)).toBe('|  | ms |\n| --- | ---: |\n| ours | 9.5 |\n| jax-js | 120 |\n');
  expect([0.012345, 3.14159, 99.96, 12345.6].map(figure)).toEqual(['0.0123', '3.14', '100', '12,346']);
});
