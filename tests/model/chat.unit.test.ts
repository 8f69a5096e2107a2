/** @file Chat formats: what is rendered once is never rendered again, and what a model writes is read with its faults. */
import { expect, it } from 'vitest';
import { toolCallScore } from '../../src/envs';
import type { Message, ToolSchema } from '../../src/envs';
import {
  CharTokenizer,
  HermesChat,
  Llama3Chat,
  TinyChat,
  TinyTokenizer,
  formatHermesCall,
  formatLlama3Call,
  formatTinyCall,
  parseHermesCalls,
  parseLlama3Calls,
  parseTinyCall,
} from '../../src/model';
import type { ChatFormat, ChatTokenizer } from '../../src/model';
import { Random, deriveKey } from '../../src/random';

/** Code points as ids, and special tokens far above them. */
const codePoints: ChatTokenizer = {
  encode: (text) => [...text].map((character) => character.codePointAt(0)!),
  decode: (ids) => ids.flatMap((id) => (id < 0x110000 ? [String.fromCodePoint(id)] : [])).join(''),
};
const SPECIAL = 0x200000;

const tools: ToolSchema[] = [
  {
    name: 'search',
    description: 'Find.',
    parameters: { type: 'object', properties: { name: { type: 'string' }, limit: { type: 'integer' } } },
  },
];

const call = (id: string) => ({ id, name: 'search', arguments: '{"name":"a b","limit":3}' });
const conversation: Message[] = [
  { role: 'system', content: 'b' },
  { role: 'user', content: 'abc' },
  { role: 'assistant', content: '', toolCalls: [call('call_0')] },
  { role: 'tool', content: 'a', toolCallId: 'call_0' },
  { role: 'assistant', content: 'c' },
  { role: 'user', content: 'go on' },
];

const FORMATS: Record<string, ChatFormat> = {
  tiny: new TinyChat(new CharTokenizer('abcdefghijklmnopqrstuvwxyz0123456789 (),')),
  hermes: new HermesChat(codePoints, { imStart: SPECIAL, imEnd: SPECIAL + 1 }),
  llama3: new Llama3Chat(codePoints, {
    beginOfText: SPECIAL,
    startHeader: SPECIAL + 1,
    endHeader: SPECIAL + 2,
    endOfTurn: SPECIAL + 3,
  }),
};

it.each(Object.entries(FORMATS))('%s: a later prompt extends the earlier tokens exactly', (_, format) => {
  const options = { tools };
  const { ids, mask } = format.renderForTraining(conversation.slice(0, 5), options);
  // What the model says in its two turns, stop tokens included, as it would sample it.
  const learned: number[][] = [];
  ids.forEach((id, i) => {
    if (mask[i] === 0) return;
    if (mask[i - 1] === 0) learned.push([]);
    learned.at(-1)!.push(id);
  });
  expect(learned).toHaveLength(2);
  for (const said of learned) expect(format.stopTokens).toContain(said.at(-1));
  const first = format.render(conversation.slice(0, 2), options);
  const since = (messages: Message[], covered: number, ended = true) =>
    format.renderContinuation(messages, { covered, ended, tools })!;
  const second = [...first, ...learned[0]!, ...since(conversation.slice(0, 4), 3)];
  expect(second).toEqual(format.render(conversation.slice(0, 4), options));
  const cut = [...first, ...learned[0]!.slice(0, -1), ...since(conversation.slice(0, 4), 3, false)];
  expect(cut).toEqual(second);
  const third = [...second, ...learned[1]!, ...since(conversation, 5)];
  expect(third).toEqual(format.render(conversation, options));
  // The reply is read back as what was rendered.
  expect(format.parse(learned[0]!, options)).toEqual(conversation[2]);
  expect(format.parse(learned[1]!, { ...options, previousCalls: 1 })).toEqual(conversation[4]);
});

