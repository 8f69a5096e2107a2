/**
 * @file Tokens by their ids as people read them. Vocabularies of Hugging Face's models write bytes as letters (GPT-2's
 * table: `Ġ` is a space) or spaces as `▁`.
 */

/** Whether a vocabulary writes bytes as letters; found out once. */
const byteLevel = new WeakMap<readonly string[], boolean>();

const SPACE = 'Ġ';

/** Bytes that stand for themselves in the table; the others follow from 256 on, in their order. */
const isPlain = (byte: number) =>
  (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
const OTHERS = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !isPlain(byte));

/** The text of a token; where it is no whole character by itself, as the vocabulary has it. */
export function tokenText(tokens: readonly string[], id: number): string {
  const token = tokens[id] ?? '?';
  let isByteLevel = byteLevel.get(tokens);
  if (isByteLevel === undefined) byteLevel.set(tokens, (isByteLevel = tokens.includes(SPACE)));
  if (!isByteLevel) return token.replaceAll('▁', ' ');
  const bytes = [...token].map((letter) => {
    const code = letter.codePointAt(0)!;
    return code < 256 ? code : OTHERS[code - 256];
  });
  if (bytes.includes(undefined)) return token; // a token that was added as it is
  const text = new TextDecoder().decode(Uint8Array.from(bytes as number[]));
  return text.includes('\uFFFD') ? token : text;
}
