/**
 * @file The Python modules of an exported package that import verifiers. The real one cannot be installed here: stand-ins
 * (tests/cli/prime_rl/double) take its place, and its word on how a rollout goes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { libraryEntry, wireMessage } from '../../src/envs';
import type { Trace } from '../../src/envs';
import { ROLLOUT, demonstrationOf, replay } from '../envs/library/players';
import { ScriptedModel } from '../scripted';
import { DOUBLE, HERE, exportTo, python, scratchFolder } from './prime_rl/python';

const NAME = 'wiki-search-mini';
const env = libraryEntry(NAME).load();
const scratch = scratchFolder();
const folder = join(scratch, 'package');

interface Case {
  split: 'train' | 'eval';
  index: number;
  replies: object[];
  max_turns?: number;
}

interface Played {
  reward: number;
  metrics: Record<string, number>;
  completion: object[];
  stop_condition: string;
  is_truncated: boolean;
  error: string | null;
}

interface Classic {
  rows: Record<'train' | 'eval', { example_id: number; prompt: object[]; answer: string; info: string }[]>;
  tools: string[];
  sampling: object;
  weights: Record<string, number>;
  rollouts: Played[];
  offered: string[][];
  reasoned: object;
  no_node: string[];
  unknown: string[];
  count: string[];
}

interface V1 {
  rollouts: { exit_code: number; reward: number; metrics: Record<string, number>; stop_condition: string }[];
  keys: string[];
  prompts: object[];
  plugins: string[];
  requests: { path: string; model: string; tools: object[] }[];
}

const traces: Trace[] = [];
const cases: Case[] = [];
let cutShort: Trace;
let module: string;
let classic: Classic;
let v1: V1;

beforeAll(async () => {
  ({ module } = await exportTo(folder, NAME, { trainTasks: 12, evalTasks: 12 }));
  for (let index = 0; index < 12; index++) {
    const split = index % 2 === 0 ? 'train' : 'eval';
    const script = await demonstrationOf(env, index, { split, careless: (index % 3) / 2 });
    const trace = await env.rollout(await env.example(index, split), replay(script), ROLLOUT);
    const replies = trace.completion.filter(({ role }) => role === 'assistant').map(wireMessage);
    traces.push(trace);
    cases.push({ split, index, replies });
  }
  // The last: after one reply, a call of a tool, the conversation does not fit any more.
  const first = cases.find(({ replies }) => replies.length > 1)!;
  cases.push({ ...first, replies: first.replies.slice(0, 1) });
  const tooLong = Object.assign(new Error('too long'), { name: 'ContextLengthError' });
  const message = traces[cases.indexOf(first)]!.completion[0]!;
  let turn = 0;
  const model = new ScriptedModel(() => (turn++ === 0 ? { message } : tooLong));
  cutShort = await env.rollout(await env.example(first.index, first.split), model, ROLLOUT);

  const request = {
    arguments: { num_eval_examples: 12 },
    bad_arguments: {
      no_node: { node: '/no/such/node' },
      unknown: { difficulty: 3 },
      count: { num_train_examples: -2 },
    },
    rollouts: [...cases, { ...first, max_turns: 1 }],
  };
  classic = await run<Classic>('classic.py', request);
  v1 = await run<V1>('v1.py', { rollouts: cases });
}, 90_000);

async function run<T>(script: string, request: object): Promise<T> {
  const args = [join(HERE, script), DOUBLE, folder, module];
  const { code, out, err } = await python(args, { input: JSON.stringify(request) });
  expect(code, err).toBe(0);
  return JSON.parse(out) as T;
}

/** verifiers' MultiTurnEnv counts the turns itself. */
function metricsOf({ metrics, reward }: Trace): Record<string, number | null> {
  const { num_turns: _turns, ...others } = metrics;
  expect(_turns).toBeGreaterThan(0);
  return { terrarium_reward: reward, ...others };
}

