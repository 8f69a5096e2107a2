/** @file Measures of how alike two strings are. */

/**
 * Python's difflib.SequenceMatcher(None, a, b).ratio() (Ratcliff and Obershelp 1988): twice the characters in matching
 * blocks over all characters; the longest block first, then what lies left and right of it. Counts code points, is not
 * symmetric, and like difflib ignores characters that make up more than 1% of a `b` of 200 or more.
 */
export function sequenceRatio(a: string, b: string): number {
  const [x, y] = [[...a], [...b]];
  if (x.length + y.length === 0) return 1;
  const matched = blocksBetween(x, y).reduce((sum, [, , size]) => sum + size, 0);
  return (2 * matched) / (x.length + y.length);
}

/** [start in a, start in b, size], in code points. */
export type MatchingBlock = [number, number, number];

/**
 * Python's SequenceMatcher(None, a, b).get_matching_blocks(): the blocks that `sequenceRatio` counts, in order, adjacent
 * ones joined, and an empty one at the end of both strings.
 */
export function matchingBlocks(a: string, b: string): MatchingBlock[] {
  const [x, y] = [[...a], [...b]];
  const joined: MatchingBlock[] = [];
  for (const [i, j, size] of blocksBetween(x, y).sort((p, q) => p[0] - q[0])) {
    const last = joined.at(-1);
    if (last && last[0] + last[2] === i && last[1] + last[2] === j) last[2] += size;
    else joined.push([i, j, size]);
  }
  return [...joined, [x.length, y.length, 0]];
}

/** Matching blocks in the order of their finding. */
function blocksBetween(x: readonly string[], y: readonly string[]): MatchingBlock[] {
  const places = new Map<string, number[]>();
  y.forEach((character, j) => {
    const list = places.get(character);
    if (list) list.push(j);
    else places.set(character, [j]);
  });
  if (y.length >= 200) {
    const popular = Math.floor(y.length / 100) + 1;
    for (const [character, list] of places) if (list.length > popular) places.delete(character);
  }
  const blocks: MatchingBlock[] = [];
  const open: [number, number, number, number][] = [[0, x.length, 0, y.length]];
  for (let range = open.pop(); range; range = open.pop()) {
    const [aLow, aHigh, bLow, bHigh] = range;
    const [i, j, size] = longestMatch(x, y, places, aLow, aHigh, bLow, bHigh);
    if (size === 0) continue;
    blocks.push([i, j, size]);
    open.push([aLow, i, bLow, j], [i + size, aHigh, j + size, bHigh]);
  }
  return blocks;
}

/** The longest block x[i..i+size) = y[j..j+size) inside the ranges; the earliest in x, then in y. */
function longestMatch(
  x: readonly string[],
  y: readonly string[],
  places: Map<string, number[]>,
  aLow: number,
  aHigh: number,
  bLow: number,
  bHigh: number,
): MatchingBlock {
  let best: MatchingBlock = [aLow, bLow, 0];
  let lengths = new Map<number, number>();
  for (let i = aLow; i < aHigh; i++) {
    const next = new Map<number, number>();
    for (const j of places.get(x[i]!) ?? []) {
      if (j < bLow) continue;
      if (j >= bHigh) break;
      const size = (lengths.get(j - 1) ?? 0) + 1;
      next.set(j, size);
      if (size > best[2]) best = [i - size + 1, j - size + 1, size];
    }
    lengths = next;
  }
  // Characters that were too popular to start a block may still lengthen one.
  let [i, j, size] = best;
  while (i > aLow && j > bLow && x[i - 1] === y[j - 1]) [i, j, size] = [i - 1, j - 1, size + 1];
  while (i + size < aHigh && j + size < bHigh && x[i + size] === y[j + size]) size++;
  return [i, j, size];
}
