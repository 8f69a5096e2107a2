import { expect, it } from 'vitest';
import { ContextLengthError, NO_ROW, packSequences } from '../../src/model';
import { PagePool } from '../../src/model/pages';
import { TINY } from '../checks/generation';

it('packs sequences end to end, with one row per token that carries loss', () => {
  const batch = packSequences(
    [
      { ids: [5, 6, 7, 6], mask: [0, 0, 1, 1], oldLogprobs: [0, 0, -1, -2], advantage: 0.5 },
      { ids: [9], mask: [0] },
      { ids: [8, 5], mask: [0, 1], referenceLogprobs: [0, -3], advantage: [0, 4] },
    ],
    TINY,
  );
  expect([batch.tokens, batch.rows, batch.sequences, batch.pairs]).toEqual([7, 3, 3, 10 + 1 + 3]);
  expect([...batch.positions]).toEqual([0, 1, 2, 3, 0, 0, 1]);
  expect([...batch.sequenceBegin]).toEqual([0, 0, 0, 0, 4, 5, 5]);
  expect([...batch.sequenceEnd]).toEqual([4, 4, 4, 4, 5, 7, 7]);
  expect([...batch.rowToken]).toEqual([1, 2, 5]);
  expect([...batch.targets]).toEqual([7, 6, 5]);
  expect([...batch.slot]).toEqual([NO_ROW, 0, 1, NO_ROW, NO_ROW, 2, NO_ROW]);
  expect([...batch.rowBegin]).toEqual([0, 2, 2, 3]);
  expect([...batch.behaviour]).toEqual([-1, 0, 0.5, -2, 0, 0.5, 0, -3, 4]);
  expect([...batch.rowsById.ids]).toEqual([5, 6, 7, 8, 9]);
  expect([...batch.rowsById.order]).toEqual([0, 6, 1, 3, 2, 5, 4]);
  expect([...batch.rowsById.begin]).toEqual([0, 2, 4, 5, 6, 7]);
});

it.each([
  [
    { ids: new Array(97).fill(1), mask: new Array(97).fill(0) },
    ContextLengthError,
    "sequence 0 has 97 tokens; this model's context is 96",
  ],
  [{ ids: [1, 56], mask: [0, 1] }, RangeError, 'token 1: id 56 is outside the vocabulary of 56'],
  [{ ids: [1, -1], mask: [0, 1] }, RangeError, 'id -1'],
  [{ ids: [1, 2.5], mask: [0, 1] }, RangeError, 'id 2.5'],
  [{ ids: [1, 2], mask: [1, 1] }, RangeError, 'its first token cannot carry loss'],
  [{ ids: [1, 2], mask: [0] }, RangeError, 'mask has another length'],
] as const)('refuses sequence %#', (sequence, type, message) => {
  expect(() => packSequences([sequence], TINY)).toThrow(type);
  expect(() => packSequences([sequence], TINY)).toThrow(message);
});

it('counts the owners of a page', () => {
  const pool = new PagePool(4);
  const pages = pool.take(3);
  pool.share(pages.slice(0, 1));
  pool.release(pages);
  expect(pool.available).toBe(3);
  pool.share(pages.slice(0, 1));
  expect(pool.reclaimable([pages.slice(0, 1)])).toBe(0); // one of two owners
  expect(pool.reclaimable([pages.slice(0, 1), pages.slice(0, 1)])).toBe(1);
  pool.release(pages.slice(0, 1));
  pool.release(pages.slice(0, 1));
  expect(pool.available).toBe(4);
  expect(() => pool.take(5)).toThrow('5 pages wanted, 4 free');
});
