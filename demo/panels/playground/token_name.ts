/** @file Tokens by themselves, with what cannot be seen made visible. */

/** Something that shows: neither space, nor control, nor a mark that sits on another character. */
const SHOWS = /[^\p{C}\p{Z}\p{M}]/u;

export function named(text: string): string {
  if (text === '') return '(part of a character)';
  const visible = text.replaceAll('\n', '↵').replaceAll('\t', '⇥').replaceAll(' ', '␣');
  if (SHOWS.test(visible)) return visible;
  return [...text].map((character) => `U+${character.codePointAt(0)!.toString(16).padStart(4, '0')}`).join(' ');
}
