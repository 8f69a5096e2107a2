/** @file Folders on disk that models are read from, and where the shipped starters lie. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FileSource } from '../src/model';
import type { ModelSources } from '../src/rl';

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

/** Where models are read from: the shipped starters, and folders on disk. */
export const DISK: ModelSources = {
  starter: (env) => Promise.resolve(starterFolder(env)),
  folder: (path) => Promise.resolve(diskFolder(path)),
};
