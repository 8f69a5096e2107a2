/** @file One rollout of three goes wrong: its error says what, the others go on, and nothing is lost on the way to disk. */
import { z } from 'zod';
import { expect, it } from 'vitest';
import {
  MemoryStore,
  OpenAIModel,
  Rubric,
  SingleTurnEnv,
  ToolEnv,
  evaluate,
  functionModel,
  generated,
  readRun,
  tool,
} from '../../../src/envs';
import type { ChatModel, Environment, FunctionReply, Message, TaskRow, Trace } from '../../../src/envs';
import { chatBody, json, serve } from '../../endpoint';

const BAD = 'bad';
const task = (index: number): TaskRow => ({ question: index === 1 ? BAD : 'good', answer: 'yes' });
const forever = () => new Promise<never>(() => undefined);

/** Runs three examples and checks what must hold whatever happens: two good ones, three lines, and the same read back. */
async function middleOf(env: Environment, model: ChatModel = yes): Promise<Trace> {
  const store = new MemoryStore();
  const { traces, summary } = await evaluate(env, model, { numExamples: 3, store, maxRetries: 0 });
  expect([traces[0]!, traces[2]!].map(({ error, reward }) => [error, reward])).toEqual([
    [null, 1],
    [null, 1],
  ]);
  const saved = await readRun(store);
  expect(saved.unreadable).toEqual([]);
  expect(saved.traces).toHaveLength(3);
  const middle = traces[1]!;
  const again = saved.traces.find(({ exampleId }) => exampleId === 1)!;
  expect(again.error).toEqual(middle.error);
  expect(again.completion).toEqual(middle.completion);
  expect(again.metrics).toEqual(middle.metrics);
  if (middle.error) {
    expect(middle.reward).toBeNull();
    expect(summary.reward).toMatchObject({ mean: 1, rollouts: 2 });
    expect(summary.failed).toBe(1);
  }
  return middle;
}

const yes = functionModel('yes', () => 'yes');
const isBad = (prompt: readonly Message[]) => prompt.at(-1)!.content === BAD;

it.each<[string, () => unknown, string, string]>([
  ['throws', () => Promise.reject(new RangeError('off the table')), 'RangeError', 'off the table'],
  ['hangs', forever, 'TimeLimitError', 'judge took longer than 0.05 s'],
  ['returns NaN', () => NaN, 'TypeError', 'returned NaN, not a finite number'],
  ['returns infinity', () => -Infinity, 'TypeError', 'returned -Infinity, not a finite number'],
  ['returns nothing', () => undefined, 'TypeError', 'returned undefined, not a finite number'],
  ['returns words', () => 'very good', 'TypeError', 'returned very good, not a finite number'],
  [
    'returns a huge string',
    () => 'x'.repeat(1e7),
    'TypeError',
    /^returned x{80}\.\.\. \(10000000 characters\), not/ as never,
  ],
  ['returns an object', () => ({ score: 1 }), 'TypeError', 'returned {"score":1}, not a finite number'],
])('a reward that %s', async (_, score, name, message) => {
  const judge = ({ prompt }: { prompt: readonly Message[] }) => (isBad(prompt) ? (score() as number) : 1);
  const rubric = new Rubric({ judge, other: () => 0.25 }, { weights: { other: 0 }, timeoutSeconds: 0.05 });
  const { error, metrics } = await middleOf(new SingleTurnEnv({ name: 'e', dataset: generated(task), rubric }));
  expect(error).toMatchObject({ source: 'reward', where: 'judge', name });
  expect(error!.message).toMatch(message);
  expect(metrics.other).toBe(0.25); // the others still ran
});

function toolEnv(run: () => unknown): ToolEnv {
  return new ToolEnv({
    name: 'tools',
    dataset: generated(task),
    tools: [tool({ name: 'look', parameters: z.object({ deep: z.int() }), run })],
    toolTimeoutSeconds: 0.05,
    rubric: new Rubric({ ended: ({ response, answer }) => response === answer }),
  });
}

/** Calls a tool in the bad rollout, then says yes. */
const caller = (call: { name: string; arguments: string }, text = '') =>
  functionModel('caller', ({ messages }): FunctionReply =>
    messages.at(-1)!.content === BAD ? { content: text, toolCalls: [call] } : 'yes',
  );

it.each<[string, () => unknown, string | RegExp]>([
  ['throws', () => Promise.reject(new Error('no light')), 'no light'],
  ['hangs', forever, 'tool look took longer than 0.05 s'],
  ['returns NaN', () => NaN, 'null'],
  ['returns nothing', () => undefined, 'null'],
  ['returns an object', () => ({ found: [1] }), '{"found":[1]}'],
  ['returns what JSON cannot hold', () => 10n, /BigInt/],
  ['returns a huge string', () => 'x'.repeat(1e7), 'the result of look has 10000000 characters; at most 100000 fit'],
])('a tool that %s', async (_, run, content) => {
  const trace = await middleOf(toolEnv(run), caller({ name: 'look', arguments: '{"deep":1}' }));
  expect(trace).toMatchObject({ error: null, reward: 1, stopCondition: 'no_tools_called' });
  expect(trace.completion[1]).toMatchObject({ role: 'tool' });
  expect(trace.completion[1]!.content).toMatch(content);
});

