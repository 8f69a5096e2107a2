/**
 * @file Makes the many ways of writing one answer in LaTeX alike, as text, before it is read: fonts, sizes, dollar signs,
 * units, percent words, fractions and roots without braces. The steps and their order follow what math-verify 0.8.0 does,
 * since two answers whose normalized texts agree are equal there, whether or not they can be read as mathematics.
 *
 * Every text given to `normalizeLatex` is at most a few thousand characters long, so patterns may be quadratic in it.
 */
import { withoutUnit } from './units';

/** Both \boxed{...} and \fbox{...}. */
const BOXES = ['\\boxed', '\\fbox'];
/** Two boxes this close belong to one answer, and so do different ones with a separator between them in MAX_GAP. */
const SMALL_GAP = 10;
const MAX_GAP = 70;

/**
 * What the last box in a text holds, with the boxes before it that belong to the same answer, joined by commas. An unclosed
 * box reaches to the end. Without a box, the text.
 */
export function lastBoxes(text: string): string {
  const contents: string[] = [];
  let limit = text.length;
  let nextStart: number | undefined;
  for (;;) {
    const start = Math.max(...BOXES.map((box) => (limit > 0 ? text.lastIndexOf(box, limit - box.length) : -1)));
    if (start < 0) break;
    let open = start + (text.startsWith(BOXES[0]!, start) ? BOXES[0]! : BOXES[1]!).length;
    while (open < limit && /\s/.test(text[open]!)) open++;
    if (open >= limit) break;
    const close = text[open] === '{' ? closingBrace(text, open, limit) : undefined;
    if (close === undefined) {
      if (contents.length === 0) contents.push(text.slice(open));
      break;
    }
    const content = text.slice(open + 1, close).trim();
    if (nextStart !== undefined) {
      const between = text.slice(close + 1, nextStart);
      const separated = content !== contents[0] && between.length < MAX_GAP && /and|or|,|;/.test(between);
      if (between.length >= SMALL_GAP && !separated) break;
    }
    contents.unshift(content);
    nextStart = limit = start;
  }
  return contents.length > 0 ? contents.join(',') : text;
}

