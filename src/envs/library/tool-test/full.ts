/**
 * @file The full tool-test: the tools and reward of verifiers' environment of that name (v0.1.9). The model is to call just
 * the tools that it is told, all in one reply.
 */
import { z } from 'zod';
import type { Random } from '../../../random';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';
import { ToolEnv } from '../../tool_env';
import { tool } from '../../tools';
import type { ToolCall } from '../../types';
import { splitDatasets } from '../held_out';

const TOOLS = [
  tool({
    name: 'tool_A',
    description: 'Adds 1 to a whole number.',
    parameters: z.object({ x: z.int().describe('The number') }),
    run: ({ x }) => x + 1,
  }),
  tool({
    name: 'tool_B',
    description: 'Writes a 2 behind a text.',
    parameters: z.object({ x: z.string().describe('The text') }),
    run: ({ x }) => `${x}2`,
  }),
  tool({
    name: 'tool_C',
    description: 'Adds 3 to a number.',
    parameters: z.object({ x: z.number().describe('The number') }),
    run: ({ x }) => x + 3,
  }),
  tool({
    name: 'tool_D',
    description: 'Says the opposite of true or false.',
    parameters: z.object({ x: z.boolean().describe('True or false') }),
    run: ({ x }) => !x,
  }),
];

const ARGUMENTS: Record<string, unknown> = { tool_A: 1, tool_B: 'b', tool_C: 1.5, tool_D: true };

/** 1 when the last message calls exactly the tools that were named, in any order, each as often as it was named. */
function calledTools({ completion, info }: RewardArgs): number {
  const last = completion.at(-1);
  if (!last) return 0;
  const called = (last.toolCalls ?? []).map(({ name }) => name);
  const wanted = z.array(z.string()).parse(info.tool_names);
  return called.sort().join('\n') === wanted.sort().join('\n') ? 1 : 0;
}

export function loadFull({ seed }: { seed: number }): ToolEnv {
  return new ToolEnv({
    name: 'tool-test',
    ...splitDatasets(seed, drawTask, ({ info }) => info.tool_names.join(' ')),
    tools: TOOLS,
    rubric: new Rubric({ tool_call_reward_func: calledTools }),
    sampling: { maxTokens: 256 },
    maxTurns: 1,
    passThreshold: 1,
    demonstrate: ({ info }, random, { careless }) => {
      const names = [...(info as { tool_names: string[] }).tool_names];
      if (random.next() < careless) names.pop();
      const toolCalls = names.map((name, i): ToolCall => ({
        id: `call_${i}`,
        name,
        arguments: JSON.stringify({ x: ARGUMENTS[name] }),
      }));
      return [{ role: 'assistant', content: '', ...(toolCalls.length > 0 && { toolCalls }) }];
    },
  });
}

function drawTask(random: Random) {
  const names = random.sample(
    TOOLS.map(({ name }) => name),
    random.between(1, TOOLS.length),
  );
  return {
    question: `Call these tools, each once, with any arguments, all in this one reply: ${names.join(', ')}`,
    answer: names.join(', '),
    info: { tool_names: names },
  };
}
