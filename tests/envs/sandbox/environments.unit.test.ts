import { describe, expect, it } from 'vitest';
import {
  CodeEnv,
  Rubric,
  SandboxEnv,
  SandboxHost,
  extractCode,
  generated,
  gradeCode,
  rows,
  sandboxOf,
  tool,
} from '../../../src/envs';
import type { Message, SandboxEnvOptions, Trace } from '../../../src/envs';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT, replay } from '../library/players';

let calls = 0;
function run(code: string, name = 'javascript'): Message {
  const id = `call_${calls++}`;
  return { role: 'assistant', content: '', toolCalls: [{ id, name, arguments: JSON.stringify({ code }) }] };
}
const say = (content: string): Message => ({ role: 'assistant', content });

const dataset = rows([{ question: 'work', answer: '42' }]);

async function play(replies: Message[], options: Partial<SandboxEnvOptions> = {}): Promise<Trace> {
  const env = new SandboxEnv({ name: 'sandbox', dataset, ...options });
  return env.rollout(await env.example(0), replay(replies), ROLLOUT);
}

const told = ({ completion }: Trace) => completion.filter(({ role }) => role === 'tool').map(({ content }) => content);

describe('SandboxEnv', () => {
  it('runs code, keeps what it declares, and says what was wrong', async () => {
    const trace = await play([
      run('let x = 40; console.log("hi")'),
      run('x + 2'),
      run('y'),
      run('for (;;);'),
      say('42'),
    ]);
    expect(told(trace)).toEqual([
      'hi\n=> undefined',
      '=> 42',
      "error: ReferenceError: 'y' is not defined",
      'error: stopped after 5000000 steps; nothing that was declared is left',
    ]);
    expect([trace.error, trace.metrics.javascript_calls, trace.stopCondition]).toEqual([null, 4, 'no_tools_called']);
  });

  it('takes a name, limits and a form of one’s own', async () => {
    const trace = await play([run('7', 'js'), run('for (;;);', 'js'), say('')], {
      toolName: 'js',
      limits: { steps: 10_000 },
      runFormatter: ({ value, stopped }) => value ?? `no (${stopped})`,
    });
    expect(told(trace)).toEqual(['7', 'no (steps)']);
  });

  it('gives every rollout a sandbox of its own, with its own dice, and frees it', async () => {
    const sandboxes = new SandboxHost();
    const disposed: number[] = [];
    const open = sandboxes.open.bind(sandboxes);
    let opened = 0;
    sandboxes.open = (options) => {
      const sandbox = open(options);
      const number = opened++;
      return { ...sandbox, dispose: () => (disposed.push(number), sandbox.dispose()) };
    };
    const env = new SandboxEnv({ name: 'sandbox', dataset, sandboxes });
    const script = () => {
      let turn = 0;
      const replies = [run('var x = (globalThis.x ?? 0) + 1; x'), run('Math.random()'), say('')];
      return new ScriptedModel(({ messages }) => {
        turn = messages.filter(({ role }) => role === 'assistant').length;
        return { message: replies[turn]! };
      });
    };
    const key = (n: number) => ({ draw: 0, rollout: n, key: [1, n] as const });
    const traces = await env.rolloutGroup(await env.example(0), script(), [key(0), key(1), key(2)]);
    const results = traces.map(told);
    expect(results.map(([first]) => first)).toEqual(['=> 1', '=> 1', '=> 1']);
    expect(new Set(results.map(([, second]) => second)).size).toBe(3);
    const [again] = await env.rolloutGroup(await env.example(0), script(), [key(1)]);
    expect(told(again!)).toEqual(results[1]);
    expect(disposed.sort()).toEqual([0, 1, 2, 3]);
    const failing = new ScriptedModel(() => new Error('no model'));
    await env.rollout(await env.example(0), failing, ROLLOUT);
    expect(disposed).toContain(4);
    sandboxes.close();
  });

  it('is there for tools of one’s own', async () => {
    const twice = tool({
      name: 'twice',
      parameters: { type: 'object', properties: { code: { type: 'string' } }, required: ['code'] },
      run: async ({ code }, { state }) => {
        const sandbox = sandboxOf(state);
        await sandbox.run(String(code));
        return (await sandbox.run(String(code))).value;
      },
    });
    expect(told(await play([run('n = 1'), run('n *= 3', 'twice'), say('')], { tools: [twice] }))).toEqual([
      '=> 1',
      '9',
    ]);
  });

  it('a sandbox that cannot be had ends the rollout as failed, not as wrong', async () => {
    const sandboxes = new SandboxHost({
      start: () => {
        throw new Error('no threads');
      },
    });
    const trace = await play([run('1'), say('42')], { sandboxes, rubric: new Rubric({ one: () => 1 }) });
    expect(trace.error).toMatchObject({ name: 'SandboxError', message: 'no worker for sandboxes: no threads' });
    expect(trace.stopCondition).toBe('has_error');
  });
});

