import { describe, expect, it } from 'vitest';
import { matchingBlocks } from '../../src/envs/similarity';
import {
  ExtractParser,
  MaybeThinkParser,
  ThinkParser,
  XMLParser,
  isPythonSpace,
  pythonStrip,
} from '../../src/envs/parsers';
import type { Message } from '../../src/envs';
import { exempt, golden, sameValue } from '../checks/golden';
import { difflibCases, parsersCases } from '../checks/verifiers_parsers';

const ORACLE = 'tests/oracle/verifiers';
const assistant = (content: string): Message[] => [{ role: 'assistant', content }];

describe('golden cases', () => {
  it.each([
    ['parsers.json', parsersCases, 0.05],
    ['difflib.json', difflibCases, 0],
  ])('%s equals verifiers', (_, cases, mostExempt) => {
    const all = cases(ORACLE);
    expect(all.filter(({ ok }) => !ok)).toEqual([]);
    expect(all.filter(({ exempt: reason }) => reason !== undefined).length).toBeLessThanOrEqual(
      mostExempt * all.length,
    );
  });

  it('compares values deeply, floats to 1e-9', () => {
    expect(sameValue({ a: [1, null], b: undefined }, { a: [1 + 1e-12, null] })).toBe(true);
    for (const [got, expected] of [
      [{ a: 1 }, { b: 1 }],
      [[1], { 0: 1 }],
      [null, {}],
      [1, 1.00001],
      ['1', 1],
      [NaN, 1],
      [{}, []],
    ]) {
      expect(sameValue(got, expected)).toBe(false);
    }
    expect(golden('f', 'i', 1, 2).ok).toBe(false);
    expect(exempt('f', 'i', 1, 'why')).toMatchObject({ ok: true, exempt: 'why' });
  });
});

describe('whitespace', () => {
  it("is Python's, not JavaScript's", () => {
    const spaces = '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000';
    expect([...spaces].every(isPythonSpace)).toBe(true);
    expect(pythonStrip(`${spaces}a b${spaces}`)).toBe('a b');
    expect(pythonStrip('\ufeff\u200ba\u180e')).toBe('\ufeff\u200ba\u180e');
    expect(pythonStrip(spaces)).toBe('');
  });
});

describe('ThinkParser and MaybeThinkParser', () => {
  it('extract from what follows the thinking', () => {
    const extract = (text: string) => text.toUpperCase();
    expect(new ThinkParser({ extract }).parse('<think>a</think> b ')).toBe('B');
    expect(new ThinkParser({ extract }).parse('b')).toBe('');
    expect(new MaybeThinkParser({ extract }).parse(' b ')).toBe('B');
    expect(new ExtractParser({ extract }).parse(' b ')).toBe(' B ');
    expect(new ThinkParser().parseAnswer([])).toBeNull();
  });

  it('scores nothing but a space after </think> as going on, unless strict', () => {
    const spaced = assistant('<think>a</think> ');
    expect(new ThinkParser().formatScore(spaced)).toBe(1);
    expect(new ThinkParser().formatScore(spaced, { strict: true })).toBe(0);
    expect(new ThinkParser().formatScore(assistant('<think>a</think> b'), { strict: true })).toBe(1);
    expect(new ThinkParser().formatScore([])).toBe(0);
  });
});

