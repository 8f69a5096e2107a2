/** @file Text that arrives in pieces, as lines. */

/**
 * Splits pieces of text at line feeds. The last line comes even where it has no end.
 * @param limit characters of one line
 * @throws RangeError for a longer one
 */
export async function* splitLines(
  pieces: AsyncIterable<string> | Iterable<string>,
  limit = Infinity,
): AsyncGenerator<string, void, void> {
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    if (rest.length > limit) throw new RangeError(`a line of more than ${limit} characters`);
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Bytes in pieces as text; a character may be cut between two of them. */
export async function* decodeText(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  for await (const piece of pieces) yield decoder.decode(piece, { stream: true });
  const rest = decoder.decode();
  if (rest !== '') yield rest;
}
