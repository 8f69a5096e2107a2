/** @file Tools: schemas, calls, errors, limits, hidden arguments; hooks, time limits and groups around rollouts. */
import { expect, it } from 'vitest';
import { z } from 'zod';
import {
  EnvGroup,
  MultiTurnEnv,
  Rubric,
  RubricGroup,
  SingleTurnEnv,
  StatefulToolEnv,
  ToolEnv,
  contentKey,
  groupReward,
  rows,
  tool,
} from '../../src/envs';
import type { Message, State, ToolCall, ToolEnvOptions, Trace } from '../../src/envs';
import { ScriptedModel, lastContent } from '../scripted';
import type { Reply } from '../scripted';

const OPTIONS = { draw: 0, rollout: 0, key: [1, 2] as const };

const add = tool({
  name: 'add',
  description: 'Add two numbers.',
  parameters: z.object({ x: z.number(), y: z.number().describe('The other.').default(1) }),
  run: ({ x, y }) => x + y,
});

function calls(...list: [name: string, args: string][]): Reply {
  const toolCalls: ToolCall[] = list.map(([name, args], i) => ({ id: `c${i}`, name, arguments: args }));
  return { message: { role: 'assistant', content: '', toolCalls }, finishReason: 'tool_calls' };
}

async function play(options: Partial<ToolEnvOptions>, ...replies: Reply[]): Promise<Trace> {
  const env = new ToolEnv({ name: 'tools', dataset: rows([{ question: 'go' }]), tools: [add], ...options });
  return env.rollout(await env.example(0), scripted(replies), OPTIONS);
}

function scripted(replies: readonly Reply[]): ScriptedModel {
  const queue = [...replies];
  return new ScriptedModel(() => queue.shift() ?? 'done');
}

const said = ({ completion }: Trace) => completion.filter(({ role }) => role === 'tool').map(({ content }) => content);

it('offers strict schemas, answers calls with tool messages, and stops when nothing is called', async () => {
  const env = new ToolEnv({ name: 'tools', dataset: rows([{ question: 'go' }]), tools: [add] });
  const model = scripted([calls(['add', '{"x":2,"y":3}'], ['add', '{"x":2}'])]);
  const trace = await env.rollout(await env.example(0), model, OPTIONS);
  expect(trace.completion.slice(1)).toEqual([
    { role: 'tool', content: '5', toolCallId: 'c0' },
    { role: 'tool', content: '3', toolCallId: 'c1' },
    { role: 'assistant', content: 'done' },
  ]);
  expect(trace.stopCondition).toBe('no_tools_called');
  expect(trace.metrics).toEqual({ total_tool_calls: 2, add_calls: 2, num_turns: 2 });
  expect(model.requests[0]!.tools).toEqual(trace.tools);
  expect(trace.tools).toEqual([
    {
      name: 'add',
      description: 'Add two numbers.',
      parameters: {
        type: 'object',
        title: 'add_args',
        additionalProperties: false,
        required: ['x', 'y'],
        properties: {
          x: { title: 'X', type: 'number' },
          y: { title: 'Y', type: 'number', description: 'The other.', default: 1 },
        },
      },
    },
  ]);
  expect(trace.timing.environment).toHaveLength(1);
});

it('takes JSON Schema, and any schema that validates and says itself as JSON Schema', async () => {
  const parameters = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] };
  const json = tool({ name: 'half', parameters, run: ({ n }) => ({ half: (n as number) / 2 }) });
  expect(said(await play({ tools: [json] }, calls(['half', '{"n":3}'], ['half', '{"n":1.5}'])))).toEqual([
    '{"half":1.5}',
    expect.stringContaining('n: Invalid input: expected int'),
  ]);
  const mute = { '~standard': { version: 1 as const, vendor: 'mute', validate: (value: unknown) => ({ value }) } };
  expect(() => tool({ name: 'f', parameters: mute, run: () => 1 })).toThrow('schemas of mute do not say themselves');
  const free = { type: 'object', properties: { any: { type: 'object', additionalProperties: true } } };
  expect(() => tool({ name: 'f', parameters: free, run: () => 1 })).toThrow(
    'tool f, argument any: an object of free keys',
  );
  expect(() => tool({ name: 'a b', parameters, run: () => 1 })).toThrow('tool name "a b"');
});

