/** @file chain-sum: several numbers added and subtracted. */
import type { DrawPuzzle } from './puzzle';

export const chainSum: DrawPuzzle = (random, difficulty) => {
  const largest = [9, 99, 99, 999, 9999][difficulty - 1]!;
  const terms = Array.from({ length: difficulty + 2 }, () => random.between(1, largest));
  const signs = terms.map((_, i) => (i === 0 || random.next() < 0.5 ? 1 : -1));
  const value = terms.reduce((sum, term, i) => sum + signs[i]! * term, 0);
  const text = terms.map((term, i) => (i === 0 ? String(term) : `${signs[i]! > 0 ? '+' : '-'} ${term}`)).join(' ');
  return {
    question: `What is ${text}?`,
    answer: String(value),
    wrong: String(value + random.pick([-10, -2, -1, 1, 2, 10])),
  };
};
