/** @file The rollouts of a whole run as one file. */
import { TRACES } from './layout';
import type { RunStorage } from './storage';

/** The traces of all steps, one per line; a step whose rollouts were left out says so in its line. */
export async function readRollouts(storage: RunStorage): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (const { path } of await storage.files()) {
    const bytes = path.startsWith(`${TRACES}/`) ? await storage.read(path) : undefined;
    if (bytes) parts.push(bytes);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
