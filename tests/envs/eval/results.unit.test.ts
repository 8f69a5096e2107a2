import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  LIBRARY_VERSION,
  MemoryStore,
  evaluate,
  formatRow,
  functionModel,
  parseMetadata,
  parseRow,
  prefixBreaks,
  readRun,
  rowOf,
  runsFolder,
  summarize,
  tokenUsage,
} from '../../../src/envs';
import type { ChatModel, SavedRun, Trace } from '../../../src/envs';
import { Random } from '../../../src/random';
import { readJsonFile } from '../../checks/files';
import { shapeOf } from '../../shape';
import { parseLines, sums, timelessTrace, toolPlayer, toolWorld } from './worlds';

const ORACLE = process.env.ORACLE_DIR ?? new URL('../../oracle', import.meta.url).pathname;
const GOLDEN = join(ORACLE, 'verifiers/results');

function golden(folder: string): Promise<SavedRun> {
  const text = (file: string) => readFileSync(join(GOLDEN, folder, file), 'utf8');
  return readRun(new MemoryStore(text('results.jsonl'), text('metadata.json')));
}

const CALLS = [{ id: 'call_a0', name: 'add', arguments: '{"x": 2, "y": 3}' }];

it.each([
  ['v0.1.8.post2/single_turn', 6],
  ['v0.1.8.post2/tools', 6],
  ['v0.1.8.post2/state_columns', 4],
  ['head-legacy/single_turn', 6],
  ['head-legacy/tools', 8],
  ['head-legacy/resume_before', 3],
  ['head-legacy/resume_after', 6],
])('reads upstream’s %s', async (folder, count) => {
  const { metadata, traces, unreadable } = await golden(folder);
  expect(traces).toHaveLength(count);
  expect(unreadable).toHaveLength(folder.includes('resume') ? 1 : 0);
  expect(metadata.model).toBe('example/scripted-1');
  expect(metadata.rollouts_per_example).toBe(2);
  for (const { reward, prompt, environment } of traces) {
    expect(reward).not.toBeNull();
    expect(prompt.at(-1)!.role).toBe('user');
    expect(environment).toBe(metadata.env_id);
  }
  const ids = traces.map(({ exampleId, rollout }) => `${exampleId}/${rollout}`);
  expect(new Set(ids).size).toBe(count);
  // Upstream's own means, but where it counts failed rollouts and where the last line is torn.
  const { reward, metrics, passAtK, passAllK, usage } = summarize(traces, { rolloutsPerExample: 2 });
  if (folder === 'head-legacy/tools' || folder === 'head-legacy/resume_before') return;
  expect(reward!.mean).toBeCloseTo(metadata.avg_reward!, 9);
  for (const [name, mean] of Object.entries(metadata.avg_metrics)) expect(metrics[name]!.mean).toBeCloseTo(mean, 9);
  expect(Object.keys(metrics).sort()).toEqual(Object.keys(metadata.avg_metrics).sort());
  if (!folder.startsWith('head')) return;
  expect([passAtK, passAllK]).toEqual([metadata.pass_at_k, metadata.pass_all_k]);
  const means: Record<string, number> = { ...usage };
  for (const [name, mean] of Object.entries<number>({ ...metadata.usage! })) expect(means[name]).toBeCloseTo(mean, 9);
});

it('reads both kinds of tool calls, the answers to them where they are kept, and how a rollout ended', async () => {
  const [old, head] = await Promise.all([golden('v0.1.8.post2/tools'), golden('head-legacy/tools')]);
  for (const { traces } of [old, head]) {
    expect(traces[0]!.completion.map(({ role }) => role)).toEqual(['assistant', 'tool', 'assistant']);
    expect(traces[0]!.completion[0]!.toolCalls).toEqual(CALLS);
    expect(traces[0]).toMatchObject({ answer: '5', info: { kind: 'sum', level: 1 }, reward: 1.1 });
  }
  const { traces } = head;
  expect(traces[0]!.completion[1]).toEqual({ role: 'tool', content: '5', toolCallId: 'call_a0' });
  expect(traces[0]!.tools.map(({ name }) => name)).toEqual(['add', 'lookup']);
  expect(traces.map(({ stopCondition }) => stopCondition)).toEqual([
    ...['no_tools_called', 'no_tools_called', 'no_tools_called', 'prompt_too_long', 'max_turns_reached'],
    ...['no_tools_called', 'has_error', 'has_error'],
  ]);
  expect(traces[0]!.turns.map(({ finishReason, promptMessages }) => [finishReason, promptMessages])).toEqual([
    ['tool_calls', 1],
    ['stop', 3],
  ]);
  expect(traces[5]!.turns.at(-1)!.finishReason).toBe('length');
  expect(traces[6]!.error).toMatchObject({ source: 'model', name: 'ModelError' });
  expect(traces[6]!.error!.message).toContain('scripted failure: invalid request');
  expect(tokenUsage(traces[0]!)).toMatchObject({ input_tokens: 16, output_tokens: 7, final_input_tokens: 7 });
  expect(summarize(traces)).toMatchObject({ failed: 2, reward: { rollouts: 6 } });
});

