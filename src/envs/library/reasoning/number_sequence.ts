/** @file number-sequence: find the rule that numbers follow, and the next one. */
import type { Random } from '../../../random';
import type { Difficulty, DrawPuzzle } from './puzzle';

const SHOWN = 6;

/** Endless sequences: the numbers so far give the next. */
type Rule = (random: Random, difficulty: Difficulty) => { first: number[]; next: (so: readonly number[]) => number };

const last = (numbers: readonly number[], back = 1) => numbers[numbers.length - back]!;

/** The same step each time. */
const steady: Rule = (random, difficulty) => {
  const step = random.between(2, 6 * difficulty) * random.pick([1, -1]);
  return { first: [random.between(0, 50 * difficulty)], next: (so) => last(so) + step };
};

/** Steps that grow steadily themselves. */
const growing: Rule = (random, difficulty) => {
  const [start, growth] = [random.between(1, 9), random.between(1, 2 + difficulty)];
  return { first: [random.between(0, 50)], next: (so) => last(so) + start + growth * (so.length - 1) };
};

/** Two steps in turns. */
const inTurns: Rule = (random, difficulty) => {
  const [up, down] = [random.between(4, 5 * difficulty), random.between(1, 3)];
  return { first: [random.between(0, 50)], next: (so) => last(so) + (so.length % 2 === 1 ? up : -down) };
};

/** Times a number, plus another. */
const multiplied: Rule = (random) => {
  const [factor, more] = [random.between(2, 3), random.between(0, 9)];
  return { first: [random.between(1, 9)], next: (so) => factor * last(so) + more };
};

/** Each the sum of the two before it. */
const summed: Rule = (random, difficulty) => ({
  first: [random.between(1, 5 * difficulty), random.between(1, 5 * difficulty)],
  next: (so) => last(so) + last(so, 2),
});

const RULES: readonly (readonly Rule[])[] = [
  [steady],
  [steady, growing],
  [growing, inTurns, multiplied],
  [inTurns, multiplied, summed],
  [growing, multiplied, summed],
];

export const numberSequence: DrawPuzzle = (random, difficulty) => {
  const { first, next } = random.pick(RULES[difficulty - 1]!)(random, difficulty);
  const numbers = [...first];
  while (numbers.length <= SHOWN) numbers.push(next(numbers));
  const answer = numbers[SHOWN]!;
  // The last step once more is what comes to mind first; where that is right, one beside it.
  const guess = 2 * numbers[SHOWN - 1]! - numbers[SHOWN - 2]!;
  return {
    question: `Which number comes next: ${numbers.slice(0, SHOWN).join(', ')}?`,
    answer: String(answer),
    wrong: String(guess === answer ? answer + 1 : guess),
  };
};
