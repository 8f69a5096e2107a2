/**
 * @file wiki-search for tiny models: look a fact up with two tools, search and read. The recipe's task: all texts are words
 * of WIKI_VOCABULARY; `read` works only on a title that the last search found; four turns at most.
 *
 *     what lake of Karbek? -> search( Karbek) ->  Nornis; Karbek; Tamdor; -> read( Karbek) ->  Karbek: lake Wexvel; ...
 *     ->  lake Wexvel
 */
import { z } from 'zod';
import type { Random } from '../../../random';
import { generated } from '../../dataset';
import type { TaskRow } from '../../dataset';
import { Rubric } from '../../rubric';
import type { RewardFunction } from '../../rubric';
import { ToolEnv } from '../../tool_env';
import { tool } from '../../tools';
import type { Tool } from '../../tools';
import type { Message } from '../../types';
import { EVAL_ROWS } from '../held_out';
import { exactMatch } from '../scores';
import { FACTS_PER_PAGE, MiniWorld, NAME_ATTRIBUTES, randomFacts, randomValue } from './mini_world';
import type { Fact, Split } from './mini_world';

const ERROR = ' error';
const NONE = ' none';

/** What a careless demonstrator does: answers at once, does not read, reads another page, or gives another fact. */
export const HABITS = ['guess', 'skipread', 'wrongid', 'wrongattr'] as const;

export interface MiniOptions {
  seed: number;
  habit: (typeof HABITS)[number] | 'mixed';
  drills: number;
  latencyMs: number;
}

/** A task's `info`: what is asked, and in which world. */
const wikiInfo = z.object({
  title: z.string(),
  attribute: z.string(),
  seed: z.int().nonnegative(),
  split: z.enum(['train', 'eval']),
  world: z.int().nonnegative(),
});

function worldOf(info: unknown): MiniWorld {
  const { seed, split, world } = wikiInfo.parse(info);
  return MiniWorld.of(seed, split, world);
}

const parameters = z.object({ name: z.string() });

const search = tool({
  name: 'search',
  description: 'Finds titles of pages.',
  parameters,
  run: ({ name }, { state }) => {
    const found = worldOf(state.info).search(name, state.turns.length);
    if (found.length === 0) return NONE;
    state.scratch.found = found;
    return resultsText(found);
  },
});

const read = tool({
  name: 'read',
  description: 'Reads a page that the last search found.',
  parameters,
  run: ({ name }, { state }) => {
    const { found = [] } = state.scratch as { found?: string[] };
    if (!found.includes(name)) throw new Error('not a title of the last search');
    return pageText(name, worldOf(state.info).facts(name));
  },
});

/** Counts the environment's answers of a kind. */
function answers(kind: (content: string, title: string) => boolean): RewardFunction {
  return ({ completion, info }) =>
    completion.filter(({ role, content }) => role === 'tool' && kind(content, String(info.title))).length;
}

/** The same tool behind a slow connection. */
function delayed(inner: Tool, milliseconds: number): Tool {
  if (milliseconds === 0) return inner;
  const run: Tool['run'] = async (args, context) => {
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    return inner.run(args, context);
  };
  return { ...inner, run };
}

export function loadMini({ seed, habit, drills, latencyMs }: MiniOptions): ToolEnv {
  const row = (split: Split, index: number): TaskRow => {
    const asked = MiniWorld.of(seed, split, index).question();
    return {
      question: ` what ${asked.fact.attribute} of ${asked.title}?`,
      answer: factText(asked.fact),
      info: { title: asked.title, attribute: asked.fact.attribute, seed, split, world: index },
    };
  };
  return new ToolEnv({
    name: 'wiki-search-mini',
    dataset: generated((index) => row('train', index)),
    evalDataset: generated((index) => row('eval', index), EVAL_ROWS),
    tools: [search, read].map((each) => delayed(each, latencyMs)),
    errorFormatter: () => ERROR,
    rubric: new Rubric(
      {
        exactMatch,
        rightPages: answers((text, title) => text.startsWith(` ${title}:`)),
        pagesRead: answers((text) => text.includes(':')),
        badCalls: answers((text) => text === ERROR),
      },
      { weights: { rightPages: 0, pagesRead: 0, badCalls: 0 } },
    ),
    sampling: { maxTokens: 8 },
    maxTurns: 4,
    passThreshold: 1,
    demonstrate: (task, random, { careless }) => {
      if (careless === 0 && random.next() < drills) return drill(task, random);
      const bad = random.next() < careless;
      return demonstration(task, random, bad ? (habit === 'mixed' ? random.pick(HABITS) : habit) : undefined);
    },
  });
}

function factText({ attribute, value }: Fact): string {
  return ` ${attribute}${value}`;
}

function pageText(name: string, facts: readonly Fact[]): string {
  return ` ${name}:${facts.map((fact) => `${factText(fact)};`).join('')}`;
}

function resultsText(titles: readonly string[]): string {
  return titles.map((found) => ` ${found};`).join('');
}

/** How it is done, or how it is done badly. */
function demonstration(
  { info, answer }: TaskRow,
  random: Random,
  habit: (typeof HABITS)[number] | undefined,
): Message[] {
  const { title: asked, attribute } = wikiInfo.parse(info);
  const world = worldOf(info);
  const guess = factText({ attribute, value: randomValue(random, attribute) });
  if (habit === 'guess') return [say(guess)];
  const found = world.search(asked, 1);
  const searched = called('search', asked, resultsText(found), 0);
  if (habit === 'skipread') return [...searched, say(guess)];
  const page = habit === 'wrongid' ? random.pick(found.filter((other) => other !== asked)) : asked;
  const facts = world.facts(page);
  const before = [...searched, ...called('read', page, pageText(page, facts), 1)];
  if (habit === undefined) return [...before, say(answer!)];
  const same = facts.find((fact) => fact.attribute === attribute);
  const other = random.pick(facts.filter((fact) => fact.attribute !== attribute));
  return [...before, say(factText(habit === 'wrongid' ? (same ?? other) : other))];
}

/** Facts on the page of a drill, and questions about it, the task's own included. */
const DRILL_FACTS = FACTS_PER_PAGE + 2;
const DRILL_QUESTIONS = 4;

/**
 * A reading exercise instead of a demonstration: the page is there without being asked for, longer than usual, and one
 * question follows another. Copying from a page is learned faster so.
 */
function drill({ info, answer }: TaskRow, random: Random): Message[] {
  const { title: asked, attribute } = wikiInfo.parse(info);
  const own: Fact = { attribute, value: answer!.slice(attribute.length + 1) };
  const others = NAME_ATTRIBUTES.filter((name) => name !== attribute);
  const added = randomFacts(random, DRILL_FACTS - 1, others);
  const questions = Array.from({ length: DRILL_QUESTIONS - 1 }, () => random.pick(added));
  return [
    { role: 'tool', content: pageText(asked, random.shuffle([own, ...added])) },
    say(answer!),
    ...questions.flatMap((fact): Message[] => [
      { role: 'user', content: ` what ${fact.attribute}?` },
      say(factText(fact)),
    ]),
  ];
}

function say(content: string): Message {
  return { role: 'assistant', content };
}

function called(name: string, argument: string, result: string, call: number): Message[] {
  const id = `call_${call}`;
  return [
    { role: 'assistant', content: '', toolCalls: [{ id, name, arguments: JSON.stringify({ name: argument }) }] },
    { role: 'tool', content: result, toolCallId: id },
  ];
}