describe('gradeCode', () => {
  const tests = [
    { call: 'add(2, 3)', expected: 5 },
    { call: 'add("a", "b")', expected: 'ab' },
  ];
  const grade = async (code: string, list = tests) => (await gradeCode(code, list)).map(({ passed }) => passed);

  it.each([
    ['right', 'const add = (a, b) => a + b;', [true, true]],
    ['right for numbers', 'function add(a, b) { return Number(a) + Number(b); }', [true, false]],
    ['text instead of a number', 'const add = (a, b) => `${a}${b}`', [false, true]],
    ['nothing there', 'const sub = 1;', [false, false]],
    ['no JavaScript', 'function (', [false, false]],
    ['endless', 'function add() { for (;;); }', [false, false]],
    ['endless at once', 'for (;;);', [false, false]],
    ['throws', 'function add() { throw 5; }', [false, false]],
    ['a promise', 'const add = async (a, b) => a + b;', [false, false]],
    [
      'something that claims to be equal',
      'const add = () => ({ valueOf: () => 5, toJSON: () => 5, toString: () => "5" })',
      [false, false],
    ],
    [
      'tampering',
      'JSON.stringify = () => "5"; Array.prototype.toString = () => "[5]"; function add() { return 6; }',
      [false, false],
    ],
    ['a value without end', 'const add = () => "x".repeat(1e6)', [false, false]],
    ['tests do not see each other', 'let n = 0; const add = (a, b) => (n++ > 0 ? 0 : a + b)', [true, true]],
  ])('%s', async (_, code, passed) => {
    expect(await grade(code)).toEqual(passed);
  });

  it('compares what JSON can say, and says what came instead', async () => {
    const code = 'const f = (x) => x;';
    const values = [null, true, 'a"b', [1, [2, {}]], { a: [null], b: { c: 'd' } }, -1.5, ''];
    for (const value of values) {
      expect(await gradeCode(code, [{ call: `f(${JSON.stringify(value)})`, expected: value }])).toEqual([
        { passed: true },
      ]);
    }
    expect(await gradeCode(code, [{ call: 'f(undefined)', expected: null }])).toEqual([
      { passed: false, got: '[undefined]' },
    ]);
    expect(await gradeCode(code, [{ call: 'g(1)', expected: 1 }])).toEqual([
      { passed: false, got: "error: ReferenceError: 'g' is not defined" },
    ]);
    const long = 'x'.repeat(20_000);
    const [verdict] = await gradeCode(code, [{ call: `f("${long}")`, expected: long.slice(0, 9000) }]);
    expect(verdict!.passed).toBe(false);
    await expect(gradeCode(code, [{ call: 'f(1)', expected: long }])).rejects.toThrow(
      'test f(1): what is expected is too long to be compared',
    );
  });
});

it('extractCode takes the last block, or everything', () => {
  expect(extractCode('a\n```js\n1\n```\nb\n```javascript\n2\n3\n```\nc')).toBe('2\n3');
  expect(extractCode('```\n4\n```')).toBe('4');
  expect(extractCode('let x;')).toBe('let x;');
});

describe('CodeEnv', () => {
  const env = new CodeEnv({
    name: 'code',
    dataset: generated(() => ({
      question: 'Write twice(x).',
      info: { tests: [1, 2, -3, 0].map((x) => ({ call: `twice(${x})`, expected: 2 * x })) },
    })),
  });
  const reward = async (...replies: Message[]) => {
    const trace = await env.rollout(await env.example(0), replay(replies), ROLLOUT);
    expect(trace.error).toBeNull();
    return trace.reward;
  };

  it('rewards the share of the tests that the last block of code passes', async () => {
    const block = (code: string) => say(`Here it is:\n\`\`\`js\n${code}\n\`\`\``);
    expect(await reward(block('const twice = (x) => 2 * x + 0;'))).toBe(1);
    expect(await reward(block('const twice = (x) => Math.abs(2 * x);'))).toBe(0.75);
    expect(await reward(say('I do not know.'))).toBe(0);
    expect(await reward(run('2 * 21'), block('const twice = (x) => x + x;'))).toBe(1);
    // What was declared while trying things out is not part of the answer.
    expect(await reward(run('function twice(x) { return 2 * x; }'), say('done'))).toBe(0);
  });
});
