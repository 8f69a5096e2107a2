/**
 * @file Finds the answer in text that is no formula: "The answer is 42.", "so $x = 5$.", "I get 3/4, I think."
 *
 * Only texts that cannot be read as a formula come here. Surprise: "the answer is 42", without its full stop, is a formula,
 * the product of its letters and 42, and holds no answer. Looked for in this order, as math-verify 0.8.0 does:
 *
 *   1. after "final answer ... is"
 *   2. within 50 characters after "answer:"
 *   3. within 50 characters after "answer"
 *   4. anywhere
 *
 * and in each the match that ends last, of LaTeX between $, $$, \( \) or \[ \], of \frac{1}{2}, of arithmetic such as 3/4,
 * and of numbers that follow a space, an equals sign or the start of a line.
 */
import { numberNode } from './expression';
import type { Expression } from './expression';
import * as Q from './rational';

const PERCENT = '\\s*(?:%|percentage|percent|pct)';

/** LaTeX in its delimiters, and one bare fraction; each with one group for what is inside. */
const ENVIRONMENTS = [
  '(?<!\\\\)\\$\\$((?:[^$]|\\$(?!\\$))+?)(?<!\\\\)\\$\\$',
  '(?<!\\\\)\\\\\\[((?:[^\\\\]|\\\\(?!\\]))+?)(?<!\\\\)\\\\\\]',
  '(?<![\\\\\\d])\\$((?:\\\\\\$|[^\\n$])+?)(?<!\\\\)\\$',
  '(?<!\\\\)\\\\\\(((?:[^\\\\\\n]|\\\\(?!\\)))+?)(?<!\\\\)\\\\\\)',
  '\\s\\[([^\\n\\][]+?)\\]\\s',
  '(-?\\\\frac\\{-?\\d+(?:[.,]\\d+)?\\}\\{-?\\d+(?:[.,]\\d+)?\\})',
];
const LATEX = `(?:(?:${ENVIRONMENTS.join('|')})(?:\\s*(\\\\?%|percentage|percent|pct))?)`;
const JOINT = '\\s*(?:,?and|,?or|,)\\s*';
const UNGROUPED = LATEX.replace(/(?<!\\)((?:\\\\)*)\((?!\?)/g, '$1(?:');
/** One piece of LaTeX and up to five more that belong to it, as one group. */
const LATEX_LIST = `(${UNGROUPED}(?:${JOINT}${UNGROUPED}){0,5})`;

const CURRENCY = '$€£¥₹₽₪₩₫฿₡₢₣₤₥₦₧₨₭₮₯₰₱₲₳₴₵₶₷₸₺₻₼₾₿';
const CHARACTERS = '[\\d.\\s+\\-*×/^()÷]';
const ARITHMETIC = `(-?\\(?-?\\d${CHARACTERS}*[+\\-*×/^()÷]${CHARACTERS}+\\)?)(?:\\*\\*)?(?:[.,:\\s)$]|$)`;
const NUMERAL = '-?[1-9]\\d{0,2}(?:[ ,]\\d{3})+(?:\\.\\d+)?|-?\\d+[.,]\\d+|\\.\\d+|-?\\d+';
const NUMBER = `[${CURRENCY}]?(?<!\\d)((?:${NUMERAL})(?:${PERCENT})?)`;
const START = '(?:^|\\s|=)(?:\\*\\*)?';
/** One group for arithmetic, one for a number. */
const VALUE = `(?:${START}${ARITHMETIC}|${START}${NUMBER})`;

/** What a pattern's groups hold: LaTeX, or arithmetic and a number. */
interface Pattern {
  expression: RegExp;
  latex: boolean;
}

function latex(before: string): Pattern {
  return { expression: new RegExp(before + LATEX_LIST, 'gis'), latex: true };
}

function value(before: string, after = ''): Pattern {
  return { expression: new RegExp(before + VALUE + after, 'gi'), latex: false };
}

const NO_EQUALS = '(?!\\s*=)';
const LEVELS: readonly (readonly Pattern[])[] = [
  [latex('final answer.{0,100}?\\s+is:?\\s*'), value('final answer.{0,100}?\\s+is:?')],
  [latex('answer:.{0,50}?'), value('answer:(?:.{0,100}=\\s*|.{0,50}?)', NO_EQUALS)],
  [latex('answer.{0,50}?'), value('answer(?:.{0,100}=\\s*|.{0,50}?)', NO_EQUALS)],
  [
    latex(''),
    { expression: new RegExp(START + ARITHMETIC, 'gi'), latex: false },
    { expression: new RegExp(`${START}()${NUMBER}`, 'gi'), latex: false },
  ],
];
/** The closing line of Minerva's few-shot prompts, which counts before any box. */
const MINERVA: readonly Pattern[] = [
  { expression: new RegExp(`final answer is:?\\s*${LATEX_LIST}\\.?\\s?I hope`, 'gis'), latex: true },
  { expression: new RegExp(`final answer is:?\\s*${VALUE}\\.?\\s?I hope`, 'gi'), latex: false },
];

/** Reads LaTeX that stood in a text; undefined where it is no formula. */
export type ReadLatex = (text: string) => Expression | undefined;

/** The answer in "The final answer is X. I hope it is correct." */
export function answerBeforeHope(text: string, read: ReadLatex): Expression | undefined {
  return lastAnswer(text, MINERVA, read);
}

/** The answer in a text that is no formula; undefined where there is none. */
export function answerInProse(text: string, read: ReadLatex): Expression | undefined {
  for (const patterns of LEVELS) {
    const answer = lastAnswer(text, patterns, read);
    if (answer) return answer;
  }
  return undefined;
}

/** The match that ends last; the longer of two that end together; the next one where it cannot be read. */
function lastAnswer(text: string, patterns: readonly Pattern[], read: ReadLatex): Expression | undefined {
  const matches = patterns.flatMap(({ expression, latex: isLatex }) =>
    [...text.matchAll(expression)].map((match) => ({ match, isLatex, end: match.index + match[0].length })),
  );
  matches.sort((a, b) => b.end - a.end || a.match.index - b.match.index);
  for (const { match, isLatex } of matches) {
    const [, first = '', second = ''] = match;
    let answer: Expression | undefined;
    if (isLatex) answer = readList(first, read);
    else if (second !== '') answer = readNumber(second);
    else answer = read(first.replace(/\s+/g, ' ').replace(/[. ]+$/, '')); // the full stop ends the sentence
    if (answer) return answer;
  }
  return undefined;
}

/** Several pieces of LaTeX are a set. */
function readList(list: string, read: ReadLatex): Expression | undefined {
  const elements: Expression[] = [];
  let first: Expression | undefined;
  let readable = true;
  for (const match of list.matchAll(new RegExp(LATEX, 'gis'))) {
    const groups = match.slice(1);
    const percent = groups.pop() !== undefined;
    const content = groups.find((group) => group !== undefined) ?? '';
    let node = read(content);
    if (node && percent && node.kind === 'number') {
      node = numberNode(Q.divide(node.value, { n: 100n, d: 1n }), node.decimal);
    }
    if (elements.length === 0 && readable) first = node;
    if (!node) readable = false;
    else if (node.kind === 'set') elements.push(...node.elements);
    else elements.push(node);
  }
  return readable && elements.length > 1 ? { kind: 'set', elements } : first;
}

function readNumber(text: string): Expression {
  const percent = new RegExp(PERCENT, 'i').exec(text);
  const numeral = (percent ? text.slice(0, percent.index) : text).trim();
  const thousands = /^-?[1-9]\d{0,2}(?:[ ,]\d{3})+(?:\.\d+)?$/.test(numeral);
  const plain = thousands ? numeral.replace(/[ ,]/g, '') : numeral.replace(',', '.');
  const size = Q.parseDecimal(plain.replace('-', ''));
  const signed = size && plain.startsWith('-') ? Q.negate(size) : size;
  return numberNode(signed && percent ? Q.divide(signed, { n: 100n, d: 1n }) : signed, plain.includes('.'));
}
