import { expect, it } from 'vitest';
import {
  SingleTurnEnv,
  chatRecord,
  chatRows,
  demonstrationsFrom,
  evaluate,
  formatChat,
  functionModel,
  selectRollouts,
} from '../../../src/envs';
import type { Trace } from '../../../src/envs';
import { demonstration } from '../../../src/rl';
import { dicePlayer, sums, toolPlayer, toolWorld } from './worlds';

it('selects by reward, without doubles, failures and what was cut off', async () => {
  const { traces } = await evaluate(sums(5), dicePlayer(0.6), { rolloutsPerExample: 6 });
  const solved = new Set(traces.filter(({ reward }) => reward === 1).map(({ exampleId }) => exampleId));
  const good = selectRollouts(traces, { minReward: 1 });
  expect(good.map(({ exampleId }) => exampleId)).toEqual([...solved]); // the same answer once
  expect(selectRollouts(traces, { minReward: 1, deduplicate: false }).length).toBeGreaterThan(good.length);
  const kinds = new Set(traces.map(({ exampleId, reward }) => `${exampleId}: ${reward}`));
  expect(selectRollouts(traces)).toHaveLength(kinds.size); // right and wrong, each once
  good[0]!.isTruncated = true;
  good[1]!.error = { source: 'reward', name: 'E', message: '' };
  expect(selectRollouts(good)).toEqual(good.slice(2));
  expect(selectRollouts(good, { truncated: true })).toEqual([good[0], ...good.slice(2)]);
  expect(selectRollouts(good, { keep: ({ exampleId }) => exampleId === 3 })).toHaveLength(1);
  const best = selectRollouts(traces.slice(12), { maxPerTask: 1 });
  expect(best.map(({ reward }) => reward)).toEqual([1, 1, 1]);
});

async function toolTraces(): Promise<Trace[]> {
  const { traces } = await evaluate(toolWorld(6), functionModel('p', toolPlayer), { rolloutsPerExample: 2 });
  return selectRollouts(traces, { minReward: 1 });
}

it('exports what OpenAI and Hugging Face read: one conversation per line, with its tools', async () => {
  const [trace] = await toolTraces();
  const record = chatRecord(trace!);
  expect(record.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'assistant']);
  expect(record.messages[1]).toEqual({
    role: 'assistant',
    content: 'Two moments.',
    tool_calls: [
      {
        id: expect.any(String) as string,
        type: 'function',
        function: { name: 'add', arguments: expect.any(String) as string },
      },
    ],
  });
  expect(record.messages[2]).toMatchObject({ role: 'tool', tool_call_id: record.messages[1]!.tool_calls![0]!.id });
  expect(record.tools!.map(({ type, function: { name } }) => [type, name])).toEqual([
    ['function', 'add'],
    ['function', 'lookup'],
  ]);
  const lines = formatChat([trace!, trace!]).split('\n');
  expect(lines).toHaveLength(3);
  expect(JSON.parse(lines[0]!)).toEqual(JSON.parse(JSON.stringify(record)));
});

it('reads its own export back as rows', async () => {
  const traces = await toolTraces();
  const back = chatRows(`\n${formatChat(traces)}\n`);
  expect(back).toHaveLength(traces.length);
  back.forEach(({ prompt, completion, tools }, i) => {
    expect(prompt).toEqual(traces[i]!.prompt);
    expect(completion).toEqual(traces[i]!.completion);
    expect(tools).toEqual(traces[i]!.tools);
  });
});

it('reads what others write: calls without id, arguments as objects, no content', () => {
  const line = {
    messages: [
      { role: 'user', content: 'q' },
      { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: { x: 1 } } }] },
      { role: 'tool', content: 'r', tool_call_id: 'call_0' },
    ],
    tools: [{ name: 'f', description: 'd', parameters: {} }],
  };
  expect(chatRows(JSON.stringify(line))).toEqual([
    {
      prompt: [{ role: 'user', content: 'q' }],
      completion: [
        { role: 'assistant', content: '', toolCalls: [{ id: 'call_0', name: 'f', arguments: '{"x":1}' }] },
        { role: 'tool', content: 'r', toolCallId: 'call_0' },
      ],
      tools: [{ name: 'f', description: 'd', parameters: {} }],
    },
  ]);
});

it.each([
  ['{', 'line 2: '],
  ['{}', 'line 2, column "messages": not a list'],
  ['null', 'line 2, column "messages": not a list'],
  ['{"messages": [{"role": "user", "content": "q"}]}', 'line 2, column "messages": no message of the assistant'],
  ['{"messages": [{"role": "robot", "content": "q"}]}', 'line 2, message 0: role "robot"'],
  ['{"messages": [{"role": "assistant", "content": []}]}', 'line 2, message 0: its content is not text'],
  ['{"messages": [{"role": "assistant", "tool_calls": [{}]}]}', 'line 2, message 0: a tool call without a name'],
])('names line and message of %s', (line, message) => {
  const good = '{"messages": [{"role": "assistant", "content": "a"}]}';
  expect(() => chatRows(`${good}\n${line}`)).toThrow(message);
});

it('our SFT trainer learns from them', async () => {
  const { traces } = await evaluate(sums(4), dicePlayer(1));
  const list = chatRows(formatChat(selectRollouts(traces, { minReward: 1 })));
  const env = new SingleTurnEnv({ name: 'sft', ...demonstrationsFrom(list) });
  const conversations = await Promise.all([0, 1, 2, 3, 4].map((i) => demonstration(env, i, { seed: 1, careless: 0 })));
  expect(conversations[1]).toEqual([
    { role: 'user', content: '1+1' },
    { role: 'assistant', content: '2' },
  ]);
  expect(conversations[4]).toEqual(conversations[0]);
  expect(() => demonstrationsFrom([])).toThrow('no rows to learn from');
});