it('calls are read only where tools are offered, and are numbered through a conversation', () => {
  const format = FORMATS.hermes!;
  const text = formatHermesCall(call('x'));
  const ids = codePoints.encode(text);
  expect(format.parse(ids)).toEqual({ role: 'assistant', content: text });
  expect(format.parse(ids, { tools, previousCalls: 3 }).toolCalls).toMatchObject([{ id: 'call_3' }]);
});

it('words are cut where the longest fits, and survive tokenizer.json', () => {
  const tokenizer = new TinyTokenizer([' Kar', ' Karbek', 'bek', 'search(', ')', ' ', '#', 'a-z']);
  const words = (text: string) => tokenizer.encode(text).map((id) => tokenizer.tokens[id]);
  expect(words('search( Karbek)')).toEqual(['search(', ' Karbek', ')']);
  expect(words(' Kar bek')).toEqual([' Kar', ' ', 'bek']);
  expect(() => tokenizer.encode(' Karb')).toThrow(`no word of this model's vocabulary fits "b" in " Karb"`);
  expect(() => tokenizer.encode(' Karx')).toThrow('character "x" of " Karx" is not in');
  expect(() => tokenizer.encode('search')).toThrow(`no word of this model's vocabulary fits "search"`);
  expect(() => new TinyTokenizer(['ab', 'ab'])).toThrow('the vocabulary repeats a word');
  const json = JSON.parse(JSON.stringify(tokenizer.toJson())) as { pre_tokenizer: { pattern: { Regex: string } } };
  expect(TinyTokenizer.fromJson(json, 't').tokens).toEqual(tokenizer.tokens);
  // Hugging Face splits at this pattern: it must cut as we do.
  const pattern = new RegExp(json.pre_tokenizer.pattern.Regex, 'gu');
  for (const text of ['search( Karbek)', ' Kar bek', '#a-z)']) expect(text.match(pattern)).toEqual(words(text));
  const gap = { ...json, model: { type: 'WordLevel', vocab: { ...tokenizerVocab(tokenizer), last: 99 } } };
  expect(() => TinyTokenizer.fromJson(gap, 't')).toThrow('t: no token has id 15');
});

function tokenizerVocab(tokenizer: TinyTokenizer): Record<string, number> {
  return Object.fromEntries(tokenizer.tokens.map((token, id) => [token, id]));
}

const READ = { severity: 'repaired' };
const LOST = { severity: 'malformed' };

it.each([
  ['search( a b, 3)', '{"name":"a b","limit":3}', []],
  ['search()', '{}', []],
  ['search( a)', '{"name":"a"}', []],
  ['search(a, 3)', '{"name":"a","limit":3}', [READ]],
  ['search( a, x)', '{"name":"a","limit":"x"}', []], // the schema will say so
  ['search( a', '{}', [LOST]],
  ['search( a) b', '{}', [LOST]],
  ['search( a, 1, 2)', '{}', [LOST]],
])('tiny: %s', (text, args, issues) => {
  const reply = parseTinyCall(text, tools);
  expect(reply.toolCalls).toEqual([{ name: 'search', arguments: args }]);
  expect(reply.issues).toMatchObject(issues);
  expect(reply.issues).toHaveLength(issues.length);
});

it('tiny: text that does not begin like a call is text; an unknown name is a call of an unknown tool', () => {
  for (const text of [' search( a)', 'abc', '', '(a)', '3( a)']) {
    expect(parseTinyCall(text, tools)).toEqual({ content: text, toolCalls: [], issues: [] });
  }
  expect(parseTinyCall('find( a)', tools).toolCalls).toEqual([{ name: 'find', arguments: '{"argument_0":"a"}' }]);
  expect(formatTinyCall(call('x'))).toBe('search( a b, 3)');
});

const OK = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>';

