/** @file Folders on disk, and where the shipped starters lie. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { FileSource } from '../src/model';

/** A folder on disk. */
export function diskFolder(path: string): FileSource {
  return {
    name: path,
    read: (file) => {
      const full = join(path, file);
      return Promise.resolve(existsSync(full) ? new Uint8Array(readFileSync(full)) : undefined);
    },
  };
}

/** The repository's folder: npm scripts run there. */
const ROOT = process.env.TERRARIUM_ROOT ?? process.cwd();

/** Where the starter of an environment lies. */
export function starterPath(env: string): string {
  return join(ROOT, 'starters', env);
}

/** The shipped starter of an environment, if there is one. */
export function starterFolder(env: string): FileSource | undefined {
  const path = starterPath(env);
  return existsSync(join(path, 'config.json')) ? diskFolder(path) : undefined;
}

/** Writes a folder whole or not at all: beside its place first, then moved there. Replaces what was there. */
export function writeFolder(path: string, files: ReadonlyMap<string, Uint8Array>): void {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.part`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  for (const [name, bytes] of files) writeFileSync(join(temporary, name), bytes);
  rmSync(path, { recursive: true, force: true });
  renameSync(temporary, path);
}
