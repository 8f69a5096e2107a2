/**
 * @file The encyclopedia of wiki-search-mini. Its names are two syllables; every task has a world of its own, in which the
 * same names stand for other facts, so that nothing can be learned by heart.
 */
import { PURPOSE, Random, deriveKey, subKey } from '../../../random';
import type { RandomKey } from '../../../random';

const FIRST = 'Nor Tam Bel Dun Kar Vel Mor Sil Ost Fen Gal Hur Lin Rav Tesh Ulm Wex Yar Zan Bri Cor Dov Eld Jas'.split(
  ' ',
);
const LAST = 'vel mar bek dor lin wick ton ra mo sha ven del gar nis pol que rok sun tir ula vor xan yth zel'.split(
  ' ',
);
const COLOURS = 'red blue green gold black white grey pink'.split(' ');
const ATTRIBUTES = 'capital river colour founder year port king lake'.split(' ');
const DIGITS = [...'0123456789'];
const OTHERS = [
  ' what',
  ' of',
  '?',
  'search(',
  'read(',
  ')',
  ' #',
  ';',
  ':',
  ' none',
  ' error',
  ' is',
  ' the',
  ' ',
  ' unknown',
];

/** Every text of the environment is put together from these: the word tokenizer of its models. Some are the recipe's alone. */
export const WIKI_VOCABULARY: readonly string[] = [
  ...FIRST.map((syllable) => ` ${syllable}`),
  ...LAST,
  ...COLOURS.map((word) => ` ${word}`),
  ...ATTRIBUTES.map((word) => ` ${word}`),
  ...DIGITS,
  ...OTHERS,
];

export const FACTS_PER_PAGE = 4;
const RESULTS = 3;

export type Split = 'train' | 'eval';

/** The titles of both splits: 300 and 100 of 576 names. The same for every seed, so that no checkpoint has seen the latter. */
export const TITLES: Readonly<Record<Split, readonly string[]>> = (() => {
  const names = new Random(deriveKey(0, PURPOSE.dataset)).shuffle(FIRST.flatMap((a) => LAST.map((b) => a + b)));
  return { train: names.slice(0, 300), eval: names.slice(300, 400) };
})();

/** An attribute and its value; the value begins with its space. */
export interface Fact {
  attribute: string;
  value: string;
}

/** One task's encyclopedia. Everything in it is a function of its key. */
export class MiniWorld {
  readonly titles: readonly string[];

  constructor(
    private readonly key: RandomKey,
    split: Split,
  ) {
    this.titles = TITLES[split];
  }

  /** The world of task `index`. */
  static of(seed: number, split: Split, index: number): MiniWorld {
    return new MiniWorld(deriveKey(seed, PURPOSE.dataset, split === 'train' ? 0 : 1, index), split);
  }

  /** What the page of a title says. */
  facts(title: string): Fact[] {
    return randomFacts(new Random(subKey(this.key, 1, this.titles.indexOf(title))), FACTS_PER_PAGE);
  }

  /** The task: a title, and one of its facts. */
  question(): { title: string; fact: Fact } {
    const random = new Random(subKey(this.key, 0));
    const title = random.pick(this.titles);
    return { title, fact: random.pick(this.facts(title)) };
  }

  /** Titles found for a title: itself and two that share no syllable with it, in random order; none for another text. */
  search(title: string, turn: number): string[] {
    if (!this.titles.includes(title)) return [];
    const random = new Random(subKey(this.key, 2, turn));
    const [first, last] = syllables(title);
    const others = this.titles.filter((other) => {
      const [a, b] = syllables(other);
      return a !== first && b !== last;
    });
    return random.shuffle([title, ...random.sample(others, RESULTS - 1)]);
  }
}

/** Facts about different attributes. */
export function randomFacts(random: Random, count: number, attributes: readonly string[] = ATTRIBUTES): Fact[] {
  return random.sample(attributes, count).map((attribute) => ({ attribute, value: randomValue(random, attribute) }));
}

/** A value that an attribute may have: a colour, a year, or a name. */
export function randomValue(random: Random, attribute: string): string {
  if (attribute === 'colour') return ` ${random.pick(COLOURS)}`;
  if (attribute === 'year') return ` ${random.between(100, 999)}`;
  return ` ${random.pick(FIRST)}${random.pick(LAST)}`;
}

/** The attributes whose values are names. */
export const NAME_ATTRIBUTES = ATTRIBUTES.filter((attribute) => attribute !== 'colour' && attribute !== 'year');

function syllables(title: string): [string, string] {
  const first = FIRST.find((syllable) => title.startsWith(syllable))!;
  return [first, title.slice(first.length)];
}