it.each<[string, Reply, string]>([
  ['an unknown tool', calls(['sub', '{}']), 'there is no tool "sub"; the tools are add'],
  ['arguments that are not JSON', calls(['add', '{oops']), 'the arguments are not JSON: '],
  ['arguments that are no object', calls(['add', '[1]']), 'the arguments are not a JSON object'],
  ['arguments that fail the schema', calls(['add', '{"x":"2"}']), 'x: Invalid input: expected number'],
  [
    'a call that could not be read',
    {
      message: {
        role: 'assistant',
        content: '',
        toolCalls: [{ id: 'c0', name: 'add', arguments: '{}' }],
        issues: [{ severity: 'malformed', message: 'no closing tag', text: '', toolCallId: 'c0' }],
      },
    },
    'no closing tag',
  ],
])('%s is told to the model, and the rollout goes on', async (_, reply, message) => {
  const trace = await play({}, reply);
  expect(said(trace)[0]).toContain(message);
  expect(trace).toMatchObject({ error: null, stopCondition: 'no_tools_called', reward: 0 });
});

const failing = (run: () => unknown) => tool({ name: 'f', parameters: z.object({}), run });

it.each<[string, () => unknown, Partial<ToolEnvOptions>, string]>([
  [
    'throws',
    () => {
      throw new TypeError('no such page');
    },
    {},
    'no such page',
  ],
  ['hangs', () => new Promise(() => undefined), { toolTimeoutSeconds: 0.02 }, 'tool f took longer than 0.02 s'],
  ['returns NaN', () => NaN, {}, 'null'],
  ['returns nothing', () => undefined, {}, 'null'],
  ['returns an object', () => ({ a: [1] }), {}, '{"a":[1]}'],
  ['returns a huge text', () => 'x'.repeat(200_001), {}, 'the result of f has 200001 characters; at most 100000 fit'],
])('a tool that %s', async (_, run, options, message) => {
  const trace = await play({ tools: [failing(run)], ...options }, calls(['f', '{}']));
  expect(said(trace)).toEqual([message]);
  expect(trace.error).toBeNull();
});

it('listed errors end the rollout as failed, by class or name', async () => {
  class Gone extends Error {
    override name = 'Gone';
  }
  const gone = failing(() => {
    throw new Gone('the database is gone');
  });
  for (const stopErrors of [[Gone], ['Gone']]) {
    const trace = await play({ tools: [gone], stopErrors }, calls(['f', '{}'], ['f', '{}']));
    expect(trace).toMatchObject({
      stopCondition: 'has_error',
      reward: null,
      error: { source: 'environment', where: 'tool f', name: 'Gone', message: 'the database is gone' },
    });
    expect(said(trace)).toHaveLength(1); // the second call was not made
  }
  const formatted = await play({ tools: [gone], errorFormatter: ({ name }) => `<${name}>` }, calls(['f', '{}']));
  expect(said(formatted)).toEqual(['<Gone>']);
});

it('hidden arguments are neither shown to the model nor taken from it', async () => {
  class Sessions extends StatefulToolEnv {
    constructor() {
      super({ name: 'sessions', dataset: rows([{ question: 'go' }]) });
      const parameters = z.object({ v: z.number(), session: z.string() });
      this.addTool(tool({ name: 'put', parameters, run: ({ v, session }) => `${v}@${session}` }), ['session']);
      this.addSetup('open', ({ scratch }) => void (scratch.session = 's1'));
    }

    protected override updateToolArgs(_: string, args: Record<string, unknown>, __: unknown, { scratch }: State) {
      return { ...args, session: scratch.session };
    }
  }
  const env = new Sessions();
  const model = scripted([calls(['put', '{"v":1}'], ['put', '{"v":2,"session":"forged"}'], ['put', '{}'])]);
  const trace = await env.rollout(await env.example(0), model, OPTIONS);
  expect(Object.keys(trace.tools[0]!.parameters.properties as object)).toEqual(['v']);
  expect(trace.tools[0]!.parameters.required).toEqual(['v']);
  expect(said(trace)).toEqual(['1@s1', '2@s1', expect.stringContaining('v: Invalid input')]);
  expect(trace.metrics.put_calls).toBe(3);
  expect(JSON.stringify(trace)).not.toContain('scratch');
  expect(() => env.addTool(add, ['z'])).toThrow('tool add has no argument z to hide');
  expect(() => env.addTool(failing(() => 1)) ?? env.addTool(failing(() => 1))).toThrow('two tools named f');
});

