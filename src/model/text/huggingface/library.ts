/**
 * @file Hugging Face's tokenizers in JavaScript, made to cut text as those in Rust do, and to say what they would otherwise
 * leave out.
 */
import {
  ByteLevelPreTokenizer,
  DigitsPreTokenizer,
  SequencePreTokenizer,
  Tokenizer as Library,
} from '@huggingface/tokenizers';
import type { PreTokenizer } from '@huggingface/tokenizers';
import { TokenizerError } from '../../tokenizer';
import { isObject } from './check';

export type { Library };

/**
 * @param json a tokenizer.json that was checked
 * @param show done to each text once special tokens were split off, before it is cut
 * @throws whatever the library finds wrong
 */
export function openLibrary(json: Record<string, unknown>, show: (text: string) => string): Library {
  const model = isObject(json.model) ? json.model : {};
  const library = new Library(json, { unk_token: model.unk_token });
  const own = library.pre_tokenizer;
  if (own) cutAsRust(own);
  const check = unknownCharacters(library, model);
  const cut = (text: string, options: unknown): string[] => {
    const words = own ? own(show(text), options) : [show(text)];
    check?.(words);
    return words;
  };
  library.pre_tokenizer = cut as unknown as PreTokenizer; // it is called, and no more
  return library;
}

/**
 * Has text cut by what Rust calls white space and numbers. JavaScript's \s holds U+FEFF and lacks U+0085; \d lacks
 * fractions and Roman numerals.
 */
function cutAsRust(cut: PreTokenizer): void {
  if (cut instanceof SequencePreTokenizer) {
    for (const part of cut.tokenizers) if (part) cutAsRust(part);
  } else if (cut instanceof ByteLevelPreTokenizer || cut instanceof DigitsPreTokenizer) {
    const { source } = cut.pattern;
    const properties = { '\\s': '\\p{White_Space}', '\\S': '\\P{White_Space}', '\\d': '\\p{N}' };
    cut.pattern = new RegExp(
      Object.entries(properties).reduce((text, [from, to]) => text.replaceAll(from, to), source),
      'gu',
    );
  }
}

/**
 * What to do with words before byte-pair encoding, where that would silently leave characters out: it has neither a token
 * for unknown ones nor tokens for all bytes. Undefined where nothing can get lost.
 */
function unknownCharacters(
  { pre_tokenizer: cut, model }: Library,
  { type, unk_token: unknown, byte_fallback: bytes, end_of_word_suffix: suffix }: Record<string, unknown>,
): ((words: readonly string[]) => void) | undefined {
  if (type !== 'BPE' || unknown != null || bytes === true || suffix) return undefined;
  const { tokens_to_ids: ids } = model!;
  const alphabet = byteLevelAlphabet(cut);
  if (alphabet?.every((character) => ids.has(character))) return undefined;
  return (words) => {
    for (const word of words) {
      const lost = [...word].find((character) => !ids.has(character));
      if (lost === undefined) continue;
      throw new TokenizerError(`${JSON.stringify(lost)} of ${JSON.stringify(word)} is not in this model's vocabulary`);
    }
  };
}

/** The characters that stand for bytes, where a pre-tokenizer writes bytes. */
function byteLevelAlphabet(cut: PreTokenizer | null): string[] | undefined {
  if (cut instanceof ByteLevelPreTokenizer) return Object.values(cut.byte_encoder);
  if (!(cut instanceof SequencePreTokenizer)) return undefined;
  return cut.tokenizers.map(byteLevelAlphabet).find((alphabet) => alphabet !== undefined);
}
