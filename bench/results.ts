/** @file Files of results: one per adapter, unit by unit, so that a unit can be measured again alone. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { entryName } from './entry';
import type { Entry } from './entry';

const FORMAT = 'terrarium-bench/1';

export interface ResultFile {
  format: typeof FORMAT;
  adapter: string;
  /** By the unit's name. */
  entries: Record<string, Entry>;
}

/** @throws Error naming the file when it is none of ours */
export function readResults(path: string): ResultFile {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
  if (!isResultFile(json)) throw new Error(`${path}: no file of format ${FORMAT}`);
  return json;
}

/** Whether parsed JSON is a file of results; other files lie beside them. */
export function isResultFile(json: unknown): json is ResultFile {
  return (Object(json) as { format?: unknown }).format === FORMAT;
}

/**
 * Adds a unit to a file, in place of what the file has of it.
 * @throws Error when the file is of another adapter: figures of two machines in one table would be compared
 */
export function addResult(path: string, entry: Entry): void {
  const { adapter } = entry.machine;
  const file: ResultFile = existsSync(path) ? readResults(path) : { format: FORMAT, adapter, entries: {} };
  if (file.adapter !== adapter) throw new Error(`${path} is of ${file.adapter}; this is ${adapter}`);
  file.entries[entryName(entry)] = entry;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(file, null, 1)}\n`);
}

/** Where an adapter's results are kept: `mesa-software-llvmpipe.json`. */
export function resultName(adapter: string): string {
  const words = adapter.toLowerCase().match(/[a-z0-9]+/g) ?? ['unnamed'];
  return `${words.slice(0, 3).join('-')}.json`;
}
