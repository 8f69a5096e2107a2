/** @file alphabet-sort: sort a list that grows from turn to turn. */
import { z } from 'zod';
import { libraryEntryOf, seedOption } from '../entry';
import { LETTERS } from '../words';
import { loadFull } from './full';
import { loadMini } from './mini';

export { AlphabetSortEnv } from './env';

const turns = z.int().min(1).max(3);

const options = z.object({
  seed: seedOption,
  size: z.enum(['full', 'mini']).default('full').describe('Names for pretrained models, or letters for tiny ones'),
  minTurns: turns.default(1).describe('Turns of the shortest task'),
  maxTurns: turns.default(3).describe('Turns of the longest task'),
  maxNamesPerTurn: z.int().min(1).max(20).default(5).describe('Names in a turn at most (full)'),
  similarityPower: z.number().positive().max(64).default(4).describe('To which the likeness is raised (full)'),
  powerPerTurn: z.boolean().default(true).describe('Raise each turn before the mean, not the mean (full)'),
});

const ordered = [
  ({ minTurns, maxTurns }: { minTurns: number; maxTurns: number }) => minTurns <= maxTurns,
  'minTurns is larger than maxTurns',
] as const;

export const alphabetSort = libraryEntryOf({
  name: 'alphabet-sort',
  title: 'Alphabet sort',
  summary: 'Sort a list of names that grows from turn to turn.',
  tags: ['text', 'sorting', 'multi-turn'],
  examplePrompts: ['Put these people into alphabetical order of the LAST name: VostaiTremal, BrinKoudra'],
  options: options.refine(...ordered),
  load: (given) => (given.size === 'mini' ? loadMini(given) : loadFull(given)),
});

export const alphabetSortMini = libraryEntryOf({
  name: 'alphabet-sort-mini',
  title: 'Alphabet sort, mini',
  summary: 'Sort letters that come two or three a turn.',
  tags: ['text', 'sorting', 'multi-turn'],
  examplePrompts: ['kc', 'zeb'],
  tiny: { alphabet: LETTERS, context: 37 },
  options: options.pick({ seed: true, minTurns: true, maxTurns: true }).refine(...ordered),
  load: loadMini,
});