class Hooked extends MultiTurnEnv {
  readonly log: string[] = [];

  constructor(
    more: Partial<ToolEnvOptions> = {},
    private readonly answer: () => Message[] | Promise<Message[]> = () => [{ role: 'user', content: 'more' }],
  ) {
    super({ name: 'hooked', dataset: rows([{ question: 'go' }]), maxTurns: 2, ...more });
    for (const [name, priority] of [
      ['b', 0],
      ['a', 0],
      ['first', 5],
    ] as const) {
      this.addSetup(name, () => void this.log.push(`setup ${name}`), priority);
      this.addCleanup(name, () => void this.log.push(`cleanup ${name}`), priority);
      this.addTeardown(name, () => void this.log.push(`teardown ${name}`), priority);
    }
  }

  stop(name: string, priority = 0): this {
    this.addStop(name, ({ turns }) => turns.length > 0, priority);
    return this;
  }

  fail(where: 'setup' | 'cleanup'): this {
    const hook = () => {
      throw new Error(`${where} went wrong`);
    };
    if (where === 'setup') this.addSetup('z broken', hook);
    else this.addCleanup('z broken', hook);
    return this;
  }

  protected override envResponse(): Message[] | Promise<Message[]> {
    return this.answer();
  }
}

async function run(env: MultiTurnEnv, model = new ScriptedModel(() => 'hi'), signal?: AbortSignal): Promise<Trace> {
  return env.rollout(await env.example(0), model, { ...OPTIONS, signal });
}

it('hooks run by priority, then by name; clean-up also when the rollout fails', async () => {
  const env = new Hooked();
  await run(env);
  await env.teardown();
  const order = ['first', 'a', 'b'];
  expect(env.log).toEqual(['setup', 'cleanup', 'teardown'].flatMap((kind) => order.map((name) => `${kind} ${name}`)));
  const broken = new Hooked().fail('setup');
  expect(await run(broken)).toMatchObject({
    error: { source: 'environment', where: 'z broken', message: 'setup went wrong' },
    stopCondition: 'has_error',
    turns: [],
  });
  expect(broken.log).toContain('cleanup b');
  const dirty = await run(new Hooked().fail('cleanup'));
  expect(dirty).toMatchObject({ reward: null, error: { where: 'z broken', message: 'cleanup went wrong' } });
});

it('stop conditions are asked by priority, then by name', async () => {
  const names = async (env: Hooked) => (await run(env)).stopCondition;
  expect(await names(new Hooked({ maxTurns: 1 }).stop('all_said'))).toBe('all_said');
  expect(await names(new Hooked({ maxTurns: 1 }).stop('said_all'))).toBe('max_turns_reached');
  expect(await names(new Hooked({ maxTurns: 1 }).stop('said_all', 1))).toBe('said_all');
});

it('the last word of an environment ends the rollout', async () => {
  class LastWord extends Hooked {
    protected override envResponse(...[state]: [State?]): Message[] {
      state!.finalEnvResponse = [{ role: 'user', content: 'bye' }];
      return [{ role: 'user', content: 'bye' }];
    }
  }
  const trace = await run(new LastWord({ maxTurns: 9 }));
  expect(trace.completion.map(({ content }) => content)).toEqual(['hi', 'bye']);
  expect(trace.stopCondition).toBe('has_final_env_response');
});

