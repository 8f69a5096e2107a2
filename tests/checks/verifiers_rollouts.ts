/**
 * @file rollouts.json: whole conversations of verifiers' environments with a model that follows a script, played again by
 * ours. Where its two versions differ, ours follow the newer one.
 */
import { SingleTurnEnv, ToolEnv, Rubric, libraryEntry, rows, tool } from '../../src/envs';
import type { Environment, RewardArgs } from '../../src/envs';
import { ContextLengthError } from '../../src/model/errors';
import { ScriptedModel } from '../scripted';
import type { Reply } from '../scripted';
import { readJsonFile } from './files';
import { exempt, golden, sameValue } from './golden';
import type { GoldenCase } from './golden';
import { messageOf, upstreamMessage } from './verifiers_state';
import type { UpstreamMessage } from './verifiers_state';
import { pythonAdd, upstreamError } from './verifiers_tools';

const FILE = 'rollouts.json';
const NEWEST = 'v0.1.9';

/** What the model answers, or with which words the request is refused. */
type ScriptItem = string | Pick<UpstreamMessage, 'content' | 'tool_calls'> | { api_error: string };

interface Outcome {
  completion: UpstreamMessage[];
  stop_condition: string | null;
  is_completed: boolean;
  model_requests: number;
  unused_script_items: number;
  trajectory_steps: number;
  reward: number | null;
  metrics: Record<string, number | undefined>;
  advantage: number | null;
}

interface RolloutCase {
  id: string;
  environment: string;
  name: string;
  upstream: string;
  max_turns?: number;
  input: { prompt: UpstreamMessage[]; answer: string; info?: Record<string, unknown> };
  script: ScriptItem[];
  expected: Outcome;
}

export async function rolloutCases(dir: string): Promise<GoldenCase[]> {
  const { rollouts } = readJsonFile(dir, FILE) as { rollouts: RolloutCase[] };
  const cases: GoldenCase[] = [];
  for (const test of rollouts) {
    const newest = rollouts.find((other) => other.upstream === NEWEST && sameRun(other, test));
    cases.push(...compare(test, await play(test), newest));
  }
  return cases;
}

function sameRun(a: RolloutCase, b: RolloutCase): boolean {
  const run = ({ environment, max_turns: maxTurns, input, script }: RolloutCase) => [
    environment,
    maxTurns,
    input,
    script,
  ];
  return a !== b && sameValue(run(a), run(b));
}

/** The case; or what of it can be compared, and why the rest cannot. */
function compare(test: RolloutCase, got: Outcome, newest?: RolloutCase): GoldenCase[] {
  const { id, expected, upstream } = test;
  // Older versions had fewer metrics.
  const mine = upstream === NEWEST ? got : { ...got, metrics: listed(got.metrics, expected.metrics) };
  const whole = golden(FILE, id, mine, expected);
  if (whole.ok) return [whole];
  if (newest && compare(newest, got).every(({ ok }) => ok)) {
    return [exempt(FILE, id, expected, `superseded by ${NEWEST} (${newest.id}), which ours follows`)];
  }
  const rest = golden(FILE, `${id} but for the words`, withoutDecoderWords(mine), withoutDecoderWords(expected));
  if (!rest.ok) return [whole];
  return [rest, exempt(FILE, id, expected, "Python's printing: its JSON decoder's words for what is no JSON")];
}

/** Our name of a metric for the one in the fixture. */
const RENAMED: Record<string, string> = { correct_answer_reward_func: 'correct_answer' };

function listed(metrics: Outcome['metrics'], wanted: Outcome['metrics']): Outcome['metrics'] {
  return Object.fromEntries(Object.keys(wanted).map((name) => [name, metrics[name] ?? metrics[RENAMED[name] ?? name]]));
}

/** The same with nothing in tool messages that answer arguments which are no JSON. */
function withoutDecoderWords(outcome: Outcome): Outcome {
  const unreadable = new Set<string | undefined>();
  const completion = outcome.completion.map((message) => {
    for (const { id, function: { arguments: text = '' } = {} } of message.tool_calls ?? []) {
      if (isJson(text)) unreadable.delete(id);
      else unreadable.add(id);
    }
    return message.role === 'tool' && unreadable.has(message.tool_call_id) ? { ...message, content: '' } : message;
  });
  return { ...outcome, completion };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function play(test: RolloutCase): Promise<Outcome> {
  const { input, script } = test;
  let requests = 0;
  const model = new ScriptedModel(() => replyOf(script[requests++]));
  const example = { exampleId: 0, ...input, prompt: input.prompt.map(messageOf) };
  const trace = await environmentOf(test).rollout(example, model, { draw: 0, rollout: 0, key: [0, 0] });
  return {
    completion: trace.completion.map(upstreamMessage),
    stop_condition: trace.stopCondition,
    is_completed: trace.stopCondition !== null,
    model_requests: requests,
    unused_script_items: script.length - requests,
    trajectory_steps: trace.turns.length,
    reward: trace.reward,
    metrics: trace.metrics,
    advantage: trace.advantage,
  };
}

function replyOf(item: ScriptItem | undefined): Reply {
  if (item === undefined) return new Error('the script is over');
  if (typeof item === 'string') return item;
  if ('api_error' in item) return new ContextLengthError(item.api_error);
  return { message: messageOf({ role: 'assistant', ...item }) };
}

/** The shipped environment of that name, or the one that the fixture describes. */
function environmentOf({ environment, max_turns: maxTurns }: RolloutCase): Environment {
  const described = { name: 'golden', dataset: rows([{ question: '' }]), rubric: new Rubric({ last_is: lastIs }) };
  if (environment === 'single turn') return new SingleTurnEnv(described);
  if (!environment.startsWith('tools ')) return libraryEntry(environment.replaceAll('_', '-')).load();
  return new ToolEnv({
    ...described,
    tools: [pythonAdd(), boom],
    errorFormatter: upstreamError,
    ...(maxTurns !== undefined && { maxTurns }),
  });
}

const boom = tool({
  name: 'boom',
  parameters: { type: 'object', properties: {} },
  run: () => {
    throw new Error('boom');
  },
});

function lastIs({ completion, answer }: RewardArgs): boolean {
  return completion.at(-1)?.content === answer;
}
