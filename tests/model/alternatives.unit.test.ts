/** @file What logits say of a token, and what each token adds to a text. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { TinyTokenizer, TokenPieces, loadText, readLogits } from '../../src/model';
import type { ModelConfig } from '../../src/model';

it('reads a row of logits: log-probability, rank and the likeliest, the first of equal ones first', () => {
  const logits = Float32Array.of(1, 3, 2, 3, -5);
  const sum = 2 * Math.exp(3) + Math.exp(2) + Math.exp(1) + Math.exp(-5);
  const { logprob, rank, top } = readLogits(logits, 2, 3, 1);
  expect(logprob).toBeCloseTo(2 - Math.log(sum), 12);
  expect(rank).toBe(2);
  expect(top.map(({ id }) => id)).toEqual([1, 3, 2]);
  expect(top[0]!.logprob).toBeCloseTo(3 - Math.log(sum), 12);
  expect(readLogits(logits, 4, 9, 0.5).top).toHaveLength(5);
  // Half the temperature doubles every distance.
  expect(readLogits(logits, 4, 1, 0.5).logprob).toBeCloseTo(
    -10 - Math.log(2 * Math.exp(6) + Math.exp(4) + Math.exp(2) + Math.exp(-10)),
    12,
  );
  expect(readLogits(Float32Array.of(1e30, -1e30), 1, 1, 1).logprob).toBe(-2 * Math.fround(1e30));
});

const FOLDERS = new URL('../oracle/tokenizers/', import.meta.url);

it.each(['qwen-like', 'smollm-like', 'llama3-like'])(
  '%s: pieces spell the text, characters of several tokens once they are whole, special tokens apart',
  async (name) => {
    const read = (file: string) => {
      try {
        return Promise.resolve(new Uint8Array(readFileSync(new URL(`${name}/${file}`, FOLDERS))));
      } catch {
        return Promise.resolve(undefined);
      }
    };
    const { tokenizer, chat } = await loadText({ name, read }, { vocabSize: 200_000 } as ModelConfig);
    const text = '  Grüße, 世界! 👩‍👩‍👧 \n\n\tx  y';
    const stop = chat.stopTokens[0]!;
    const ids = [...tokenizer.encode(text), stop, ...tokenizer.encode('again')];
    const pieces = new TokenPieces(tokenizer);
    const found = ids.map((id) => pieces.next(id));
    expect(found.map(({ id }) => id)).toEqual(ids);
    expect(found.filter(({ special }) => special)).toEqual([{ id: stop, text: tokenizer.tokens[stop], special: true }]);
    const spoken = found.filter(({ special }) => !special);
    expect(spoken.map((piece) => piece.text).join('')).toBe(`${text}again`);
    expect(spoken.some((piece) => piece.text === '')).toBe(true);
    expect(spoken.every((piece) => !piece.text.includes('\uFFFD'))).toBe(true);
    // Bytes that never become a character do not hold up what follows.
    const byte = tokenizer.encode('👩')[0]!;
    const broken = new TokenPieces(tokenizer);
    const rest = [byte, byte, byte, byte, ...tokenizer.encode('ok')].map((id) => broken.next(id).text);
    expect(rest.join('')).toMatch(/^\uFFFD+ok$/);
  },
);

it('our small tokenizers: a piece for every token', () => {
  const tokenizer = new TinyTokenizer(['ab', 'c', ' ']);
  const pieces = new TokenPieces(tokenizer);
  const found = [...tokenizer.encode('ab c'), tokenizer.id('<eos>')].map((id) => pieces.next(id));
  expect(found.map(({ text, special }) => [text, special])).toEqual([
    ['ab', false],
    [' ', false],
    ['c', false],
    ['<eos>', true],
  ]);
});
