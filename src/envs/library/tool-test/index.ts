/** @file tool-test: call just the tools that are named. */
import { z } from 'zod';
import { libraryEntryOf, seedOption } from '../entry';
import { loadFull } from './full';
import { loadMini } from './mini';

const options = z.object({
  seed: seedOption,
  size: z.enum(['full', 'mini']).default('full').describe('All calls in one reply, or one call a turn for tiny models'),
});

export const toolTest = libraryEntryOf({
  name: 'tool-test',
  title: 'Tool test',
  summary: 'Call just the tools that are named, all in one reply.',
  tags: ['tools', 'single-turn'],
  examplePrompts: ['Call these tools, each once, with any arguments, all in this one reply: tool_B, tool_D'],
  options,
  load: (given) => (given.size === 'mini' ? loadMini(given) : loadFull(given)),
});

export const toolTestMini = libraryEntryOf({
  name: 'tool-test-mini',
  title: 'Tool test, mini',
  summary: 'Call the named tools, one a turn.',
  tags: ['tools', 'multi-turn'],
  examplePrompts: ['inc sqr', 'neg'],
  tiny: { alphabet: 'abcdefghijklmnopqrstuvwxyz0123456789 ()-', context: 53 },
  options: options.pick({ seed: true }),
  load: loadMini,
});
