/**
 * @file A reply token by token, as text: what each token adds to it. A token may be a part of a character, and may begin with
 * a space or not depending on what stands before it, so that tokens are not decoded alone.
 */
import type { Tokenizer } from './text';

export interface TokenPiece {
  id: number;
  /** What the token adds; '' where a character is not yet whole. */
  text: string;
  /** A token with a meaning of its own, such as the end of a reply; `text` is its name, which is no part of the reply. */
  special: boolean;
}

/** A character of UTF-8 has four bytes at most, and tokens can be single bytes. */
const LONGEST_CHARACTER = 4;

/** What stands for bytes that are no character, or not yet. */
const BROKEN = '\uFFFD';

export class TokenPieces {
  /** The last tokens whose text is known, and those since that make no whole character yet. */
  #context: number[] = [];
  #pending: number[] = [];

  constructor(private readonly tokenizer: Pick<Tokenizer, 'decode' | 'tokens'>) {}

  /** The piece of the next token. */
  next(id: number): TokenPiece {
    const { tokenizer } = this;
    if (tokenizer.decode([id]) === '') {
      this.#context = [];
      this.#pending = [];
      return { id, text: tokenizer.tokens[id] ?? '', special: true };
    }
    this.#pending.push(id);
    const text = tokenizer.decode([...this.#context, ...this.#pending]).slice(tokenizer.decode(this.#context).length);
    if (text.endsWith(BROKEN) && this.#pending.length < LONGEST_CHARACTER) return { id, text: '', special: false };
    this.#context = this.#pending;
    this.#pending = [];
    return { id, text, special: false };
  }
}
