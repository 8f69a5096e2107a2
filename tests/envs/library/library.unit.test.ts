import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { EnvironmentOptionsError, LIBRARY, UnknownEnvironmentError, libraryEntry } from '../../../src/envs';
import type { Environment, LibraryEntry, Message, Trace } from '../../../src/envs';
import { TinyChat, TinyTokenizer } from '../../../src/model';
import { ScriptedModel } from '../../scripted';
import { Fuzzer, ROLLOUT, demonstrationOf, replay } from './players';

const NAMES = LIBRARY.map(({ name }) => name);
/** Demonstrations, and none of them drills. */
const load = (name: string, seed = 0) =>
  libraryEntry(name).load({ seed, ...(name === 'wiki-search-mini' && { drills: 0 }) });
const DEMONSTRATED = NAMES.filter((name) => load(name).demonstrate);
/** In poker the best play may lose: its own tests say what its demonstrations are. */
const SOLVED = DEMONSTRATED.filter((name) => name !== 'kuhn-poker');
/** Games about a short list of words or cards that everybody knows: nothing is kept from the player. */
const SPLIT = DEMONSTRATED.filter((name) => name !== 'kuhn-poker' && name !== 'wordle-mini');
const TINY = LIBRARY.filter(({ model }) => model === 'tiny');

/** 100 kB of something that nobody expects. */
const HUGE = ['x'.repeat(100_000), '<alphabetical_sorted>\na\n'.repeat(4500), '\\boxed{'.repeat(14_000)];

/** The reward of somebody who understands nothing, and the highest there is. */
const REWARDS: Record<string, readonly [lowest: number, highest: number]> = {
  wordle: [0.04, 2.2],
  'kuhn-poker': [-2, 2],
};
const rewardsOf = (name: string) => REWARDS[name] ?? [0, 1];

/** A whole success; in wordle how early is a matter of luck. */
function isSolved(env: Environment, { reward }: Trace): boolean {
  return env.name === 'wordle' ? reward! >= env.passThreshold : reward === 1;
}

function play(env: Environment, index: number, reply: () => string | { message: Message }): Promise<Trace> {
  return env.example(index, 'eval').then((example) => env.rollout(example, new ScriptedModel(reply), ROLLOUT));
}

describe.each(NAMES)('%s', (name) => {
  it('has a title, a summary, tags, prompts and options with descriptions', () => {
    const entry = libraryEntry(name);
    for (const text of [entry.title, entry.summary, ...entry.tags]) expect(text).not.toBe('');
    expect(entry.examplePrompt).toBe(entry.examplePrompts[0]);
    expect(Object.keys(entry.options.shape)).toContain('seed');
    for (const option of Object.values<z.ZodType>(entry.options.shape)) expect(option.description).toBeTruthy();
    expect(entry.load().name).toBe(name);
    expect(entry.tags.length).toBeGreaterThan(0);
  });

  it('gives the same tasks for the same seed and others for another', async () => {
    const [a, b, c] = [load(name, 1), load(name, 1), load(name, 2)];
    const tasks = (env: Environment, split: 'train' | 'eval') =>
      Promise.all(Array.from({ length: 20 }, (_, i) => env.example(i, split)));
    for (const split of ['train', 'eval'] as const) {
      expect(await tasks(a, split)).toEqual(await tasks(b, split));
      if (name !== 'even-digits') expect(await tasks(a, split)).not.toEqual(await tasks(c, split));
    }
  });

  it('gives a wrong player the lowest reward', async () => {
    const env = load(name);
    for (let index = 0; index < 20; index++) {
      const trace = await play(env, index, () => '###');
      expect(trace.error).toBeNull();
      expect(trace.reward).toBeCloseTo(rewardsOf(name)[0], 12);
    }
  });

  it('survives 1,000 rollouts of a fuzzed player', async () => {
    const env = load(name);
    const fuzzer = new Fuzzer(5, env);
    for (let index = 0; index < 1000; index++) {
      const trace = await env.rollout(await env.example(index % 50, 'eval'), fuzzer.model(), ROLLOUT);
      expect(trace.error).toBeNull();
      expect(trace.reward).toBeGreaterThanOrEqual(Math.min(0, rewardsOf(name)[0]));
      expect(trace.reward).toBeLessThanOrEqual(rewardsOf(name)[1]);
    }
  }, 30_000);

  it('survives 100 kB of text', async () => {
    const env = load(name);
    for (const content of HUGE) {
      const toolCalls = env.toolSchemas().map((tool, i) => ({
        id: `call_${i}`,
        name: tool.name,
        arguments: JSON.stringify({ name: content, x: content, query: content, page_id: content, code: content }),
      }));
      const trace = await play(env, 0, () => ({
        message: { role: 'assistant', content, ...(toolCalls.length > 0 && { toolCalls }) },
      }));
      expect(trace.error).toBeNull();
      expect(trace.reward).toBeCloseTo(rewardsOf(name)[0], 2); // where likeness counts, some letters may be right
    }
  });
});