describe('XMLParser', () => {
  const parser = new XMLParser(['reasoning', ['code', 'answer']]);

  it('reads the last answer of a text, and the first of the newest message that has one', () => {
    const text = '<answer>1</answer><answer>2</answer>';
    expect(parser.parse(text)).toBe('2');
    expect(parser.parseAnswer([...assistant(text), ...assistant('none')])).toBe('1');
    expect(parser.parseFields(text)).toEqual({ reasoning: null, code: null, answer: '1' });
  });

  it('takes names of object members and of regular expressions as plain tags', () => {
    const odd = new XMLParser(['constructor', 'a.b'], { answerField: 'a.b' });
    expect(odd.parse('<axb>1</axb><a.b>2</a.b>')).toBe('2');
    expect(() => odd.format({ 'a.b': 1 })).toThrow("Missing value for field 'constructor'");
    expect(odd.parseFields('<constructor>1</constructor>')).toEqual({ constructor: '1', 'a.b': null });
  });

  it.each([
    ['in order, each once', '<reasoning>r</reasoning> and <answer>1</answer>', 1, 1],
    ['either alternative', ' <reasoning>r</reasoning><code>1</code>\n', 1, 1],
    ['an unclosed field', '<reasoning>r<answer>1</answer>', 1, 0.6],
    ['a closing tag alone', '<reasoning>r</reasoning>1</answer>', 1, 0.6],
    ['a field twice', '<reasoning>r</reasoning><answer>1</answer><answer>2</answer>', 1, 0.6],
    ['both alternatives', '<reasoning>r</reasoning><code>1</code><answer>2</answer>', 1, 0.6],
    ['one inside the other', '<reasoning>r<answer>1</answer></reasoning>', 0.8, 0.4],
    ['the wrong order', '<answer>1</answer><reasoning>r</reasoning>', 0.6, 0.4],
    ['text before', 'So: <reasoning>r</reasoning><answer>1</answer>', 0.8, 0.8],
    ['plain text', 'plain', 0.2, 0],
    ['nothing', '', 0.2, 0],
    ['crossed tags', '<reasoning>r<answer></reasoning>1</answer>', 1, 0.6],
    ['closed before opened', '</answer><reasoning>r</reasoning><answer>', 0.6, 0.2],
  ])('scores %s: by default as verifiers does, strictly only well-formed fields', (_, text, score, strict) => {
    expect(parser.formatScore(assistant(text))).toBeCloseTo(score, 12);
    expect(parser.formatScore(assistant(text), { strict: true })).toBeCloseTo(strict, 12);
  });

  it('is the mean over assistant messages, 0 without any', () => {
    const good = '<reasoning>r</reasoning><answer>1</answer>';
    expect(parser.formatScore([...assistant(good), { role: 'user', content: good }, ...assistant('')])).toBeCloseTo(
      0.6,
    );
    expect(parser.formatScore([{ role: 'user', content: good }])).toBe(0);
    expect(new XMLParser([]).formatScore(assistant('x'))).toBe(0.2);
  });

  it('writes what it reads', () => {
    const text = parser.format({ reasoning: 'why', answer: 42 });
    expect(text).toBe('<reasoning>\nwhy\n</reasoning>\n<code>\n42\n</code>');
    expect(parser.parseFields(text)).toEqual({ reasoning: 'why', code: '42', answer: null });
  });
});

describe('100 kB of model output', () => {
  const n = 100_000;
  it.each([
    ['unclosed tags', '<answer>'.repeat(n / 8)],
    ['closing tags', '</answer>'.repeat(n / 9)],
    ['elements', '<answer></answer>'.repeat(n / 17)],
    ['whitespace in a tag', `<answer>${' '.repeat(n)}x</answer`],
    ['whitespace', ' '.repeat(n)],
    ['thinking', '<think>'.repeat(n / 7) + '</think>'],
    ['closed thinking', '</think>'.repeat(n / 8)],
  ])('is read in time: %s', (_, text) => {
    const start = performance.now();
    const xml = new XMLParser(['think', 'answer']);
    xml.parse(text);
    xml.parseFields(text, { last: true });
    for (const strict of [false, true]) {
      xml.formatScore(assistant(text), { strict });
      new ThinkParser().formatScore(assistant(text), { strict });
    }
    new MaybeThinkParser().parse(text);
    expect(performance.now() - start).toBeLessThan(1000); // takes some 10 ms; a quadratic parser takes minutes
  });
});

it("matchingBlocks ends with difflib's empty block and joins neighbours", () => {
  expect(matchingBlocks('', '')).toEqual([[0, 0, 0]]);
  expect(matchingBlocks('abxcd', 'abcd')).toEqual([
    [0, 0, 2],
    [3, 2, 2],
    [5, 4, 0],
  ]);
});