function closingBrace(text: string, open: number, limit: number): number | undefined {
  let depth = 0;
  for (let i = open; i < limit; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  return undefined;
}

const OPENING =
  'rbracl|lgroup|lbrace|lbrack|vert|lvert|lceil|lfloor|langle|llcorner|ulcorner'; /* \left before these is a size */
const CLOSING = 'rbrack|rgroup|rbrace|vert|rvert|rceil|rfloor|rangle|lrcorner|urcorner';

/** Applied one after the other. */
const CLEAN_UP: readonly [RegExp, string][] = [
  [/\\mathrm\{T\}/g, 'T'],
  [/\\mathrm\{d\}|\{\\rm d\}/g, 'd'],
  [new RegExp(`\\\\m?left(\\\\[{|]|[{|[(]|\\\\(?:${OPENING}))`, 'g'), '$1'],
  [new RegExp(`\\\\m?right(\\\\[}|]|[}|\\])]|\\\\(?:${CLOSING}))`, 'g'), '$1'],
  // Ordinal th, \! with its space, empty text, currency, quotes
  [/\\mathrm\{th\}|\\!\s*|\\text\s*\{\s*\}|\\\$|\$|(?<!\\)["']|\\displaystyle/g, ''],
];

/** Applied in one pass: what one of them writes, none of them reads again. */
const SUBSTITUTIONS: readonly [RegExp, string][] = [
  [/\\math(?:rm|it|bf)/, '\\text'],
  [/\\text(?:normal|bf|it|rm)/, '\\text'],
  [/\\[dtc]frac/, '\\frac'],
  [/\s\./, ' 0.'],
  [/\{\./, '{0.'],
  [/~=/, '\\approx'],
  [/\s*\{\s*,\s*\}/, ','],
  [/(?<![a-zA-Z]),?\s*(?:and|or)(?![a-zA-Z])/, ','],
  [/,?\s*\\text\{\s*(?:and|or)\s*\}/, ','],
  [/(?<!\\)\\\s/, ' '],
  [/infinity/, '\\infty'],
  [/,?\\ldots/, ' '],
  [/\s*percentage|\\text\{percentage\}|\s*percent|\\text\{percent\}|\s*pct|\\text\{pct\}/, '\\%'],
  [/(?<!\\)inf(?!inity)/, '\\infty'],
  [/ sqrt/, '\\sqrt'],
];
const SUBSTITUTION = new RegExp(SUBSTITUTIONS.map(([{ source }]) => `(${source})`).join('|'), 'g');

/** The text that math-verify reads, of the text in a box. */
export function normalizeLatex(boxed: string): string {
  let text = boxed;
  for (const [pattern, replacement] of CLEAN_UP) text = text.replace(pattern, replacement);
  text = text.replace(SUBSTITUTION, (match, ...groups: unknown[]) => {
    const index = groups.slice(0, SUBSTITUTIONS.length).findIndex((group) => group === match);
    return SUBSTITUTIONS[index]?.[1] ?? match;
  });
  text = text.replace(/[\n\t]/g, ' ');
  if (!text.includes('matrix')) text = text.replace(/\\\\(?=[a-zA-Z])/g, '\\');
  text = withoutTrailingText(text);
  text = withoutUnit(withoutUnit(text));
  if (text.startsWith('.')) text = `0${text}`;
  if (text === '0.5') text = '\\frac{1}{2}'; // the one decimal that counts as exact
  return withBraces(text).trim();
}

/**
 * Drops \text{...} at the end, with an exponent or without: units, mostly. Surprise: it reaches from the FIRST \text,
 * so "2\text{ hours } 30\text{ minutes}" is 2. A text that is all \text stays.
 */
function withoutTrailingText(text: string): string {
  const end = /\}(?:\^\d|\{\^\d\})?$/.exec(text);
  const start = text.search(/\\(?:text|mbox)\{/);
  if (!end || start < 0 || start >= end.index) return text;
  const rest = text.slice(0, start).trim();
  return rest === '' ? text : rest;
}

/** Gives fractions, roots and exponents the braces that they lack, and makes \frac{a}{b} of a/b where that is all. */
function withBraces(text: string): string {
  const braced = text
    .replace(/\^\s?\((.*?)\)/g, '^{$1}')
    .replace(/\\?sqrt\s?\((.*?)\)/g, '\\sqrt{$1}')
    .replace(/\\frac\s?(\d)\s?(\d+)/g, '\\frac{$1}{$2}')
    .replace(/\\log_\s?(\d)\s?(\d+)/g, '\\log_{$1}{$2}')
    .replace(/\\frac\s?\{(.*?)\}\s?(\d)/g, '\\frac{$1}{$2}')
    .replace(/\\frac\s?(\d)\s?\{(.*?)\}/g, '\\frac{$1}{$2}')
    .replace(/\\sqrt\s?(\d)/g, '\\sqrt{$1}')
    .replaceAll(' sqrt', '\\sqrt')
    .replace(/\\sqrt\s*([^\s{[])/g, '\\sqrt{$1}');
  return slashFraction(bracedFractions(braced));
}

/** \frac followed by anything but a brace takes one character for each part. */
function bracedFractions(text: string): string {
  const [head = '', ...parts] = text.split('\\frac');
  let result = head;
  for (const part of parts.map((piece) => piece.trimStart())) {
    if (part.startsWith('{')) result += `\\frac${part}`;
    else if (part.length < 2) return text;
    else if (part[1] === '{') result += `\\frac{${part[0]!}}${part.slice(1)}`;
    else result += `\\frac{${part[0]!}}{${part[1]!}}${part.slice(2)}`;
  }
  return result;
}

function slashFraction(text: string): string {
  return text.replace(/^(0|-?[1-9]\d*)\/(0|-?[1-9]\d*)$/, '\\frac{$1}{$2}');
}