it('a rollout out of time is scored as it is, and what was left behind cannot touch it any more', async () => {
  let late: (messages: Message[]) => void = () => undefined;
  const env = new Hooked(
    { timeoutSeconds: 0.05, rubric: new Rubric({ said: ({ completion }) => completion.length }) },
    () => new Promise((resolve) => (late = resolve)),
  );
  const trace = await run(env);
  expect(trace).toMatchObject({ stopCondition: 'timeout_reached', isTruncated: true, error: null, reward: 1 });
  late([{ role: 'user', content: 'too late' }]);
  await new Promise(setImmediate);
  expect(trace.completion).toHaveLength(1);
  expect(env.log).toContain('cleanup a');
});

it('a cancel ends a rollout that hangs in its environment', async () => {
  const controller = new AbortController();
  const env = new Hooked({}, () => new Promise(() => undefined));
  const model = new ScriptedModel(() => {
    setImmediate(() => controller.abort(new Error('enough')));
    return 'hi';
  });
  await expect(run(env, model, controller.signal)).rejects.toThrow('enough');
  expect(env.log).toContain('cleanup a');
});

it('token limits: of all replies together, and of the whole sequence', async () => {
  const reply = (promptIds: number[]): Reply => ({
    message: { role: 'assistant', content: 'x' },
    tokens: { promptIds, completionIds: [7, 8, 9], logprobs: [-1, -1, -1] },
  });
  const total = await run(
    new Hooked({ maxTurns: 9, maxTotalCompletionTokens: 5 }),
    new ScriptedModel(() => reply([1])),
  );
  expect(total.turns).toHaveLength(2);
  expect(total.stopCondition).toBe('max_total_completion_tokens_reached');
  const cut = await run(new Hooked({ maxSeqLen: 4 }), new ScriptedModel(() => reply([1, 2])));
  expect(cut).toMatchObject({ stopCondition: 'max_seq_len_reached', isTruncated: true });
  expect(cut.turns[0]).toMatchObject({ finishReason: 'length', tokens: { completionIds: [7, 8] } });
  const long = await run(new Hooked({ maxSeqLen: 1 }), new ScriptedModel(() => reply([1, 2])));
  expect(long).toMatchObject({ stopCondition: 'prompt_too_long', isTruncated: true, turns: [] });
});

it('group functions see all rollouts of a task; the others are scored as they finish', async () => {
  const seen: (number | null)[] = [];
  const rubric = new Rubric({
    length: ({ response }) => response.length,
    longest: groupReward(({ completions }) => {
      const lengths = completions.map((completion) => completion[0]!.content.length);
      return lengths.map((length) => length === Math.max(...lengths));
    }),
  });
  const env = new SingleTurnEnv({ name: 'g', dataset: rows([{ question: 'q' }]), rubric });
  const replies = ['a', 'bbb', 'boom', 'cc'];
  const model = new ScriptedModel(({ key }) => (replies[key[0]] === 'boom' ? new Error('503') : replies[key[0]]!));
  const options = replies.map((_, rollout) => ({ draw: 0, rollout, key: [rollout, 0] as const }));
  const traces = await env.rolloutGroup(await env.example(0), model, options, (trace) => seen.push(trace.reward));
  expect(traces.map(({ reward }) => reward)).toEqual([1, 4, null, 2]);
  expect(traces.map(({ advantage }) => advantage)).toEqual([1, 4, null, 2].map((r) => r && r - 7 / 3));
  expect(traces[2]!.error).toMatchObject({ source: 'model' });
  expect(seen).toEqual([1, 4, null, 2]);
  const short = new Rubric({ short: groupReward(() => [1]) });
  const failing = new SingleTurnEnv({ name: 'g', dataset: rows([{ question: 'q' }]), rubric: short });
  const failed = await failing.rolloutGroup(await failing.example(0), new ScriptedModel(() => 'x'), options);
  expect(failed[0]!.error).toMatchObject({
    where: 'short',
    message: 'returned [1], not one number for each of 4 rollouts',
  });
});

