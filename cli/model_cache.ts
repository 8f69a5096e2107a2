/** @file Where the command line keeps models of the hub, and which hub that is. */
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { InUseError } from '../src/model';
import type { Shelf } from '../src/model';
import { userPath } from './paths';
import { diskStorage } from './run_storage';

/** Folders below one on disk. */
export function diskShelf(root: string): Shelf {
  const names = () =>
    existsSync(root)
      ? readdirSync(root, { withFileTypes: true })
          .filter((entry) => entry.isDirectory())
          .map(({ name }) => name)
          .sort()
      : [];
  const at = (name: string) => diskStorage(join(root, name));
  return {
    lasts: true,
    names: () => Promise.resolve(names()),
    inUse: async () => {
      const held = new Set<string>();
      for (const name of names()) if (await isHeld(at(name))) held.add(name);
      return held;
    },
    at,
  };
}

async function isHeld(storage: ReturnType<typeof diskStorage>): Promise<boolean> {
  try {
    const unlock = await storage.lock();
    await unlock();
    return false;
  } catch (error) {
    if (error instanceof InUseError) return true;
    throw error;
  }
}

/** TERRARIUM_CACHE, or the folder where programs keep what they can fetch again. */
export function cacheFolder(): string {
  const { TERRARIUM_CACHE: own, XDG_CACHE_HOME: caches } = process.env;
  if (own) return userPath(own);
  return join(...(caches ? [caches] : [homedir(), '.cache']), 'terrarium');
}

/** The models that were downloaded on this machine. */
export function modelShelf(): Shelf {
  return diskShelf(join(cacheFolder(), 'models'));
}

/** HF_ENDPOINT, as Hugging Face's own tools know it: a mirror in place of the hub. */
export function hubEndpoint(): string | undefined {
  const { HF_ENDPOINT: endpoint } = process.env;
  return endpoint === '' ? undefined : endpoint;
}