it('reads the episodes of verifiers 1 into the same type', async () => {
  const text = readFileSync(join(GOLDEN, 'v1/tools/traces.jsonl'), 'utf8');
  const { traces, unreadable } = await readRun(new MemoryStore(`${text}{"id": "torn`));
  expect(unreadable).toHaveLength(1);
  const [success, cutOff, failed, never] = traces;
  expect(success).toMatchObject({
    environment: 'golden-tools',
    exampleId: 0,
    prompt: [{ role: 'user', content: 'Add 2 and 3, then report.' }],
    completion: [
      { role: 'assistant', content: '', toolCalls: CALLS },
      { role: 'tool', content: '5', toolCallId: 'call_a0' },
      { role: 'assistant', content: 'The sum is 5' },
    ],
    answer: '5',
    metrics: { has_answer: 1, third: 1 / 3, num_turns: 2 },
    stopCondition: 'agent_completed',
    error: null,
    tokenUsage: { input_tokens: 16, output_tokens: 7, final_output_tokens: 7, final_input_tokens: 7 },
  });
  expect(success!.reward).toBeCloseTo(1.1, 12);
  expect(
    success!.turns.map(({ finishReason, promptMessages, tokens }) => [finishReason, promptMessages, tokens]),
  ).toEqual([
    ['tool_calls', 1, { promptIds: [1, 2, 3], completionIds: [4, 5], logprobs: [-0.1, -0.25] }],
    ['stop', 3, { promptIds: [1, 2, 3, 4, 5, 6, 7], completionIds: [8, 9, 10], logprobs: [-0.5, -0.01, -1] }],
  ]);
  expect(cutOff).toMatchObject({ reward: 0, isTruncated: true, turns: [{ finishReason: 'length' }] });
  expect(cutOff!.turns[0]!.tokens).toBeUndefined();
  expect(failed).toMatchObject({ reward: null, error: { source: 'model', name: 'ProviderError' }, completion: [] });
  expect(never).toMatchObject({
    prompt: [{ role: 'user', content: 'Never starts.' }],
    reward: null,
    error: { source: 'environment', name: 'RuntimeError', message: 'box did not start' },
  });
  expect(summarize(traces)).toMatchObject({ rollouts: 4, failed: 2, reward: { rollouts: 2 } });
});

/** Like the fixture's: counts tokens as words. */
function counting(name: string, model: ChatModel): ChatModel {
  const words = (text: string) => text.split(/\s+/).filter(Boolean).length;
  return {
    name,
    complete: async (request, options) => {
      const completion = await model.complete(request, options);
      const promptTokens = request.messages.reduce((sum, { content }) => sum + words(content), 0);
      return { ...completion, usage: { promptTokens, completionTokens: words(completion.message.content) + 1 } };
    },
  };
}

async function ours(kind: 'tools' | 'single_turn'): Promise<MemoryStore> {
  const store = new MemoryStore();
  const player = functionModel('player', (request) => {
    if (kind === 'single_turn') return '1';
    const broken = request.messages[0]!.content.startsWith('add 3') && new Random(request.key).next() < 0.7;
    if (broken) throw Object.assign(new Error('scripted failure'), { name: 'BadRequestError' });
    return toolPlayer(request);
  });
  const env = kind === 'tools' ? toolWorld(6) : sums(3);
  await evaluate(env, counting('acme/player', player), {
    rolloutsPerExample: 2,
    store,
    sampling: { maxTokens: 64, temperature: 0.7 },
    labels: { baseUrl: 'http://localhost/v1' },
  });
  return store;
}

type Json = Record<string, unknown>;

