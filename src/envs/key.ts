/** @file A task's key: a hash of what the task is, the same in every session and wherever the row stands. */
import { threefry } from '../random';
import type { RandomKey } from '../random';

/**
 * 64-bit hash of a JSON value as 16 hexadecimal digits. Objects are equal whatever the order of their keys.
 * Not cryptographic: it names things, it does not guard them.
 */
export function contentKey(value: unknown): string {
  const bytes = new TextEncoder().encode(canonicalJson(value));
  let key: RandomKey = [bytes.length, 0];
  for (let i = 0; i < bytes.length; i += 8) key = threefry(key, [word(bytes, i), word(bytes, i + 4)]);
  return key.map((half) => half.toString(16).padStart(8, '0')).join('');
}

function word(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  );
}

/** JSON with the keys of every object in order. */
function canonicalJson(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ) ?? 'undefined'
  );
}
