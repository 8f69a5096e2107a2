/** @file Where datasets and models put the final answer: \boxed{...}, after ####, or among other characters. */
import { pythonStrip } from '../parsers/whitespace';

const BOX = '\\boxed{';

/**
 * What the last \boxed{...} holds, not trimmed. Without a box, or where the last one is not closed, the whole text: so a
 * bare answer needs no box. Braces count even when escaped, as in verifiers.
 */
export function extractBoxedAnswer(text: string): string {
  const box = text.lastIndexOf(BOX);
  if (box < 0) return text;
  const start = box + BOX.length;
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return text.slice(start, i);
  }
  return text;
}

/** What stands between the first #### and the second (or the end), stripped: GSM8K's format. Without one, the whole text. */
export function extractHashAnswer(text: string): string {
  const [, answer] = text.split('####', 2);
  return answer === undefined ? text : pythonStrip(answer);
}

/** Digits that are not of category Nd: what Python's `str.isdigit` accepts besides, such as superscripts. */
const OTHER_DIGITS =
  '\\xb2\\xb3\\xb9\\u1369-\\u1371\\u19da\\u2070\\u2074-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u2474-\\u247c\\u2488-\\u2490' +
  '\\u24ea\\u24f5-\\u24fd\\u24ff\\u2776-\\u277e\\u2780-\\u2788\\u278a-\\u2792\\u{10a40}-\\u{10a43}\\u{10e60}-\\u{10e68}' +
  '\\u{11052}-\\u{1105a}\\u{1f100}-\\u{1f10a}';
const NOT_NUMERIC = new RegExp(`[^.\\p{Nd}${OTHER_DIGITS}]+`, 'gu');

/** Only the digits (of any script, superscripts too) and full stops: a sign or an exponent is lost. */
export function stripNonNumeric(text: string): string {
  return text.replace(NOT_NUMERIC, '');
}
