/**
 * @file The tokenizer of our small models: a fixed list of words (or single characters) after the special tokens; text is
 * cut into the longest word that fits, from left to right.
 *
 * Stored as a Hugging Face tokenizer.json that cuts text the same way: single characters as BPE without merges, words as
 * WordLevel behind a pre-tokenizer that splits at them.
 */
import { CheckpointError } from './errors';

export const SPECIAL_TOKENS = [
  '<pad>',
  '<bos>',
  '<eos>',
  '<|system|>',
  '<|user|>',
  '<|assistant|>',
  '<|tool|>',
] as const;

export type SpecialToken = (typeof SPECIAL_TOKENS)[number];

/** Text that the vocabulary cannot spell. */
export class TokenizerError extends Error {
  override name = 'TokenizerError';
}

export class TinyTokenizer {
  /** Token texts by id: the special tokens, then the words. */
  readonly tokens: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;
  /** Words by their first character, the longest first. */
  readonly #byFirst = new Map<string, string[]>();

  /** @param words in the order of their ids, each once */
  constructor(words: readonly string[]) {
    this.tokens = [...SPECIAL_TOKENS, ...words];
    this.#ids = new Map(this.tokens.map((token, id) => [token, id]));
    if (this.#ids.size !== this.tokens.length) {
      throw new TokenizerError(
        words.every(isCharacter) ? 'the alphabet repeats a character' : 'the vocabulary repeats a word',
      );
    }
    for (const word of [...words].sort((a, b) => b.length - a.length)) {
      const [first] = word;
      if (first === undefined) throw new TokenizerError('the vocabulary holds an empty word');
      const list = this.#byFirst.get(first);
      if (list) list.push(word);
      else this.#byFirst.set(first, [word]);
    }
  }

  /** The words, without the special tokens. */
  get words(): readonly string[] {
    return this.tokens.slice(SPECIAL_TOKENS.length);
  }

  get vocabSize(): number {
    return this.tokens.length;
  }

  id(special: SpecialToken): number {
    return SPECIAL_TOKENS.indexOf(special);
  }

  isSpecial(id: number): boolean {
    return id < SPECIAL_TOKENS.length;
  }

  /**
   * Text to ids. Special tokens cannot be written in text: `<eos>` in a message is five characters.
   * @throws TokenizerError naming what cannot be spelled
   */
  encode(text: string): number[] {
    const ids: number[] = [];
    for (let at = 0; at < text.length;) {
      const character = String.fromCodePoint(text.codePointAt(at)!);
      const word = this.#byFirst.get(character)?.find((candidate) => text.startsWith(candidate, at));
      if (word === undefined) {
        const where = `${JSON.stringify(text.slice(0, 40))}${text.length > 40 ? '...' : ''}`;
        throw new TokenizerError(
          this.#byFirst.has(character)
            ? `no word of this model's vocabulary fits ${JSON.stringify(text.slice(at, at + 12))} in ${where}`
            : `character ${JSON.stringify(character)} of ${where} is not in this model's alphabet`,
        );
      }
      ids.push(this.#ids.get(word)!);
      at += word.length;
    }
    return ids;
  }

  /** Ids to text; special tokens are left out. */
  decode(ids: readonly number[]): string {
    return ids.map((id) => (this.isSpecial(id) ? '' : this.tokens[id]!)).join('');
  }

  /** tokenizer.json, as Hugging Face's tokenizers reads it. */
  toJson(): Record<string, unknown> {
    const vocab = Object.fromEntries(this.tokens.map((token, id) => [token, id]));
    const characters = this.words.every(isCharacter);
    return {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: SPECIAL_TOKENS.map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: characters ? null : { type: 'Split', pattern: { Regex: this.#pattern() }, ...SPLIT },
      post_processor: null,
      decoder: { type: 'Fuse' },
      model: characters
        ? {
            type: 'BPE',
            dropout: null,
            unk_token: null,
            continuing_subword_prefix: null,
            end_of_word_suffix: null,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab,
            merges: [],
          }
        : { type: 'WordLevel', vocab, unk_token: '<pad>' },
    };
  }

  /** Words as alternatives, the longest first: a regular expression takes the first that matches. */
  #pattern(): string {
    return [...this.words]
      .sort((a, b) => b.length - a.length)
      .map((word) => word.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
      .join('|');
  }

  /**
   * Reads a tokenizer.json that `toJson` could have written.
   * @throws CheckpointError naming what is different
   */
  static fromJson(json: unknown, source: string): TinyTokenizer {
    const fail = (message: string): never => {
      throw new CheckpointError(`${source}: ${message}`);
    };
    const { model, added_tokens: added } = (json ?? {}) as Record<string, unknown>;
    const { type, vocab, merges } = (model ?? {}) as Record<string, unknown>;
    const plain = type === 'WordLevel' || (type === 'BPE' && Array.isArray(merges) && merges.length === 0);
    if (!plain || typeof vocab !== 'object' || !vocab) {
      return fail('not a tokenizer of our small models (BPE without merges, or WordLevel)');
    }
    const tokens: string[] = [];
    for (const [token, id] of Object.entries(vocab)) {
      if (!Number.isInteger(id) || (id as number) < 0 || tokens[id as number] !== undefined)
        fail(`token ${JSON.stringify(token)} has id ${String(id)}`);
      tokens[id as number] = token;
    }
    const special = Array.isArray(added) ? added.map((token) => (token as { content?: unknown }).content) : [];
    SPECIAL_TOKENS.forEach((token, id) => {
      if (tokens[id] !== token || !special.includes(token)) fail(`special token ${token} must have id ${id}`);
    });
    const hole = tokens.findIndex((token) => token === undefined);
    if (tokens.length !== Object.keys(vocab).length) fail(`no token has id ${hole}`);
    const words = tokens.slice(SPECIAL_TOKENS.length);
    const long = words.find((token) => !isCharacter(token));
    if (type === 'BPE' && long !== undefined) fail(`token ${JSON.stringify(long)} is not one character`);
    return new TinyTokenizer(words);
  }
}

/** Whether a tokenizer.json is one of a small model of ours: it begins with our special tokens. */
export function isTinyTokenizer(json: unknown): boolean {
  const { added_tokens: added } = Object(json) as { added_tokens?: unknown };
  const texts = Array.isArray(added) ? added.map((token) => (Object(token) as { content?: unknown }).content) : [];
  return SPECIAL_TOKENS.every((token, i) => texts[i] === token);
}

const SPLIT = { behavior: 'Isolated', invert: false };

/** A tokenizer whose words are single characters. */
export class CharTokenizer extends TinyTokenizer {
  constructor(alphabet: string) {
    super([...alphabet]);
  }
}

function isCharacter(word: string): boolean {
  return [...word].length === 1;
}
