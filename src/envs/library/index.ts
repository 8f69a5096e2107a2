/** @file The environments that ship with Terrarium, by name. */
import type { Environment } from '../environment';
import { loadEnvironment as evenDigits } from './even-digits';
import { loadEnvironment as reverseText } from './reverse-text';

/** How an environment is listed before it is loaded. */
export interface LibraryEntry {
  name: string;
  title: string;
  summary: string;
  /** What somebody might ask the model to see what the task is. */
  examplePrompt: string;
  load: (options?: { seed?: number }) => Environment;
}

export const LIBRARY: readonly LibraryEntry[] = [
  {
    name: 'reverse-text',
    title: 'Reverse text',
    summary: 'Write a word of random letters backwards.',
    examplePrompt: 'terrain',
    load: reverseText,
  },
  {
    name: 'even-digits',
    title: 'Even digits',
    summary: 'Say eight even digits. From random weights, without a demonstration.',
    examplePrompt: '',
    load: evenDigits,
  },
];

/** An environment that is not in the library. */
export class UnknownEnvironmentError extends Error {
  override name = 'UnknownEnvironmentError';
}

/**
 * Finds an environment by name.
 * @throws UnknownEnvironmentError listing the names there are
 */
export function libraryEntry(name: string): LibraryEntry {
  const entry = LIBRARY.find((candidate) => candidate.name === name);
  if (entry) return entry;
  const names = LIBRARY.map((candidate) => candidate.name).join(', ');
  throw new UnknownEnvironmentError(`there is no environment "${name}"; the library has ${names}`);
}
