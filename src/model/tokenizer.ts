/**
 * @file Character tokenizer: one token per character of a fixed alphabet, after the special tokens. Stored as a Hugging
 * Face tokenizer.json: BPE without merges, whose tokens are exactly the characters of its vocabulary.
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

/** Text that holds a character outside the alphabet. */
export class TokenizerError extends Error {
  override name = 'TokenizerError';
}

export class CharTokenizer {
  /** Token texts by id: the special tokens, then the characters. */
  readonly tokens: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;

  /** @param alphabet characters in the order of their ids, each once */
  constructor(readonly alphabet: string) {
    this.tokens = [...SPECIAL_TOKENS, ...alphabet];
    this.#ids = new Map(this.tokens.map((token, id) => [token, id]));
    if (this.#ids.size !== this.tokens.length) throw new TokenizerError('the alphabet repeats a character');
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
   * @throws TokenizerError naming the character
   */
  encode(text: string): number[] {
    return [...text].map((character) => {
      const id = this.#ids.get(character);
      if (id === undefined) {
        throw new TokenizerError(
          `character ${JSON.stringify(character)} of ${JSON.stringify(text.slice(0, 40))} is not in this model's alphabet`,
        );
      }
      return id;
    });
  }

  /** Ids to text; special tokens are left out. */
  decode(ids: readonly number[]): string {
    return ids.map((id) => (this.isSpecial(id) ? '' : this.tokens[id]!)).join('');
  }

  /** tokenizer.json, as Hugging Face's tokenizers reads it. */
  toJson(): Record<string, unknown> {
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
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: 'Fuse' },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(this.tokens.map((token, id) => [token, id])),
        merges: [],
      },
    };
  }

  /**
   * Reads a tokenizer.json that `toJson` could have written.
   * @throws CheckpointError naming what is different
   */
  static fromJson(json: unknown, source: string): CharTokenizer {
    const fail = (message: string): never => {
      throw new CheckpointError(`${source}: ${message}`);
    };
    const { model, added_tokens: added } = (json ?? {}) as Record<string, unknown>;
    const { type, vocab, merges } = (model ?? {}) as Record<string, unknown>;
    if (type !== 'BPE' || !Array.isArray(merges) || merges.length > 0 || typeof vocab !== 'object' || !vocab) {
      return fail('not a character tokenizer (BPE without merges)');
    }
    const tokens: string[] = [];
    for (const [token, id] of Object.entries(vocab)) {
      if (typeof id !== 'number' || tokens[id] !== undefined)
        fail(`token ${JSON.stringify(token)} has id ${String(id)}`);
      tokens[id as number] = token;
    }
    const special = Array.isArray(added) ? added.map((token) => (token as { content?: unknown }).content) : [];
    SPECIAL_TOKENS.forEach((token, id) => {
      if (tokens[id] !== token || !special.includes(token)) fail(`special token ${token} must have id ${id}`);
    });
    const characters = tokens.slice(SPECIAL_TOKENS.length);
    const long = characters.findIndex((token) => [...token].length !== 1);
    if (long >= 0) fail(`token ${JSON.stringify(characters[long])} is not one character`);
    return new CharTokenizer(characters.join(''));
  }
}
