/** @file ordering: put people into a row by comparisons of two at a time. */
import { NAMES } from './puzzle';
import type { DrawPuzzle } from './puzzle';

const ORDINALS = ['oldest', 'second oldest', 'third oldest', 'fourth oldest', 'fifth oldest', 'sixth oldest'];

export const ordering: DrawPuzzle = (random, difficulty) => {
  const people = random.sample(NAMES, difficulty + 2);
  // Neighbours suffice for one order only; they come in any order, and from either side.
  const clues = people.slice(1).map((younger, i) => {
    const older = people[i]!;
    return random.next() < 0.5 ? `${older} is older than ${younger}.` : `${younger} is younger than ${older}.`;
  });
  const place = random.below(Math.min(people.length, ORDINALS.length));
  return {
    question: `${random.shuffle(clues).join(' ')} Who is the ${ORDINALS[place]!}?`,
    answer: people[place]!,
    wrong: random.pick(people.filter((_, i) => i !== place)),
  };
};