it.each<[string, { name: string; arguments: string }, string | RegExp]>([
  ['an unknown tool', { name: 'fly', arguments: '{}' }, 'there is no tool "fly"; the tools are look'],
  ['arguments that are no JSON', { name: 'look', arguments: '{"deep": 1' }, 'the arguments are not JSON: '],
  ['arguments that are no object', { name: 'look', arguments: '[1]' }, 'the arguments are not a JSON object'],
  ['arguments that fail the schema', { name: 'look', arguments: '{"deep":"very"}' }, /^deep: .*expected (int|number)/],
  ['100 kB of arguments', { name: 'look', arguments: `{"deep":"${'x'.repeat(1e5)}"}` }, /^deep: .{0,200}$/],
])('a model that calls %s is told so and goes on', async (_, call, content) => {
  const trace = await middleOf(
    toolEnv(() => 'dark'),
    caller(call),
  );
  expect(trace.error).toBeNull();
  expect(trace.completion[1]!.content).toMatch(content);
});

it('malformed XML and 100 kB of text are text: stored whole, and scored', async () => {
  const long = `<answer>yes</answr\u0000\u001b[2J${'🦎'.repeat(25_000)}`;
  const model = functionModel('long', ({ messages }) => (isBad(messages) ? long : 'yes'));
  const rubric = new Rubric({ exact: ({ response, answer }) => response === answer });
  const trace = await middleOf(new SingleTurnEnv({ name: 'e', dataset: generated(task), rubric }), model);
  expect(trace).toMatchObject({ error: null, reward: 0 });
  expect(trace.completion[0]!.content).toBe(long);
});

it.each<[string, unknown, string]>([
  ['neither question nor prompt', { answer: 'yes' }, 'row 1 has neither column "question" nor column "prompt"'],
  ['a question that is no text', { question: 5 }, 'row 1, column "question": number instead of text'],
  ['a prompt that is no list of messages', { prompt: ['hi'] }, 'row 1, column "prompt": not a list of messages'],
  ['an answer that is no text', { question: 'q', answer: 5 }, 'row 1, column "answer": number instead of text'],
  ['nothing at all', null, 'row 1 is not an object'],
])('a row with %s', async (_, row, message) => {
  const dataset = generated((index) => (index === 1 ? (row as TaskRow) : task(index)));
  const env = new SingleTurnEnv({ name: 'e', dataset, rubric: new Rubric({ one: () => 1 }) });
  const { error, exampleId } = await middleOf(env);
  expect(error).toMatchObject({ source: 'environment', name: 'DatasetError' });
  expect(error!.message).toContain(message);
  expect(exampleId).toBe(1);
});

it('a dataset that throws', async () => {
  const dataset = generated((index) => {
    if (index === 1) throw new Error('file is gone');
    return task(index);
  });
  const { error } = await middleOf(new SingleTurnEnv({ name: 'e', dataset, rubric: new Rubric({ one: () => 1 }) }));
  expect(error).toEqual({ source: 'environment', name: 'Error', message: 'file is gone' });
});

const env = new SingleTurnEnv({
  name: 'e',
  dataset: generated(task),
  rubric: new Rubric({ exact: ({ response, answer }) => response === answer }),
});

it.each([
  ['answers HTML', '<html><body>Sign in', 'NotAnApiError', /answered with HTML instead of JSON: "<html><body>Sign in"/],
  ['is too slow', undefined, 'RequestTimeoutError', /no complete reply within 1\.5 s/],
  ['fails', 500, 'ServerError', /HTTP 500: without an explanation/],
])('an endpoint that %s once', async (_, answer, name, message) => {
  const endpoint = await serve(({ body }, reply) => {
    if (body.messages.at(-1)!.content !== BAD) json(reply, chatBody({ role: 'assistant', content: 'yes' }));
    else if (typeof answer === 'number') reply.writeHead(answer).end();
    else if (answer !== undefined) reply.end(answer);
  });
  try {
    const options = { baseUrl: endpoint.baseUrl, model: 'm', timeoutSeconds: 1.5, maxRetries: 0 };
    const { error } = await middleOf(env, new OpenAIModel(options));
    expect(error).toMatchObject({ source: 'model', name });
    expect(error!.message).toMatch(message);
    expect(error!.message).toContain(endpoint.baseUrl);
  } finally {
    await endpoint.close();
  }
});

it('an endpoint that is down fails every rollout, each with the reason, and none is a 0', async () => {
  const endpoint = await serve(() => undefined);
  await endpoint.close();
  const model = new OpenAIModel({ baseUrl: endpoint.baseUrl, model: 'm', maxRetries: 0 });
  const { traces, summary } = await evaluate(env, model, { numExamples: 3, maxRetries: 0 });
  expect(traces.map(({ reward }) => reward)).toEqual([null, null, null]);
  for (const { error } of traces) expect(error!.message).toContain('cannot be reached');
  expect(summary).toMatchObject({ reward: null, errors: { 'model: ConnectionError': 3 } });
});

it('a conversation that is too long for an endpoint is a stop condition', async () => {
  const endpoint = await serve(({ body }, reply) =>
    body.messages.at(-1)!.content === BAD
      ? json(reply, { error: { message: "This model's maximum context length is 10 tokens" } }, 400)
      : json(reply, chatBody({ role: 'assistant', content: 'yes' })),
  );
  try {
    const trace = await middleOf(env, new OpenAIModel({ baseUrl: endpoint.baseUrl, model: 'm' }));
    expect(trace).toMatchObject({ error: null, stopCondition: 'prompt_too_long', isTruncated: true });
  } finally {
    await endpoint.close();
  }
});
