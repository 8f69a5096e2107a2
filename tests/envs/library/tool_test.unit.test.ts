import { describe, expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import type { Message } from '../../../src/envs';
import { ROLLOUT, replay } from './players';

let calls = 0;
function call(...list: [name: string, args: string][]): Message {
  const toolCalls = list.map(([name, args]) => ({ id: `call_${calls++}`, name, arguments: args }));
  return { role: 'assistant', content: '', toolCalls };
}
const text = (content: string): Message => ({ role: 'assistant', content });

async function play(env: string, names: string[], replies: Message[]) {
  const example = { exampleId: 0, question: 'call', info: { tool_names: names } };
  return libraryEntry(env).load().rollout(example, replay(replies), ROLLOUT);
}

describe('tool-test', () => {
  it.each<[string, [string, string][], number]>([
    [
      'in any order',
      [
        ['tool_B', '{"x":"a"}'],
        ['tool_A', '{"x":1}'],
      ],
      1,
    ],
    [
      'with arguments that do not fit',
      [
        ['tool_B', '{"x":1}'],
        ['tool_A', '[]'],
      ],
      1,
    ],
    ['one too few', [['tool_A', '{"x":1}']], 0],
    [
      'one too many',
      [
        ['tool_A', '{"x":1}'],
        ['tool_B', '{"x":"a"}'],
        ['tool_C', '{"x":1}'],
      ],
      0,
    ],
    [
      'one twice',
      [
        ['tool_A', '{"x":1}'],
        ['tool_A', '{"x":1}'],
        ['tool_B', '{"x":"a"}'],
      ],
      0,
    ],
    [
      'an unknown one',
      [
        ['tool_A', '{"x":1}'],
        ['tool_Z', '{}'],
      ],
      0,
    ],
    ['none', [], 0],
  ])('two named tools, %s: %d', async (_, list, reward) => {
    const trace = await play('tool-test', ['tool_A', 'tool_B'], [call(...list)]);
    expect([trace.reward, trace.metrics.total_tool_calls]).toEqual([reward, list.length]);
  });

  it('has the four tools, one for each kind of argument', () => {
    const schemas = libraryEntry('tool-test').load().toolSchemas();
    expect(
      schemas.map(({ name, parameters }) => [name, (parameters.properties as { x: { type: string } }).x.type]),
    ).toEqual([
      ['tool_A', 'integer'],
      ['tool_B', 'string'],
      ['tool_C', 'number'],
      ['tool_D', 'boolean'],
    ]);
  });
});

describe('tool-test-mini', () => {
  const good = (name: string) => call([name, '{"x":4}']);

  it('runs the tools', async () => {
    const { completion, reward } = await play(
      'tool-test-mini',
      ['inc', 'neg', 'sqr'],
      [good('sqr'), good('neg'), good('inc'), text('ok')],
    );
    expect(completion.filter(({ role }) => role === 'tool').map(({ content }) => content)).toEqual(['16', '-4', '5']);
    expect(reward).toBe(1);
  });

  it.each<[string, Message[]]>([
    ['one missing', [good('inc'), text('ok')]],
    ['another one', [good('inc'), good('ten'), text('ok')]],
    ['one twice', [good('inc'), good('sqr'), good('inc'), text('ok')]],
    ['a call without an argument', [good('inc'), call(['sqr', '{}']), text('ok')]],
    ['an argument that is no number', [good('inc'), call(['sqr', '{"x":"a"}']), text('ok')]],
    ['an unknown tool', [good('inc'), call(['cube', '{"x":1}']), text('ok')]],
    ['calls without an end', [good('inc'), good('sqr'), good('inc'), good('sqr')]],
  ])('%s: 0', async (_, replies) => {
    const { reward, completion, error } = await play('tool-test-mini', ['inc', 'sqr'], replies);
    expect([reward, error]).toEqual([0, null]);
    for (const { role, content } of completion) if (role === 'tool') expect(content).toMatch(/^(error|-?\d+)$/);
  });
});