describe('load_environment', () => {
  it('returns the tasks of both splits, in rows that a table can hold', async () => {
    expect(classic.rows.train).toHaveLength(12);
    expect(classic.rows.eval).toHaveLength(12);
    const { exampleId, question, answer, info } = await env.example(7, 'eval');
    expect(classic.rows.eval[7]).toMatchObject({
      example_id: exampleId,
      prompt: [{ role: 'user', content: question }],
      answer,
    });
    expect(JSON.parse(classic.rows.eval[7]!.info)).toEqual({ ...info, terrarium: { split: 'eval', example_id: 7 } });
  });

  it('offers the tools, and asks with the environment’s own sampling', () => {
    const tools = env.toolSchemas().map(({ name }) => name);
    expect(classic.tools).toEqual(tools.sort());
    expect(classic.offered).toEqual([classic.tools]);
    expect(classic.sampling).toEqual({ max_tokens: env.sampling.maxTokens });
  });

  it('has one reward, and a metric for every function of the rubric', () => {
    const metrics = env.rubric.names.filter((name) => name !== 'num_turns');
    expect(classic.weights).toEqual({ terrarium_reward: 1, ...Object.fromEntries(metrics.map((name) => [name, 0])) });
  });

  it('plays rollouts whose answers, rewards and metrics are those of the page', () => {
    for (const [i, trace] of traces.entries()) {
      expect(classic.rollouts[i]).toEqual({
        reward: trace.reward,
        metrics: metricsOf(trace),
        completion: trace.completion.map((message) => ({
          ...wireMessage(message),
          content: message.content,
        })),
        stop_condition: trace.stopCondition,
        is_truncated: false,
        error: null,
      });
    }
    expect(new Set(traces.map(({ reward }) => reward)).size).toBeGreaterThan(1);
  });

  it('scores a conversation that does not fit any more as the page does', () => {
    expect(cutShort.stopCondition).toBe('prompt_too_long');
    expect(classic.rollouts[12]).toMatchObject({
      reward: cutShort.reward,
      metrics: metricsOf(cutShort),
      stop_condition: 'prompt_too_long',
      is_truncated: true,
      error: null,
    });
  });

  it('scores a rollout that the engine ended by a limit of its own', () => {
    expect(classic.rollouts[13]).toMatchObject({
      stop_condition: 'max_turns_reached',
      is_truncated: true,
      error: null,
    });
    expect(classic.rollouts[13]!.metrics.total_tool_calls).toBe(1);
  });

  it('puts reasoning back where the parsers look for it', () => {
    expect(classic.reasoned).toEqual({ role: 'assistant', content: '<think>\n2 and 2\n</think>\n\n4' });
  });

  it('says at once what is wrong', () => {
    expect(classic.no_node[0]).toBe('NodeMissingError');
    expect(classic.unknown).toEqual(['TypeError', expect.stringContaining("unexpected keyword argument 'difficulty'")]);
    expect(classic.count).toEqual(['TasksError', '-2 tasks of train: a whole number, or -1 for all']);
  });
});

describe('taskset and harness for verifiers’ v1', () => {
  it('are the two plug-ins that the package exports', () => {
    expect(v1.plugins).toEqual(['TerrariumHarness', 'TerrariumTaskset']);
  });

  it('load the tasks, each with a key of its own', () => {
    expect(v1.keys).toEqual(Array.from({ length: 12 }, (_, i) => `train-${i}`));
    expect(v1.prompts).toEqual(classic.rows.train.map(({ prompt }) => prompt));
  });

  it('play rollouts through the endpoint that they are given, with the page’s rewards', () => {
    for (const [i, trace] of traces.entries()) {
      expect(v1.rollouts[i]).toEqual({
        exit_code: 0,
        reward: trace.reward,
        metrics: trace.metrics,
        stop_condition: trace.stopCondition,
      });
    }
    const tools = env.toolSchemas().map((tool) => ({ type: 'function', function: tool }));
    expect(v1.requests[0]).toEqual({ path: '/v1/chat/completions', model: 'some/model', tools });
  });

  it('score a rollout that the engine stopped', () => {
    expect(v1.rollouts[12]).toMatchObject({ exit_code: 0, reward: cutShort.reward, stop_condition: 'context_length' });
  });
});

it('the package’s Python is the same text as in this repository', () => {
  for (const file of [
    'runner.py',
    'process.py',
    'environment.py',
    'taskset.py',
    'tasks.py',
    'messages.py',
    '__init__.py',
  ]) {
    const ours = readFileSync(join(HERE, '../../../cli/prime_rl/python', file), 'utf8');
    expect(readFileSync(join(folder, module, file), 'utf8')).toBe(ours);
  }
});
