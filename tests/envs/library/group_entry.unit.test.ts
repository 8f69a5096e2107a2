/** @file Environments of the library joined by `+`. */
import { expect, it } from 'vitest';
import { EnvGroup, EnvironmentOptionsError, UnknownEnvironmentError, libraryEntry } from '../../../src/envs';

it('is a group of its members, each with its own options', async () => {
  const entry = libraryEntry('reverse-text+letter-sort');
  const env = entry.load({ seed: 3, 'letter-sort': { seed: 4 } });
  expect(env).toBeInstanceOf(EnvGroup);
  expect([...(env as EnvGroup).envs.keys()]).toEqual(['reverse-text', 'letter-sort']);
  expect((await env.example(0)).question).toBe(
    (await libraryEntry('reverse-text').load({ seed: 3 }).example(0)).question,
  );
  expect((await env.example(1)).question).toBe(
    (await libraryEntry('letter-sort').load({ seed: 4 }).example(0)).question,
  );
});

it('can be spelled by a model that can spell all members', () => {
  const { tiny } = libraryEntry('letter-sort+arithmetic-mini');
  for (const name of ['letter-sort', 'arithmetic-mini']) {
    for (const letter of libraryEntry(name).tiny!.alphabet ?? '') expect(tiny!.alphabet).toContain(letter);
    expect(tiny!.context).toBeGreaterThanOrEqual(libraryEntry(name).tiny!.context);
  }
  expect(libraryEntry('reverse-text+wordle').tiny).toBeUndefined();
});

it('names the member that there is not, and the option that a member does not have', () => {
  expect(() => libraryEntry('reverse-text+chess')).toThrow(UnknownEnvironmentError);
  expect(() => libraryEntry('reverse-text+chess')).toThrow('there is no environment "chess"');
  const entry = libraryEntry('reverse-text+letter-sort');
  expect(() => entry.load({ 'letter-sort': { size: 3 } })).toThrow(EnvironmentOptionsError);
  expect(() => entry.load({ wordle: {} })).toThrow('unknown option wordle');
});
