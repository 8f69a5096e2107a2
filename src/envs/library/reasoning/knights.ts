/** @file knights: who always lies? Each of some people says something about another, and only one answer fits. */
import type { Random } from '../../../random';
import { NAMES } from './puzzle';
import type { DrawPuzzle } from './puzzle';

/** What somebody says about one or two others, by index. */
interface Claim {
  text: string;
  /** @param truthful who tells the truth, by index */
  holds: (truthful: readonly boolean[]) => boolean;
}

export const knights: DrawPuzzle = (random, difficulty) => {
  const people = random.sample(NAMES, Math.min(6, difficulty + 1)).sort();
  for (;;) {
    const claims = people.map((_, i) => claimOf(i, people, random));
    const fitting = solutions(claims);
    if (fitting.length !== 1) continue;
    const [truthful] = fitting;
    const liars = people.filter((_, i) => !truthful![i]);
    const said = claims.map(({ text }, i) => `${people[i]!} says: "${text}"`).join(' ');
    const others = people.filter((name) => !liars.includes(name));
    return {
      question:
        `Of ${list(people)} each either always tells the truth or always lies. ${said} ` +
        'Who lies? Answer with the names in alphabetical order with commas between them, or with nobody.',
      answer: liars.join(', ') || 'nobody',
      wrong: others.join(', ') || 'nobody',
    };
  }
};

/** All ways to tell the truth or lie that fit what is said: the truthful say what holds, liars what does not. */
function solutions(claims: readonly Claim[]): boolean[][] {
  return Array.from({ length: 2 ** claims.length }, (_, bits) => claims.map((__, i) => ((bits >> i) & 1) === 1)).filter(
    (truthful) => claims.every(({ holds }, i) => holds(truthful) === truthful[i]),
  );
}

function claimOf(speaker: number, people: readonly string[], random: Random): Claim {
  const others = people.map((_, i) => i).filter((i) => i !== speaker);
  const a = random.pick(others);
  const rest = others.filter((i) => i !== a);
  const [x, y] = [people[a]!, rest.length > 0 ? people[random.pick(rest)]! : undefined];
  const b = y === undefined ? a : people.indexOf(y);
  const simple: Claim[] = [
    { text: `${x} lies.`, holds: (truthful) => !truthful[a] },
    { text: `${x} tells the truth.`, holds: (truthful) => truthful[a]! },
  ];
  if (y === undefined) {
    return random.pick([
      ...simple,
      { text: `${x} and I are of the same kind.`, holds: (truthful) => truthful[a] === truthful[speaker] },
    ]);
  }
  return random.pick([
    ...simple,
    { text: `${x} and ${y} both lie.`, holds: (truthful) => !truthful[a] && !truthful[b] },
    { text: `${x} or ${y} lies, or both do.`, holds: (truthful) => !truthful[a] || !truthful[b] },
    { text: `${x} and ${y} are of the same kind.`, holds: (truthful) => truthful[a] === truthful[b] },
  ]);
}

function list(names: readonly string[]): string {
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)!}`;
}
