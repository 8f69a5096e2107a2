/** @file roads: the fewest one-way roads from one town to another, if there is a way at all. */
import type { DrawPuzzle } from './puzzle';

const TOWNS = ['Alm', 'Bree', 'Cork', 'Dale', 'Elm', 'Ford', 'Glen', 'Hill', 'Isle'];

export const roads: DrawPuzzle = (random, difficulty) => {
  const towns = random.sample(TOWNS, difficulty + 3);
  const pairs = towns.flatMap((from) => towns.filter((to) => to !== from).map((to) => [from, to] as const));
  const built = random.sample(pairs, Math.round(1.5 * towns.length));
  const [start, goal] = random.sample(towns, 2);
  const steps = distance(built, start!, goal!);
  const map = built.map(([from, to]) => `${from} to ${to}`).join(', ');
  return {
    question:
      `There are one-way roads from ${map}. How many roads must one take at least to get from ${start!} to ${goal!}? ` +
      'Answer with a number, or with none if there is no way.',
    answer: steps === null ? 'none' : String(steps),
    wrong: steps === null ? String(random.between(2, towns.length - 1)) : random.pick([String(steps + 1), 'none']),
  };
};

/** Breadth first. */
function distance(built: readonly (readonly [string, string])[], start: string, goal: string): number | null {
  const steps = new Map([[start, 0]]);
  for (const [town, far] of steps) {
    if (town === goal) return far;
    for (const [from, to] of built) if (from === town && !steps.has(to)) steps.set(to, far + 1);
  }
  return null;
}
