/** @file Reads an answer as it stands in a box: as mathematics where it can be, and as text in any case. */
import { sizeOf } from './expression';
import type { Expression } from './expression';
import { lastBoxes, normalizeLatex } from './normalize';
import { parseLatex } from './parse';
import { answerBeforeHope, answerInProse } from './prose';
import { tokenize } from './tokens';

/** Longer answers are prose, and only this much of their end is searched for one. */
const MAX_LENGTH = 2000;
/** Nodes of an expression; larger ones are equal only as they are written, which bounds the time of comparing two. */
const MAX_NODES = 200;

export interface Answer {
  /** Undefined where there is no mathematics in it. */
  value: Expression | undefined;
  /** Normalized; '' for no answer. */
  text: string;
}

/** @param content what is in the box: a formula, a word, or a whole text without a box of its own */
export function readAnswer(content: string): Answer {
  if (content === '') return { value: undefined, text: '' };
  if (content.length > MAX_LENGTH) {
    const end = content.slice(-MAX_LENGTH);
    return { value: answerInProse(end.slice(end.search(/\s|$/)), valueOf), text: content.trim() };
  }
  const boxed = `\\boxed{${content}}`;
  const hoped = answerBeforeHope(boxed, valueOf);
  const text = normalizeLatex(lastBoxes(boxed));
  if (hoped) return { value: hoped, text };
  const value = parseLatex(text) ?? parseLastSide(text);
  return { value: value ? evaluable(value, text) : answerInProse(boxed, valueOf), text };
}

function valueOf(latex: string): Expression | undefined {
  const text = normalizeLatex(lastBoxes(latex));
  const value = parseLatex(text);
  return value && evaluable(value, text);
}

/** A formula that we cannot evaluate is a symbol named by its tokens, equal to the same formula. */
function evaluable(value: NonNullable<ReturnType<typeof parseLatex>>, text: string): Expression {
  if (value !== 'unsupported' && sizeOf(value) <= MAX_NODES) return value;
  const tokens = tokenize(text) ?? [];
  return { kind: 'symbol', name: `formula ${tokens.map((token) => token.text).join(' ')}` };
}

/** The last side of a = b = c, where the whole cannot be read. */
function parseLastSide(text: string): ReturnType<typeof parseLatex> {
  if (/[,;]/.test(text)) return undefined;
  const sides = text.split(/(?<![\\<!>])=/);
  return sides.length > 2 ? parseLatex(sides.at(-1)!) : undefined;
}