describe.each(SOLVED)('%s', (name) => {
  it('is solved by its demonstrations, and answers them as they say', async () => {
    const env = load(name, 3);
    for (let index = 0; index < 50; index++) {
      const demonstration = await demonstrationOf(env, index);
      const trace = await env.rollout(await env.example(index, 'eval'), replay(demonstration), ROLLOUT);
      expect([isSolved(env, trace), trace.error]).toEqual([true, null]);
      expect(trace.metrics.exactMatch ?? 1).toBe(1);
      // In one turn nothing is answered any more.
      if (trace.turns.length > 1) expect(trace.completion).toEqual(demonstration);
    }
  });

  it('demonstrates wrongly as often as asked', async () => {
    const env = load(name);
    const solved = async (careless: number, count: number) => {
      let sum = 0;
      for (let index = 0; index < count; index++) {
        const demonstration = await demonstrationOf(env, index, { split: 'train', careless });
        const trace = await env.rollout(await env.example(index), replay(demonstration), ROLLOUT);
        if (isSolved(env, trace)) sum++;
      }
      return sum / count;
    };
    expect(await solved(0, 50)).toBe(1);
    // Every turn may be wrong; and some mistakes come out right, such as the echo of a sorted word.
    expect(await solved(1, 100)).toBeLessThanOrEqual(0.12);
    if (name.startsWith('alphabet-sort') || name === 'sentence-repeater') return;
    const half = await solved(0.5, 200);
    expect(half).toBeGreaterThan(0.38);
    expect(half).toBeLessThan(0.65);
  });
});

it.each(SPLIT)('%s: eval tasks are never trained on', async (name) => {
  const env = load(name);
  const conversation = async (index: number, split: 'train' | 'eval') => {
    const { info, question, answer } = await env.example(index, split);
    return ['wordle', 'number-guessing'].includes(name) ? answer : JSON.stringify([question, info?.follow_ups]);
  };
  const train = new Set<string | undefined>();
  for (let i = 0; i < Math.min(2000, env.dataset.length); i++) train.add(await conversation(i, 'train'));
  for (let i = 0; i < Math.min(500, env.evalDataset.length); i++) {
    expect(train).not.toContain(await conversation(i, 'eval'));
  }
});

describe.each(TINY.filter(({ name }) => DEMONSTRATED.includes(name)).map(({ name }) => name))('%s', (name) => {
  const { alphabet, vocabulary, context } = libraryEntry(name).tiny!;
  const tokenizer = new TinyTokenizer(vocabulary ?? [...alphabet!]);
  const chat = new TinyChat(tokenizer);
  const tokens = async (env: Environment, count: number, careless = 0) => {
    let longest = 0;
    for (let index = 0; index < count; index++) {
      const messages = [
        ...env.promptFor(await env.example(index)),
        ...(await demonstrationOf(env, index, { split: 'train', careless })),
      ];
      longest = Math.max(longest, chat.renderForTraining(messages, { tools: env.toolSchemas() }).ids.length);
    }
    return longest;
  };

  it('is spelled with the words and fits the context that it says it needs', async () => {
    expect(await tokens(libraryEntry(name).load(), 3000)).toBe(context);
    expect(await tokens(libraryEntry(name).load(), 500, 0.9)).toBeLessThanOrEqual(context);
  });

  it('reads its own calls as they were written', async () => {
    const env = load(name);
    for (let index = 0; index < 100; index++) {
      for (const message of await demonstrationOf(env, index)) {
        if (message.role !== 'assistant') continue;
        const { ids, mask } = chat.renderForTraining([message]);
        const sampled = ids.filter((_, i) => mask[i] === 1);
        const read = chat.parse(sampled, { tools: env.toolSchemas() });
        expect(read.content).toBe(message.content);
        expect(read.toolCalls?.map(({ name: tool, arguments: args }) => [tool, args])).toEqual(
          message.toolCalls?.map(({ name: tool, arguments: args }) => [tool, args]),
        );
        expect(sampled.length).toBeLessThanOrEqual(env.sampling.maxTokens!);
      }
    }
  });
});

it('sizes are options as well as names', () => {
  for (const entry of LIBRARY.filter(({ name }) => name.endsWith('-mini'))) {
    const base = libraryEntry(entry.name.replace('-mini', ''));
    expect([base.model, entry.model]).toEqual(['pretrained', 'tiny']);
    expect(base.load({ size: 'mini' }).name).toBe(entry.name);
    expect(base.load({ size: 'full' }).name).toBe(base.name);
  }
});

describe('options', () => {
  const load = (name: string, options: Record<string, unknown>) => () => libraryEntry(name).load(options);

  it('an unknown one is named, with the nearest known', () => {
    expect(load('letter-sort', { minLenght: 3 })).toThrow(EnvironmentOptionsError);
    expect(load('letter-sort', { minLenght: 3 })).toThrow(
      'letter-sort: unknown option minLenght; did you mean minLength?',
    );
    expect(load('wiki-search', { zzzzzzzzzz: 1 })).toThrow(
      'wiki-search: unknown option zzzzzzzzzz; the options are seed, size, hops, habit, drills',
    );
  });

  it('a wrong value is named', () => {
    expect(load('wiki-search', { size: 'tiny' })).toThrow('wiki-search: option size: ');
    expect(load('letter-sort', { seed: -1 })).toThrow('letter-sort: option seed: ');
    expect(load('letter-sort', { minLength: 9, maxLength: 3 })).toThrow(
      'letter-sort: minLength is larger than maxLength',
    );
  });

  it('may be written in snake case', async () => {
    const env = libraryEntry('letter-sort').load({ min_length: 11, max_length: 11 });
    expect((await env.example(0)).question).toHaveLength(11);
  });
});

it('an unknown name lists those there are and the nearest', () => {
  expect(() => libraryEntry('wiki-serch')).toThrow(UnknownEnvironmentError);
  expect(() => libraryEntry('wiki-serch')).toThrow(
    'there is no environment "wiki-serch"; the library has reverse-text, even-digits',
  );
  expect(() => libraryEntry('wiki-serch')).toThrow('Did you mean wiki-search?');
});

it('every environment has its folder on the list once', () => {
  const entries: readonly LibraryEntry[] = LIBRARY;
  expect(new Set(NAMES).size).toBe(entries.length);
});
