/** @file The environments that ship with Terrarium, by name. */
import { alphabetSort, alphabetSortMini } from './alphabet-sort';
import { arithmetic, arithmeticMini } from './arithmetic';
import { codeMath, codeMathMini } from './code-math';
import { continuation } from './continuation';
import { doublecheck } from './doublecheck';
import type { LibraryEntry } from './entry';
import { evenDigits } from './even-digits';
import { GROUP_SEPARATOR, groupEntry } from './group_entry';
import { kuhnPoker } from './kuhn-poker';
import { letterSort } from './letter-sort';
import { nearestName } from './nearest';
import { numberGuessing } from './number-guessing';
import { reasoning } from './reasoning';
import { reverseText } from './reverse-text';
import { sentenceRepeater } from './sentence-repeater';
import { toolTest, toolTestMini } from './tool-test';
import { wikiSearch, wikiSearchMini } from './wiki-search';
import { wordle, wordleMini } from './wordle';

export { EnvironmentOptionsError } from './entry';
export type { LibraryEntry, TinyNeeds } from './entry';
export { loadEnvironment as loadContinuation } from './continuation';
export { WIKI_VOCABULARY } from './wiki-search';

export const LIBRARY: readonly LibraryEntry[] = [
  reverseText,
  evenDigits,
  letterSort,
  arithmetic,
  arithmeticMini,
  doublecheck,
  alphabetSort,
  alphabetSortMini,
  sentenceRepeater,
  wordle,
  wordleMini,
  toolTest,
  toolTestMini,
  wikiSearch,
  wikiSearchMini,
  codeMath,
  codeMathMini,
  numberGuessing,
  reasoning,
  continuation,
  kuhnPoker,
];

/** An environment that is not in the library. */
export class UnknownEnvironmentError extends Error {
  override name = 'UnknownEnvironmentError';
}

/**
 * Finds an environment by name, or several joined by `+` as a group.
 * @throws UnknownEnvironmentError listing the names there are
 */
export function libraryEntry(name: string): LibraryEntry {
  if (name.includes(GROUP_SEPARATOR)) return groupEntry(name.split(GROUP_SEPARATOR).map(libraryEntry));
  const entry = LIBRARY.find((candidate) => candidate.name === name);
  if (entry) return entry;
  const names = LIBRARY.map((candidate) => candidate.name);
  const near = nearestName(name, names);
  throw new UnknownEnvironmentError(
    `there is no environment "${name}"; the library has ${names.join(', ')}${near ? `. Did you mean ${near}?` : ''}`,
  );
}
