import { expect, it } from 'vitest';
import { columns, duration, figure, oneLine, printable } from '../../cli/text';
import { formatSummary } from '../../cli/report';
import { showTrace } from '../../cli/show_trace';
import { parseRow, rowOf, summarize } from '../../src/envs';
import type { Trace } from '../../src/envs';

it('nothing that a terminal would obey gets through', () => {
  expect(printable('a\u001b[2J\u0007\u009b31m\u007f\r\n\tb\rc')).toBe('a\\x1b[2J\\x07\\x9b31m\\x7f\n\tb\\x0dc');
  expect(printable('\u202eabc\u2066\ufeff🦎é')).toBe('\\u202eabc\\u2066\\ufeff🦎é');
  expect(oneLine(' a\n\n b\t\u001b]0;title\u0007 ', 80)).toBe('a b \\x1b]0;title\\x07');
  expect(oneLine('abcdefghij', 6)).toBe('abc...');
});

it('formats numbers, times and tables', () => {
  expect([3, 0.12345, 12.3456, -0.5, 1e9].map(figure)).toEqual(['3', '0.123', '12.3', '-0.500', '1.00e+9']);
  expect([1.23, 45.6, 125, 7325].map(duration)).toEqual(['1.2 s', '46 s', '2 min', '2 h 2 min']);
  expect(
    columns([
      ['name', 'value'],
      ['x', '1.5'],
      ['long name', '10'],
    ]),
  ).toBe('name       value\nx            1.5\nlong name     10');
});

const hostile = '\u001b[31mred\u001b]52;c;ZXZpbA==\u0007';

const TRACE: Trace = {
  environment: `env${hostile}`,
  task: '',
  taskKey: '',
  exampleId: 4,
  draw: 0,
  rollout: 1,
  prompt: [{ role: 'user', content: `q${hostile}` }],
  completion: [
    {
      role: 'assistant',
      content: `I look ${hostile}`,
      toolCalls: [{ id: `c${hostile}`, name: 'look', arguments: `{"a":"${hostile}"}` }],
      issues: [{ severity: 'repaired', message: `odd ${hostile}`, text: '' }],
    },
    { role: 'tool', content: `found ${hostile}`, toolCallId: `c${hostile}` },
    { role: 'assistant', content: 'x'.repeat(5000) },
  ],
  answer: `a${hostile}`,
  info: { note: hostile },
  tools: [],
  turns: [
    {
      promptMessages: 1,
      finishReason: 'tool_calls',
      span: { start: 0, end: 0.5 },
      usage: { promptTokens: 9, completionTokens: 3 },
      tokens: { promptIds: [1, 2, 3, 4, 5, 6, 7, 8, 9], completionIds: [1, 2, 3], logprobs: [0, -0.6931, -20] },
    },
    { promptMessages: 3, finishReason: 'stop', span: { start: 1, end: 2 }, breaksPrefix: true },
  ],
  reward: null,
  metrics: { [`m${hostile}`]: 0.5, calls: 2 },
  advantage: null,
  stopCondition: `stop${hostile}`,
  isTruncated: true,
  error: { source: 'reward', where: `judge${hostile}`, name: 'Error', message: hostile },
  timing: {
    setup: { start: 0, end: 0 },
    generation: { start: 0, end: 2 },
    scoring: { start: 2, end: 2 },
    environment: [],
  },
};

it('shows a rollout: turns, calls, results, reward parts, tokens, errors, and obeys none of it', () => {
  const saved = parseRow(JSON.stringify(rowOf(TRACE, { tokens: true })), '', () => 0);
  const text = showTrace(saved, { weights: { calls: 0.25 }, maxLength: 1000, title: '(1 of 1)' });
  expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
  for (const part of [
    'example 4, rollout 1  (1 of 1)',
    'no reward',
    ', cut off',
    '2 turns',
    'ERROR of the reward, judge\\x1b[31mred',
    'x 0.250 = 0.500',
    '── assistant  (tool_calls, 9 + 3 tokens, 0.5 s)',
    '-> look {"a":"\\x1b[31mred',
    'repaired: odd',
    'ids and probabilities  1:1.00 2:0.50 3:0.00',
    '── tool  (c\\x1b[31mred',
    '── assistant  (stop, 1.0 s, what came before rendered anew)',
    '... 4000 more characters',
    'answer  a\\x1b',
    'info    {"note":',
  ]) {
    expect(text).toContain(part);
  }
});

it('a summary says how many turns were rendered anew, where any were', () => {
  const saved = parseRow(JSON.stringify(rowOf(TRACE)), '', () => 0);
  expect(formatSummary(summarize([saved, saved]))).toContain('\nanew    2 turns: the chat template renders');
  const whole = { ...saved, turns: saved.turns.slice(0, 1) };
  expect(formatSummary(summarize([whole]))).not.toContain('anew');
});
