/** @file The plain parser with a function that reads the answer out of the text, such as `extractBoxedAnswer`. */
import { Parser } from '../parser';
import type { Message } from '../types';

/** Reads the answer out of a text; returns the text itself where there is nothing to read. */
export type Extract = (text: string) => string;

export interface ExtractOptions {
  extract?: Extract;
}

/** The answer is what `extract` finds in the last assistant message. */
export class ExtractParser extends Parser {
  protected readonly extract: Extract;

  constructor({ extract = (text) => text }: ExtractOptions = {}) {
    super();
    this.extract = extract;
  }

  override parse(text: string): string | null {
    return this.extract(text);
  }

  /** Any text is well formed: 1, also of an empty completion. */
  formatScore(_completion: readonly Message[]): number {
    return 1;
  }
}
