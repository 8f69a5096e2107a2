/** @file Hashes of files that are too large to be in memory. */
import type { HubFile } from './listing';

/** Takes a file's bytes in their order. */
export interface FileHasher {
  update(bytes: Uint8Array): void;
  /** The hash of all bytes so far, in hexadecimal. Nothing can be added after. */
  digest(): string;
}

/** A hasher of the kind that the hub gives for this file. */
export async function hasherOf({ bytes, hash }: HubFile): Promise<FileHasher> {
  const { createSHA1, createSHA256 } = await import('./lazy-library');
  const hasher = await (hash.algorithm === 'sha256' ? createSHA256() : createSHA1());
  hasher.init();
  // Git hashes a file behind its type and length.
  if (hash.algorithm === 'git-sha1') hasher.update(`blob ${bytes}\0`);
  return { update: (piece) => void hasher.update(piece), digest: () => hasher.digest('hex') };
}
