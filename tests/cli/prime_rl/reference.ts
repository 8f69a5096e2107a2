/** @file Rollouts as the page plays them, with what a model would have had to say for them. */
import { PURPOSE, Random, deriveKey } from '../../../src/random';
import { functionModel, wireMessage } from '../../../src/envs';
import type { ChatModel, Environment, Message, Trace } from '../../../src/envs';
import { taskOf } from '../../../cli/prime_rl/tasks';
import { Fuzzer, demonstrationOf, replay } from '../../envs/library/players';

/** What play.py takes. */
export interface ScriptedRollout {
  task: Record<string, unknown>;
  split: 'train' | 'eval';
  draw: number;
  rollout: number;
  seed: number;
  replies: object[];
}

/** What it gives back. */
export interface PlayedRollout {
  heard: object[][];
  unsaid: number;
  result: Record<string, unknown>;
  score: Record<string, unknown>;
}

export interface Reference {
  scripted: ScriptedRollout;
  /** What play.py must give back. */
  played: PlayedRollout;
  trace: Trace;
}

const SEED = 3;

/** A perfect player, a careless one, and one that writes whatever comes; a third of the rollouts each. */
async function playerOf(env: Environment, index: number, split: 'train' | 'eval'): Promise<ChatModel> {
  // A demonstration does not know what an opponent will do.
  const random = new Random([index, 0]);
  if ('seats' in env) return functionModel('gambler', () => random.pick(['check', 'bet', 'call', 'fold']));
  const kind = env.demonstrate ? index % 3 : 2;
  if (kind < 2) return replay(await demonstrationOf(env, index, { split, careless: kind }));
  const fuzzer = new Fuzzer(index, env).model();
  return {
    name: 'fuzzer',
    complete: async (request, options) => {
      const completion = await fuzzer.complete(request, options);
      delete completion.message.issues; // no engine says them
      return completion;
    },
  };
}

/** Plays a task in this process. */
export async function playHere(env: Environment, index: number): Promise<Reference> {
  const split = index % 2 === 0 ? 'train' : 'eval';
  const purpose = split === 'train' ? PURPOSE.sampling : PURPOSE.evaluation;
  const [draw, rollout] = [index % 4, index % 5];
  const example = await env.example(index, split);
  const key = deriveKey(SEED, purpose, draw, index, rollout, 0);
  const model = await playerOf(env, index, split);
  const trace = await env.rollout(example, model, { draw, rollout, key });
  const replies = trace.completion.filter(({ role }) => role === 'assistant').map(wireMessage);
  const result = plain({
    reward: trace.reward,
    metrics: trace.metrics,
    stop_condition: trace.stopCondition,
    is_truncated: trace.isTruncated,
    error: trace.error,
    num_turns: trace.turns.length,
  });
  return {
    scripted: { task: plain(taskOf(env, example)), split, draw, rollout, seed: SEED, replies },
    played: { heard: heardIn(trace), unsaid: 0, result, score: result },
    trace,
  };
}

/** What the model heard before each of its replies, and at the end. */
function heardIn({ prompt, completion }: Trace): object[][] {
  const heard: Message[][] = [[...prompt]];
  for (const message of completion) {
    if (message.role === 'assistant') heard.push([]);
    else heard.at(-1)!.push(message);
  }
  return heard.map((messages) => messages.map((message) => plain(wireMessage(message))));
}

/** As JSON has it. */
function plain<T extends object>(value: T): T & Record<string, unknown> {
  return JSON.parse(JSON.stringify(value)) as T & Record<string, unknown>;
}