it.each(['tools', 'single_turn'] as const)('%s: our files have the shape of upstream’s newest', async (kind) => {
  const store = await ours(kind);
  const folder = join(GOLDEN, 'head-legacy', kind);
  const theirRows = parseLines(readFileSync(join(folder, 'results.jsonl'), 'utf8'));
  const ourRows = parseLines(store.results);
  const [theirNames, ourNames] = [theirRows, ourRows].map((rows) => [
    ...new Set(rows.flatMap(({ metrics }) => Object.keys(metrics))),
  ]);
  const fixed = (row: Json, names: readonly string[]): Json => {
    const { terrarium, metrics, info, answer, ...rest } = row;
    for (const name of names) {
      if (!rest.error) expect(typeof rest[name]).toBe('number');
      delete rest[name];
    }
    expect(Object.values(metrics as Json).every((value) => typeof value === 'number')).toBe(true);
    expect(terrarium === undefined || typeof terrarium === 'object').toBe(true);
    expect(info === undefined || typeof info === 'object').toBe(true);
    expect(answer === undefined || typeof answer === 'string').toBe(true);
    // The one difference of kind: what failed has no reward.
    if (rest.error) rest.reward = 0;
    // Parameters of tools are their authors'.
    for (const tool of rest.tool_defs as Json[]) tool.parameters = {};
    return rest;
  };
  const theirShape = shapeOf(theirRows.map((row) => fixed(row, theirNames!)));
  const ourShape = shapeOf(ourRows.map((row) => fixed(row, ourNames!)));
  expect(ourShape).toEqual(theirShape);
  if (kind === 'tools') expect(ourRows.some(({ error }) => error)).toBe(true);

  const metadata = (text: string): Json => {
    const { terrarium, avg_metrics: metrics, sampling_args: sampling, tools, ...rest } = JSON.parse(text) as Json;
    expect([typeof metrics, typeof sampling]).toEqual(['object', 'object']);
    expect(terrarium === undefined || typeof terrarium === 'object').toBe(true);
    expect(tools === null).toBe(kind === 'single_turn');
    for (const tool of (tools ?? []) as Json[]) {
      expect(Object.keys(tool)).toEqual(['name', 'description', 'parameters', 'strict']);
    }
    return rest;
  };
  const theirs = metadata(readFileSync(join(folder, 'metadata.json'), 'utf8'));
  expect(shapeOf(metadata(store.metadata!))).toEqual(shapeOf(theirs));
});

it('the order of keys, too, is upstream’s', async () => {
  const store = await ours('tools');
  const theirs = parseLines(readFileSync(join(GOLDEN, 'head-legacy/tools/results.jsonl'), 'utf8'));
  const order = (rows: Json[]) => {
    const keys = Object.keys(rows.find(({ error, answer }) => error === null && answer)!);
    return keys.slice(0, keys.indexOf('token_usage') + 1).filter((key) => key !== 'info');
  };
  expect(order(parseLines(store.results))).toEqual(order(theirs));
});

it('what is written is read back: the same trace, but for token ids that were not asked for', async () => {
  const store = new MemoryStore();
  const { traces } = await evaluate(toolWorld(8), functionModel('player', toolPlayer), {
    store,
    rolloutsPerExample: 2,
  });
  const saved = await readRun(store);
  const order = (list: readonly Trace[]) =>
    [...list].sort((a, b) => a.exampleId - b.exampleId || a.rollout - b.rollout);
  const plain = (trace: Trace) => ({ ...(timelessTrace(trace) as object), advantage: null });
  expect(order(saved.traces).map(plain)).toEqual(traces.map(plain));
  order(saved.traces).forEach(({ timing }, i) => expect(timing).toEqual(traces[i]!.timing));
  expect(saved.metadata.terrarium).toMatchObject({ done: 16, total: 16, weights: { has_answer: 1, add_calls: 0 } });
});

const TRACE: Trace = {
  environment: 'e',
  task: 't',
  taskKey: 'k',
  exampleId: 3,
  draw: 0,
  rollout: 1,
  prompt: [{ role: 'user', content: 'q' }],
  completion: [
    {
      role: 'assistant',
      content: 'a\u2028\ud800\u0000"',
      toolCalls: [{ id: 'c', name: 'f', arguments: '{"x": NaN' }],
      issues: [{ severity: 'malformed', message: 'bad', text: 'f(', toolCallId: 'c' }],
    },
    { role: 'tool', content: 'no', toolCallId: 'c' },
  ],
  answer: '',
  info: {},
  tools: [],
  turns: [
    {
      promptMessages: 1,
      finishReason: 'length',
      span: { start: 2, end: 3 },
      usage: { promptTokens: 2, completionTokens: 1 },
      tokens: { promptIds: [1, 2], completionIds: [3], logprobs: [-0.5] },
      reward: 0.25,
      breaksPrefix: true,
    },
  ],
  reward: null,
  metrics: { reward: 9, m: 1 },
  advantage: null,
  stopCondition: 'has_error',
  isTruncated: true,
  error: { source: 'reward', where: 'm', name: 'TypeError', message: 'returned NaN' },
  timing: {
    setup: { start: 1, end: 1.5 },
    generation: { start: 1.5, end: 4 },
    scoring: { start: 4, end: 5 },
    environment: [{ start: 3, end: 3.5 }],
  },
};

