/** @file A parser reads the answer out of what the model wrote. */
import type { Message } from './types';

/** The plain parser: the answer is the text of the last assistant message. */
export class Parser {
  /** The part of a message that is the answer; null when there is none. */
  parse(text: string): string | null {
    return text;
  }

  /** The answer of a whole completion; null without an assistant message. */
  parseAnswer(completion: readonly Message[]): string | null {
    const last = completion.findLast((message) => message.role === 'assistant');
    return last ? this.parse(last.content) : null;
  }
}
