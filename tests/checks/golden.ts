/** @file Golden cases: one value of ours beside one that was computed elsewhere. Vitest and the oracle run assert on them. */

export interface GoldenCase {
  /** The fixture's file name. */
  file: string;
  /** The list in the file, and the case's own id or index in it. */
  id: string;
  /** Same value; also true of an exempt case. */
  ok: boolean;
  got: unknown;
  expected: unknown;
  /** Why this case says nothing about our code, for the few that do not. */
  exempt?: string;
}

/** Floats may differ by this much, relative to the larger magnitude above 1. */
const TOLERANCE = 1e-9;

/** Deep comparison of JSON values. A key that is undefined counts as missing. */
export function sameValue(got: unknown, expected: unknown): boolean {
  if (typeof got === 'number' && typeof expected === 'number') {
    if (Object.is(got, expected)) return true;
    return Math.abs(got - expected) <= TOLERANCE * Math.max(1, Math.abs(got), Math.abs(expected));
  }
  if (typeof got !== 'object' || typeof expected !== 'object' || got === null || expected === null) {
    return got === expected;
  }
  if (Array.isArray(got) !== Array.isArray(expected)) return false;
  const [mine, theirs] = [keysOf(got), keysOf(expected)];
  return (
    mine.length === theirs.length &&
    theirs.every((key) => sameValue((got as Record<string, unknown>)[key], (expected as Record<string, unknown>)[key]))
  );
}

/** Keys that hold a value: as many of both, each with the same value, are the same keys. */
function keysOf(value: object): string[] {
  return Object.entries(value).flatMap(([key, item]) => (item === undefined ? [] : [key]));
}

/** Compares two values and names them. */
export function golden(file: string, id: string, got: unknown, expected: unknown): GoldenCase {
  return { file, id, got, expected, ok: sameValue(got, expected) };
}

/** A case that is listed but not compared. */
export function exempt(file: string, id: string, expected: unknown, reason: string): GoldenCase {
  return { file, id, got: undefined, expected, ok: true, exempt: reason };
}

/** What a function returns, or the message of what it throws. */
export function outcome(run: () => unknown): { value: unknown } | { raises: string } {
  try {
    return { value: run() };
  } catch (error) {
    return { raises: error instanceof Error ? error.message : String(error) };
  }
}
