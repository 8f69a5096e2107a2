/** @file How an environment is listed before it is loaded, and how the options it is loaded with are checked. */
import { z } from 'zod';
import type { Environment } from '../environment';
import { nearestName } from './nearest';

/** What a model of a few thousand parameters must be able to spell, and for how long. */
export interface TinyNeeds {
  /** Characters that occur in its texts, where the environment is made for a character tokenizer. */
  alphabet?: string;
  /** Words of which every one of its texts is put together, where it is made for a word tokenizer. */
  vocabulary?: readonly string[];
  /** Tokens of its longest demonstration, special tokens included, with the options' defaults. */
  context: number;
}

/** An environment as its folder describes it. */
export interface EntryDefinition<Options extends z.ZodObject> {
  /** By which settings and commands name it. */
  name: string;
  title: string;
  summary: string;
  /** For finding it. */
  tags: readonly string[];
  /** What somebody might ask the model to see what the task is. */
  examplePrompts: readonly [string, ...string[]];
  /** Present where it is made for models that are trained here from scratch; absent: for pretrained ones. */
  tiny?: TinyNeeds;
  /** Its options, each with a default and a description. */
  options: Options;
  load: (options: z.output<Options>) => Environment;
}

export interface LibraryEntry extends Omit<EntryDefinition<z.ZodObject>, 'load'> {
  /** The models it is made for. */
  model: 'tiny' | 'pretrained';
  /** The first of the example prompts. */
  examplePrompt: string;
  /**
   * Loads it. Options may be written as here or in snake case, as in settings files: `minLength`, `min_length`.
   * @throws EnvironmentOptionsError naming the option, and for an unknown one the nearest known
   */
  load: (options?: Readonly<Record<string, unknown>>) => Environment;
}

/** Options that an environment does not have, or values that it does not take. */
export class EnvironmentOptionsError extends Error {
  override name = 'EnvironmentOptionsError';
}

/** The option that every environment has. */
export const seedOption = z.int().nonnegative().default(0).describe('Seed of the tasks');

/** Makes a folder's description into a list entry. */
export function libraryEntryOf<Options extends z.ZodObject>(definition: EntryDefinition<Options>): LibraryEntry {
  const { name, options, examplePrompts, tiny } = definition;
  return {
    ...definition,
    model: tiny ? 'tiny' : 'pretrained',
    examplePrompt: examplePrompts[0],
    load: (given = {}) => definition.load(parseOptions(name, options, given)),
  };
}

/**
 * Checks an environment's options and fills in the defaults.
 * @throws EnvironmentOptionsError naming every option that is wrong
 */
export function parseOptions<Options extends z.ZodObject>(
  name: string,
  schema: Options,
  given: Readonly<Record<string, unknown>>,
): z.output<Options> {
  const known = Object.keys(schema.shape);
  const camelCase = (key: string) => key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const renamed = Object.fromEntries(Object.entries(given).map(([key, value]) => [camelCase(key), value]));
  const result = schema.strict().safeParse(renamed);
  if (result.success) return result.data as z.output<Options>;
  const problems = result.error.issues.flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') {
      return issue.path.length > 0 ? `option ${issue.path.join('.')}: ${issue.message}` : issue.message;
    }
    return issue.keys.map((key) => {
      const near = nearestName(key, known);
      return `unknown option ${key}; ${near ? `did you mean ${near}?` : `the options are ${known.join(', ')}`}`;
    });
  });
  throw new EnvironmentOptionsError(problems.map((problem) => `${name}: ${problem}`).join('\n'));
}