it.each([
  [OK, '', [{ name: 'f', arguments: '{"x":1}' }], []],
  [`I look.\n${OK}`, 'I look.', [{ name: 'f' }], []],
  [OK + OK, '', [{ name: 'f' }, { name: 'f' }], []],
  ['<tool_call>{"name": "f", "arguments": {}}', '', [{ name: 'f', arguments: '{}' }], [READ]],
  ['<tool_call>{"name": "f"}</tool_call>', '', [{ name: 'f', arguments: '{}' }], [READ]],
  [`<tool_call>{"name": "f", "arguments": "{\\"x\\": 1}"}</tool_call>`, '', [{ arguments: '{"x":1}' }], [READ]],
  ['<tool_call>{"name": "f", "parameters": {"x": 1}}</tool_call>', '', [{ arguments: '{"x":1}' }], [READ]],
  ['<tool_call>{"name": "f", "arguments": [1]}</tool_call>', '', [{ name: 'f', arguments: '{}' }], [LOST]],
  ['<tool_call>{"arguments": {}}</tool_call>', '', [{ name: '' }], [LOST]],
  ['<tool_call>{oops</tool_call>', '', [{ name: '' }], [LOST]],
  [`<tool_call>{oops${OK}`, '', [{ name: '' }, { name: 'f' }], [LOST]],
  ['no call </tool_call>', 'no call </tool_call>', [], []],
])('hermes: %s', (text, content, toolCalls, issues) => {
  const reply = parseHermesCalls(text);
  expect(reply).toMatchObject({ content, toolCalls, issues });
  expect(reply.issues).toHaveLength(issues.length);
});

const LLAMA = '{"name": "f", "parameters": {"x": "}{"}}';

it.each([
  [LLAMA, '', [{ name: 'f', arguments: '{"x":"}{"}' }], []],
  [`\n${LLAMA}; ${LLAMA}`, '', [{ name: 'f' }, { name: 'f' }], []],
  [`${LLAMA} that is it`, 'that is it', [{ name: 'f' }], [READ]],
  ['{"name": "f", "parameters": {"x": 1}', '', [{ name: '', arguments: '{}' }], [LOST]],
  ['{"type": "function", "name": "f", "arguments": {}}', '', [{ name: 'f' }], [READ]],
  ['The answer is {"a": 1}', 'The answer is {"a": 1}', [], []],
  ['{"a": 1}', '{"a": 1}', [], []],
])('llama3: %s', (text, content, toolCalls, issues) => {
  const reply = parseLlama3Calls(text);
  expect(reply).toMatchObject({ content, toolCalls, issues });
  expect(reply.issues).toHaveLength(issues.length);
  if (toolCalls.length > 0 && issues.length === 0) expect(formatLlama3Call({ ...reply.toolCalls[0]! })).toBe(LLAMA);
});

it('nothing a model writes breaks a parser, however long', () => {
  const random = new Random(deriveKey(3));
  const parts = [
    '<tool_call>',
    '</tool_call>',
    '{"name": "f", ',
    '"arguments": {',
    '}',
    '"',
    '\\',
    'search(',
    ' a,',
    ')',
    '[',
    '\n',
  ];
  const texts = Array.from({ length: 300 }, () =>
    Array.from({ length: random.below(40) }, () => random.pick(parts)).join(''),
  );
  texts.push(
    '<tool_call>'.repeat(10_000),
    '{"name"'.repeat(15_000),
    `search(${' a,'.repeat(30_000)}`,
    '{'.repeat(100_000),
  );
  for (const text of texts) {
    for (const reply of [parseHermesCalls(text), parseLlama3Calls(text), parseTinyCall(text, tools)]) {
      for (const { arguments: json } of reply.toolCalls) expect(typeof JSON.parse(json)).toBe('object');
      for (const { call: at } of reply.issues) expect(reply.toolCalls[at!]).toBeDefined();
    }
  }
});

it('grades calls: clean, repaired, malformed', () => {
  const message = (text: string): Message => FORMATS.hermes!.parse(codePoints.encode(text), { tools });
  expect(toolCallScore([message('no call')])).toBeNull();
  expect(toolCallScore([message(OK)])).toBe(1);
  expect(toolCallScore([message(`${OK}<tool_call>{"name": "f"}`)])).toBe(0.75);
  expect(toolCallScore([message('<tool_call>{</tool_call>')])).toBe(0);
});
