/** @file Small environments that the tests of evaluation share, and a model that behaves the same for the same rollout. */
import { z } from 'zod';
import { Rubric, SingleTurnEnv, ToolEnv, groupReward, rows, tool } from '../../../src/envs';
import type { ChatModel, CompletionRequest, FunctionReply, ResultRow, Trace } from '../../../src/envs';
import { functionModel } from '../../../src/envs';
import { Random } from '../../../src/random';

/** Sums: the right answer is rewarded, a short one counted. */
export function sums(count: number, options: { group?: boolean } = {}): SingleTurnEnv {
  const list = Array.from({ length: count }, (_, i) => ({ question: `${i}+1`, answer: String(i + 1), info: { i } }));
  return new SingleTurnEnv({
    name: 'sums',
    dataset: rows(list),
    rubric: new Rubric(
      {
        exact: ({ response, answer }) => (response === answer ? 1 : 0),
        ...(options.group && {
          longest: groupReward(({ completions }) => {
            const lengths = completions.map((completion) => completion.at(-1)!.content.length);
            return lengths.map((length) => (length === Math.max(...lengths) ? 0.5 : 0));
          }),
        }),
        length: ({ response }) => response.length,
      },
      { weights: { length: 0 } },
    ),
  });
}

/** Two tools, one of which can fail; the answer is the last reply. */
export function toolWorld(count: number): ToolEnv {
  return new ToolEnv({
    name: 'tool-world',
    dataset: rows(Array.from({ length: count }, (_, i) => ({ question: `add ${i} and 3`, answer: String(i + 3) }))),
    maxTurns: 3,
    tools: [
      tool({
        name: 'add',
        description: 'Add two integers.',
        parameters: z.object({ x: z.int(), y: z.int() }),
        run: ({ x, y }) => String(x + y),
      }),
      tool({
        name: 'lookup',
        description: 'Look something up.',
        parameters: z.object({ city: z.string() }),
        run: ({ city }) => {
          throw new Error(`no data for ${city}`);
        },
      }),
    ],
    rubric: new Rubric({ has_answer: ({ response, answer }) => response === answer }),
  });
}

/** Plays toolWorld: calls, then answers; wrong now and then, by its own dice. */
export function toolPlayer({ messages, key }: CompletionRequest): FunctionReply {
  const random = new Random(key);
  const last = messages.at(-1)!;
  if (last.role === 'tool') return last.content;
  if (random.next() < 0.2) return 'no idea';
  if (random.next() < 0.2) return { toolCalls: [{ name: 'lookup', arguments: '{"city":"Atlantis"}' }] };
  const [x, y] = last.content.match(/\d+/g)!.map(Number);
  return { content: 'Two moments.', toolCalls: [{ name: 'add', arguments: JSON.stringify({ x, y }) }] };
}

/** A model that is right or wrong by the rollout's key alone, after a moment. */
export function dicePlayer(share = 0.5, waitMs = 0): ChatModel {
  return functionModel('acme/dice', async ({ messages, key }) => {
    if (waitMs > 0) await new Promise((go) => setTimeout(go, waitMs * new Random([key[1], key[0]]).next()));
    const right = sumOf(messages.at(-1)!.content);
    return new Random(key).next() < share ? right : `${right}!`;
  });
}

function sumOf(sum: string): string {
  const [a, b] = sum.split('+').map(Number);
  return String(a! + b!);
}

/** Lines as objects. */
export function parseLines(text: string): ResultRow[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as ResultRow);
}

/** A line without what a clock said. */
export function timeless(row: ResultRow): unknown {
  return { ...row, timing: null };
}

/** A trace without what a clock said. */
export function timelessTrace(trace: Trace): unknown {
  const turns = trace.turns.map((turn) => ({ ...turn, span: null }));
  return { ...trace, turns, timing: null, tokenUsage: undefined };
}
