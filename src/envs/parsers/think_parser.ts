/**
 * @file Parsers for models that think between <think> and </think>. ThinkParser expects the tags always; MaybeThinkParser
 * takes a text without them as all answer. Neither suits a model whose chat template removes its past thinking.
 *
 * Both cut at the last </think>, so a closing tag without an opening one is enough.
 */
import type { Message } from '../types';
import { ExtractParser } from './extract_parser';
import { meanOverAssistant, occurrences } from './messages';
import { pythonStrip } from './whitespace';

const OPEN = '<think>';
const CLOSE = '</think>';

/** The text after the last </think>, stripped; the whole text where there is none. */
function afterThinking(text: string): string {
  const close = text.lastIndexOf(CLOSE);
  return pythonStrip(close < 0 ? text : text.slice(close + CLOSE.length));
}

/** The answer follows the thinking. Without a </think> there is no answer: ''. */
export class ThinkParser extends ExtractParser {
  override parse(text: string): string {
    return this.extract(text.includes(CLOSE) ? afterThinking(text) : '');
  }

  /**
   * Share of the assistant's messages that open with <think>, hold each tag once, and go on after </think>.
   * Surprise: as in verifiers a single space after </think> counts as going on; `strict` wants an answer there.
   */
  override formatScore(completion: readonly Message[], { strict = false }: { strict?: boolean } = {}): number {
    return meanOverAssistant(completion, (text) => {
      const good =
        pythonStrip(text).startsWith(OPEN) &&
        occurrences(text, OPEN) === 1 &&
        occurrences(text, CLOSE) === 1 &&
        (strict ? afterThinking(text) !== '' : !text.endsWith(CLOSE));
      return good ? 1 : 0;
    });
  }
}

/** The answer follows the thinking, if there was any. */
export class MaybeThinkParser extends ExtractParser {
  override parse(text: string): string {
    return this.extract(afterThinking(text));
  }
}
