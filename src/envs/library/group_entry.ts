/** @file Several library environments as one, named by joining their names: `reverse-text+letter-sort`. */
import { z } from 'zod';
import { EnvGroup } from '../env_group';
import { libraryEntryOf, seedOption } from './entry';
import type { LibraryEntry, TinyNeeds } from './entry';

/** Between the names of a group's members. */
export const GROUP_SEPARATOR = '+';

/** A list entry for a group; each member's options are under its name. */
export function groupEntry(members: readonly LibraryEntry[]): LibraryEntry {
  const names = members.map(({ name }) => name);
  const tiny = tinyNeeds(members);
  return libraryEntryOf({
    name: names.join(GROUP_SEPARATOR),
    title: members.map(({ title }) => title).join(' + '),
    summary: `Tasks of ${names.join(' and ')}.`,
    tags: [...new Set(members.flatMap(({ tags }) => tags))],
    examplePrompts: [members[0]!.examplePrompt, ...members.slice(1).map(({ examplePrompt }) => examplePrompt)],
    ...(tiny && { tiny }),
    options: z.object({
      seed: seedOption,
      ...Object.fromEntries(
        names.map((name) => [name, z.record(z.string(), z.unknown()).default({}).describe(`Options of ${name}`)]),
      ),
    }),
    load: ({ seed, ...options }) =>
      new EnvGroup({
        name: names.join(GROUP_SEPARATOR),
        envs: members.map(({ name, load }) => load({ seed, ...(options as Record<string, object>)[name] })),
      }),
  });
}

/** What a tiny model needs for all of them; undefined where one of them is not made for tiny models. */
function tinyNeeds(members: readonly LibraryEntry[]): TinyNeeds | undefined {
  const needs = members.map(({ tiny }) => tiny);
  if (needs.some((need) => !need)) return undefined;
  const context = Math.max(...needs.map((need) => need!.context));
  const words = needs.flatMap((need) => need!.vocabulary ?? []);
  const characters = [...new Set(needs.flatMap((need) => [...(need!.alphabet ?? '')]))];
  if (words.length === 0) return { alphabet: characters.join(''), context };
  return { vocabulary: [...new Set([...words, ...characters])], context };
}