it('keeps parse issues, error sources, turns and, when asked, tokens', () => {
  const text = formatRow(TRACE, { tokens: true });
  const { tokenUsage: usage, ...back } = parseRow(text, '', () => 0);
  expect(back).toEqual({ ...TRACE, completion: [{ ...TRACE.completion[0] }, TRACE.completion[1]] });
  expect(usage).toEqual({ input_tokens: 2, output_tokens: 1, final_output_tokens: 1, final_input_tokens: 2 });
  expect(text).not.toContain('\n');
  const [bare] = parseRow(formatRow(TRACE), '', () => 0).turns;
  expect(bare!.tokens).toBeUndefined();
  expect(prefixBreaks([bare!])).toBe(1); // it is said without the tokens as well
});

it('a metric never takes the place of a column, nor our fields upstream’s names', () => {
  const row = rowOf(TRACE);
  expect(row.reward).toBeNull();
  expect(row.metrics).toEqual({ reward: 9, m: 1 });
  expect(row.m).toBe(1);
  expect(row.timing).toMatchObject({ start_time: 1, total: 4, overhead: 1, model: { duration: 1 } });
  // A number at the top level would be shown as a metric by upstream's viewer.
  const numbers = Object.entries(row).filter(([, value]) => typeof value === 'number');
  expect(numbers.map(([name]) => name)).toEqual(['example_id', 'm']);
});

it('info that JSON cannot hold costs nothing but itself', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  for (const info of [{ big: 1n }, circle]) {
    const row = JSON.parse(formatRow({ ...TRACE, info })) as { info: { unwritable: string } };
    expect(row.info.unwritable).toMatch(/BigInt|circular/);
  }
  expect(JSON.parse(formatRow({ ...TRACE, info: { x: NaN } }))).toMatchObject({ info: { x: null } });
});

it('reads what Python writes for NaN, plain text, content parts, and calls that are no JSON', () => {
  const text =
    '{"example_id": 0, "prompt": "2+2=", "completion": [{"role": "assistant", "content": [{"type": "text", "text": "NaN"}, ' +
    '{"type": "image_url"}], "tool_calls": ["{broken"]}], "reward": NaN, "metrics": {"a": -Infinity, "b": 2}, "error": "bad"}';
  const trace = parseRow(text, 'env', () => 4);
  expect(trace.prompt).toEqual([{ role: 'user', content: '2+2=' }]);
  expect(trace.completion[0]).toEqual({
    role: 'assistant',
    content: 'NaN[image_url]',
    toolCalls: [{ id: '', name: '', arguments: '{broken' }],
  });
  expect(trace).toMatchObject({ reward: null, metrics: { b: 2 }, error: { message: 'bad' }, rollout: 4 });
  expect(() => parseRow('{"example_id": "x"}', '', () => 0)).toThrow('no example_id');
});

it('broken metadata is empty', () => {
  for (const text of [undefined, '', '{', '[]', '{"usage": 3, "tools": {}, "avg_metrics": {"a": "b"}}']) {
    expect(parseMetadata(text)).toMatchObject({ env_id: '', usage: null, tools: null, avg_metrics: {} });
  }
});

it('names folders as upstream does, and safely', () => {
  expect(runsFolder('wiki-search', 'Qwen/Qwen3-0.6B')).toBe('evals/wiki-search--Qwen--Qwen3-0.6B');
  expect(runsFolder('../../etc', 'a:b\\c\u0000')).toBe('evals/etc--a_b_c_');
  expect(runsFolder('..', '')).toBe('evals/_--_');
});

it('says our version', () => {
  const { name, version } = readJsonFile(process.cwd(), 'package.json') as { name: string; version: string };
  expect(LIBRARY_VERSION).toBe(`${name} ${version}`);
});
