/** @file tool-test for tiny models: call the named tools, one a turn, each with a number of one's choice; then say `ok`. */
import { z } from 'zod';
import type { Random } from '../../../random';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';
import { ToolEnv } from '../../tool_env';
import { tool } from '../../tools';
import type { Message } from '../../types';
import { splitDatasets } from '../held_out';

const RUN: Record<string, (x: number) => number> = {
  inc: (x) => x + 1,
  dec: (x) => x - 1,
  dbl: (x) => 2 * x,
  hlf: (x) => Math.floor(x / 2),
  neg: (x) => 0 - x,
  sqr: (x) => x * x,
  odd: (x) => Math.abs(x % 2),
  ten: (x) => 10 * x,
};
const NAMES = Object.keys(RUN);
const ERROR = 'error';
const MOST_CALLS = 3;

const TOOLS = NAMES.map((name) =>
  tool({
    name,
    parameters: z.object({ x: z.int().min(-999).max(999) }),
    run: ({ x }) => String(RUN[name]!(x)),
  }),
);

/** 1 when the named tools were called, each once and in any order, and no call failed. */
function exactMatch({ completion, info }: RewardArgs): number {
  const called = completion.flatMap(({ toolCalls = [] }) => toolCalls.map(({ name }) => name));
  const failed = completion.some(({ role, content }) => role === 'tool' && content === ERROR);
  const wanted = z.array(z.string()).parse(info.tool_names);
  return !failed && called.sort().join() === wanted.sort().join() ? 1 : 0;
}

export function loadMini({ seed }: { seed: number }): ToolEnv {
  return new ToolEnv({
    name: 'tool-test-mini',
    ...splitDatasets(seed, drawTask),
    tools: TOOLS,
    errorFormatter: () => ERROR,
    rubric: new Rubric({ exactMatch }),
    sampling: { maxTokens: 9 },
    maxTurns: MOST_CALLS + 1,
    passThreshold: 1,
    demonstrate: ({ info }, random, { careless }) => {
      const { tool_names: names } = info as { tool_names: string[] };
      return calls(random.next() < careless ? slip(names, random) : names, random);
    },
  });
}

function drawTask(random: Random) {
  const names = random.sample(NAMES, random.between(1, MOST_CALLS));
  return { question: names.join(' '), answer: names.join(' '), info: { tool_names: names } };
}

/** A careless demonstrator leaves the last tool out, or calls another one instead of it. */
function slip(names: readonly string[], random: Random): string[] {
  const kept = names.slice(0, -1);
  const others = NAMES.filter((name) => !names.includes(name));
  return random.next() < 0.5 ? kept : [...kept, random.pick(others)];
}

function calls(names: readonly string[], random: Random): Message[] {
  const pairs = names.flatMap((name, i): Message[] => {
    const x = random.below(10);
    const id = `call_${i}`;
    return [
      { role: 'assistant', content: '', toolCalls: [{ id, name, arguments: JSON.stringify({ x }) }] },
      { role: 'tool', content: String(RUN[name]!(x)), toolCallId: id },
    ];
  });
  return [...pairs, { role: 'assistant', content: 'ok' }];
}
