/** @file A tokenizer.json of Hugging Face, by its own JavaScript library. */
import { CheckpointError } from '../../errors';
import { TokenizerError } from '../../tokenizer';
import type { Tokenizer } from '../text';
import { checkTokenizer } from './check';
import type { AddedToken } from './check';
import { SpecialTexts } from './disguise';
import type { Disguise } from './disguise';
import { openLibrary } from './library';
import type { Library } from './library';

/** Tokens that mark up a reply. They are read, not left out, also where a tokenizer calls them special. */
const MARKUP = ['<tool_call>', '</tool_call>', '<tool_response>', '</tool_response>', '<think>', '</think>'];

export interface HfTokenizerOptions {
  /** Where the file is, for messages. */
  folder: string;
  /** Rows of the model's embedding: at least as many as tokens; some models have more. */
  vocabSize: number;
  /** Texts or ids of tokens that are special because other files say so: the end of a reply, padding, ... */
  special?: readonly (string | number)[];
}

export class HfTokenizer implements Tokenizer {
  readonly tokens: readonly string[];
  /** Special tokens: id by text. */
  readonly special: ReadonlyMap<string, number>;
  readonly #library: Library;
  readonly #specialIds: ReadonlySet<number>;
  readonly #texts: SpecialTexts;
  readonly #unknown: number | undefined;
  #disguise: Disguise | undefined;

  /** @throws CheckpointError saying what is wrong with the file, or that it has more tokens than the model */
  constructor(json: unknown, { folder, vocabSize, special = [] }: HfTokenizerOptions) {
    const { file, added, ids, size } = checkTokenizer(json, folder, vocabSize);
    const marked = new Set(special);
    const isMarked = ({ id, content }: AddedToken) => marked.has(content) || marked.has(id);
    const isSpecial = (token: AddedToken) =>
      !MARKUP.includes(token.content) && (token.special === true || isMarked(token));
    const addedTexts = new Set(added.map(({ content }) => content));
    const own = [...ids].map(([content, id]) => ({ content, id })).filter((token) => isMarked(token));
    const tokens = [...added, ...own.filter(({ content }) => !addedTexts.has(content))].map((token) =>
      isSpecial(token) ? { ...token, special: true, normalized: false } : token,
    );
    try {
      // Stand-ins are turned back once special tokens were split off, before text is cut.
      this.#library = openLibrary({ ...file, added_tokens: tokens }, (text) => this.#disguise?.show(text) ?? text);
    } catch (error) {
      throw new CheckpointError(`${folder}/tokenizer.json: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
    this.#unknown = this.#library.model?.unk_token_id;
    this.special = new Map(tokens.filter(isSpecial).map(({ content, id }) => [content, id]));
    this.#specialIds = new Set(this.special.values());
    this.#texts = new SpecialTexts([...this.special.keys()]);
    this.tokens = Array.from({ length: size }, (_, id) => this.#library.id_to_token(id) ?? '');
  }

  get vocabSize(): number {
    return this.tokens.length;
  }

  /** Id of a token; undefined where there is no such token. */
  id(token: string): number | undefined {
    return this.#library.token_to_id(token);
  }

  /**
   * Text to ids. Special tokens cannot be written in text.
   * @throws TokenizerError naming what cannot be spelled
   */
  encode(text: string): number[] {
    const disguise = this.disguise(text);
    return this.encodeRendered(disguise.hide(text), { disguise });
  }

  /**
   * Text in which special tokens are tokens, as templates write it.
   * @param options.disguise of the texts in it that are not
   * @param options.whole with the tokens that the tokenizer itself puts around a text, a begin-of-text token say
   */
  encodeRendered(text: string, { disguise, whole = false }: { disguise?: Disguise; whole?: boolean } = {}): number[] {
    this.#disguise = disguise;
    const { ids, tokens } = this.#library.encode(text, { add_special_tokens: whole });
    const lost = ids.findIndex((id) => id === undefined);
    if (lost >= 0) throw new TokenizerError(`${JSON.stringify(tokens[lost])} is not in this model's vocabulary`);
    if (disguise) this.#checkForged(text, ids);
    return ids;
  }

  /** Ids to text; special tokens, and ids that no token has, are left out. */
  decode(ids: readonly number[]): string {
    return this.#decode(ids.filter((id) => !this.#specialIds.has(id)));
  }

  /** Ids to text with the special tokens'. */
  decodeWhole(ids: readonly number[]): string {
    return this.#decode(ids);
  }

  /** Stand-ins for the special tokens' texts in a text. */
  disguise(around: string): Disguise {
    return this.#texts.disguise(around);
  }

  /** Some tokenizers look up whole words: a special token's text may be such a word. */
  #checkForged(text: string, ids: readonly number[]): void {
    const counted = this.#texts.in(text);
    for (const id of ids) {
      const token = this.tokens[id]!;
      if (!this.#specialIds.has(id) || id === this.#unknown) continue;
      const left = (counted.get(token) ?? 0) - 1;
      if (left < 0) throw new TokenizerError(`this model cannot tell the text ${token} from its special token`);
      counted.set(token, left);
    }
  }

  #decode(ids: readonly number[]): string {
    const known = ids.filter((id) => this.tokens[id]);
    // The library does not take none. Spaces are never cleaned up: the text is exactly what the tokens spell.
    return known.length === 0 ? '' : this.#library.decode(known, { clean_up_tokenization_spaces: false });
  }
}
