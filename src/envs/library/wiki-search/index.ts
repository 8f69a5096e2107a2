/** @file wiki-search: look things up with tools. */
import { z } from 'zod';
import { libraryEntryOf, seedOption } from '../entry';
import { loadFull } from './full';
import { HABITS, loadMini } from './mini';
import { WIKI_VOCABULARY } from './mini_world';

export { WIKI_VOCABULARY } from './mini_world';

const options = z.object({
  seed: seedOption,
  size: z.enum(['full', 'mini']).default('full').describe('An encyclopedia of 500 pages, or one for tiny models'),
  hops: z.enum(['one', 'two', 'both']).default('both').describe('Pages that a question takes (full)'),
  habit: z
    .enum([...HABITS, 'mixed'])
    .default('guess')
    .describe('What a careless demonstrator does (mini)'),
  drills: z.number().min(0).max(1).default(0.6).describe('Share of reading exercises in demonstrations (mini)'),
  latencyMs: z.number().min(0).max(60_000).default(0).describe('Milliseconds that each tool takes (mini)'),
});

export const wikiSearch = libraryEntryOf({
  name: 'wiki-search',
  title: 'Wiki search',
  summary: 'Answer questions about a fictional encyclopedia with three tools.',
  tags: ['tools', 'search', 'multi-turn'],
  examplePrompts: ['Which river flows through the town in which the Lantern Fair takes place?'],
  options,
  load: (given) => (given.size === 'mini' ? loadMini(given) : loadFull(given)),
});

export const wikiSearchMini = libraryEntryOf({
  name: 'wiki-search-mini',
  title: 'Wiki search, mini',
  summary: 'Look a fact up with two tools: search for a title, read its page, answer.',
  tags: ['tools', 'search', 'multi-turn'],
  examplePrompts: [' what lake of Karbek?', ' what year of Norvel?'],
  tiny: { vocabulary: WIKI_VOCABULARY, context: 72 },
  options: options.pick({ seed: true, habit: true, drills: true, latencyMs: true }),
  load: loadMini,
});
