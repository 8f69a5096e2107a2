/** @file Names that nobody bears: put together from syllables, never taken from a list. */
import type { Random } from '../../random';

const ONSETS = 'b br c d dr f g gr h j k kr l m n p r s st t tr v w y z'.split(' ');
const VOWELS = [...'aeiouaeioa'];
const CODAS = ['', '', '', 'l', 'm', 'n', 'n', 'r', 'r', 's', 'nd', 'rt'];

/** One open syllable: `dra`, `ve`. */
export function syllable(random: Random): string {
  return random.pick(ONSETS) + random.pick(VOWELS);
}

/** A capitalised name of some syllables: `Draven`. */
export function syllableName(random: Random, syllables = 2): string {
  const name = Array.from({ length: syllables }, () => syllable(random)).join('') + random.pick(CODAS);
  return capitalized(name);
}

export function capitalized(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

/** Draws until the name is not among those that are taken, and takes it. */
export function freshName(taken: Set<string>, draw: () => string): string {
  for (;;) {
    const name = draw();
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}