it('a reward that hangs is an error by name, and the environment lends its parser to a rubric without one', async () => {
  const never = new Rubric({ judge: () => new Promise<number>(() => undefined) }, { timeoutSeconds: 0.02 });
  const single = (rubric: Rubric, more = {}) =>
    new SingleTurnEnv({ name: 's', dataset: rows([{ question: 'q', hint: 7 }]), rubric, ...more });
  expect((await run(single(never))).error).toMatchObject({ where: 'judge', name: 'TimeLimitError' });
  const { parser } = single(new Rubric());
  const shout = Object.assign(Object.create(parser) as typeof parser, { parse: (text: string) => text.toUpperCase() });
  const spoken = new Rubric({ right: ({ response }) => response === 'HI', hint: ({ hint }) => hint as number });
  expect((await run(single(spoken, { parser: shout }))).metrics).toMatchObject({ right: 1, hint: 7 });
});

it('rubrics of a group add up, and advantages come from the sum', async () => {
  const rubric = new RubricGroup([
    new Rubric({ one: () => 1 }),
    new Rubric({ one: () => 1, index: ({ state }) => state.rollout }, { weights: { one: 0 } }),
  ]);
  const env = new SingleTurnEnv({ name: 'g', dataset: rows([{ question: 'q' }]), rubric });
  const options = [0, 1].map((rollout) => ({ ...OPTIONS, rollout }));
  const traces = await env.rolloutGroup(await env.example(0), new ScriptedModel(() => 'x'), options);
  expect(traces.map(({ reward, advantage }) => [reward, advantage])).toEqual([
    [1, -0.5],
    [2, 0.5],
  ]);
  expect(traces[0]!.metrics).toMatchObject({ one: 2, index: 0 });
});

it('a group of environments plays each row where it belongs and lists every metric', async () => {
  const member = (name: string, questions: string[]) =>
    new SingleTurnEnv({
      name,
      dataset: rows(questions.map((question) => ({ question }))),
      systemPrompt: name,
      rubric: new Rubric({ [`${name}_right`]: ({ response }) => response === name }),
    });
  const group = new EnvGroup({ envs: [member('x', ['1', '2']), member('y', ['3'])] });
  expect(group.dataset.length).toBe(3);
  const model = new ScriptedModel((request) => request.messages[0]!.content);
  for (const [index, name] of ['x', 'x', 'y'].entries()) {
    const trace = await group.rollout(await group.example(index), model, OPTIONS);
    expect(trace).toMatchObject({ environment: 'group', task: name, reward: 1 });
    expect(trace.metrics).toEqual({ x_right: Number(name === 'x'), y_right: Number(name === 'y'), num_turns: 1 });
  }
  const endless = { length: Infinity, row: (index: number) => ({ question: String(index) }) };
  const mixed = new EnvGroup({
    envs: [new SingleTurnEnv({ name: 'e', dataset: endless }), member('y', ['3'])],
  });
  const tasks = await Promise.all([0, 1, 2, 3].map(async (i) => mixed.example(i)));
  expect(tasks.map(({ task, question }) => [task, question])).toEqual([
    ['e', '0'],
    ['y', '3'],
    ['e', '1'],
    ['y', '3'],
  ]);
  expect(() => group.member('z')).toThrow('column "task": "z" is none of the environments x, y');
  expect(() => new EnvGroup({ envs: [] })).toThrow('at least one');
  expect(() => new EnvGroup({ envs: [member('x', []), member('x', [])] })).toThrow('names repeat');
});

it("a task's key says what it is, whatever the order of its columns or its place", async () => {
  expect(contentKey({ a: 1, b: [{ d: 1, c: 2 }] })).toBe(contentKey({ b: [{ c: 2, d: 1 }], a: 1 }));
  expect(contentKey({ a: 1 })).not.toBe(contentKey({ a: 2 }));
  expect(contentKey('hello')).toMatch(/^[0-9a-f]{16}$/);
  const env = new SingleTurnEnv({
    name: 's',
    dataset: rows([{ question: 'a' }, { question: 'b' }, { question: 'a' }]),
  });
  const keys: string[] = [];
  for (const index of [0, 1, 2]) {
    keys.push((await env.rollout(await env.example(index), new ScriptedModel(lastContent), OPTIONS)).taskKey);
  }
  expect(keys[0]).toBe(keys[2]);
  expect(keys[0]).not.toBe(keys[1]);
});
