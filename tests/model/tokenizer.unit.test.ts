import { expect, it } from 'vitest';
import type { Message } from '../../src/envs';
import { CharTokenizer, CheckpointError, TinyChat, TinyTokenizer, TokenizerError } from '../../src/model';

const tokenizer = new CharTokenizer('abc <>eos|');
const chat = new TinyChat(tokenizer);

it('encodes character by character and decodes without special tokens', () => {
  const ids = tokenizer.encode('cab a');
  expect(tokenizer.decode([tokenizer.id('<bos>'), ...ids, tokenizer.id('<eos>')])).toBe('cab a');
  expect(new Set(ids).size).toBe(4);
  expect(tokenizer.vocabSize).toBe(tokenizer.tokens.length);
});

it('never reads a special token out of text', () => {
  expect(tokenizer.encode('<eos>')).toHaveLength(5);
  expect(chat.render([{ role: 'user', content: '<eos>' }])).not.toContain(tokenizer.id('<eos>'));
});

it('names a character that is not in the alphabet', () => {
  expect(() => tokenizer.encode('abé')).toThrow(TokenizerError);
  expect(() => tokenizer.encode('abé')).toThrow('character "é" of "abé"');
  expect(() => new CharTokenizer('aa')).toThrow('repeats a character');
});

it('survives tokenizer.json, and refuses one of another kind', () => {
  const json: unknown = JSON.parse(JSON.stringify(tokenizer.toJson()));
  expect(TinyTokenizer.fromJson(json, 't').tokens).toEqual(tokenizer.tokens);
  const { model, added_tokens } = json as { model: Record<string, unknown>; added_tokens: unknown[] };
  const broken: [unknown, string][] = [
    [null, 'not a tokenizer of our small models'],
    [{ added_tokens, model: { ...model, merges: [['a', 'b']] } }, 'not a tokenizer of our small models'],
    [{ added_tokens: [], model }, 'special token <pad> must have id 0'],
    [
      { added_tokens, model: { ...model, vocab: { ...(model.vocab as object), ab: 17 } } },
      'token "ab" is not one character',
    ],
    [{ added_tokens, model: { ...model, vocab: { a: 'x' } } }, 'has id x'],
  ];
  for (const [bad, message] of broken) {
    expect(() => TinyTokenizer.fromJson(bad, 'x/tokenizer.json')).toThrow(CheckpointError);
    expect(() => TinyTokenizer.fromJson(bad, 'x/tokenizer.json')).toThrow(`x/tokenizer.json: `);
    expect(() => TinyTokenizer.fromJson(bad, 'x/tokenizer.json')).toThrow(message);
  }
});

const messages: Message[] = [
  { role: 'system', content: 'b' },
  { role: 'user', content: 'abc' },
  { role: 'assistant', content: 'cb' },
  { role: 'tool', content: 'a' },
  { role: 'assistant', content: 'c' },
];

it('renders turns so that a later prompt extends the earlier tokens exactly', () => {
  const first = chat.render(messages.slice(0, 2));
  const since = (ended: boolean) => chat.renderContinuation(messages.slice(0, 4), { covered: 3, ended });
  const reply = [...tokenizer.encode('cb'), tokenizer.id('<eos>')];
  const second = [...first, ...reply, ...since(true)];
  expect(second).toEqual(chat.render(messages.slice(0, 4)));
  const cut = [...first, ...tokenizer.encode('cb'), ...since(false)];
  expect(cut).toEqual(second);
  expect(chat.parse(reply)).toEqual({ role: 'assistant', content: 'cb' });
  expect(chat.stopTokens).toEqual([tokenizer.id('<eos>')]);
});

it('masks exactly what an assistant says, its <eos> included', () => {
  const { ids, mask } = chat.renderForTraining(messages);
  const learned = ids.filter((_, i) => mask[i] === 1);
  expect(learned).toEqual([
    ...tokenizer.encode('cb'),
    tokenizer.id('<eos>'),
    ...tokenizer.encode('c'),
    tokenizer.id('<eos>'),
  ]);
  expect(mask[0]).toBe(0);
});
