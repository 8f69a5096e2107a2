/** @file A folder that is there whole or not at all. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cannotWrite, notEmpty, removeEmpty } from '../output';
import { userPath } from '../paths';

/**
 * Refuses a folder that holds something.
 * @throws OutputError
 */
export function requireEmpty(path: string): void {
  const folder = userPath(path);
  if (!existsSync(folder)) return;
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw cannotWrite(path, error);
  }
  if (names.length > 0) throw notEmpty(path, names);
}

/**
 * Writes files into a folder beside the one that is wanted, and gives it its name at the end.
 * @param files texts by path inside it
 * @returns bytes written
 * @throws OutputError, and nothing is left of it
 */
export function writeFolder(path: string, files: ReadonlyMap<string, string>): number {
  requireEmpty(path);
  const folder = userPath(path);
  const part = `${folder}.part-${process.pid}`;
  let created: string | undefined;
  let bytes = 0;
  try {
    created = mkdirSync(dirname(folder), { recursive: true });
    for (const [name, text] of files) {
      const file = join(part, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      bytes += Buffer.byteLength(text);
    }
    if (existsSync(folder)) rmdirSync(folder);
    renameSync(part, folder);
  } catch (error) {
    if (existsSync(part)) rmSync(part, { recursive: true });
    removeEmpty(dirname(folder), created);
    throw cannotWrite(path, error);
  }
  return bytes;
}
