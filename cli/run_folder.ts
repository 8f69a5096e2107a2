/** @file The folder of a new run: taken before the work starts, and gone again when nothing came of it. */
import { accessSync, constants, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { InUseError } from '../src/model';
import { RunStore } from '../src/rl';
import type { RunStorage, TrainConfig } from '../src/rl';
import { OutputError, cannotWrite, notEmpty, removeEmpty } from './output';
import { userPath } from './paths';
import { LOCK, diskStorage } from './run_storage';

const ABOUT = 'run.json';

/**
 * Makes a folder for a run that comes from elsewhere, and proves that it can be written to.
 * @throws OutputError when it holds something
 */
export function requireNew(path: string): void {
  let found: string[];
  try {
    mkdirSync(userPath(path), { recursive: true });
    accessSync(userPath(path), constants.W_OK);
    found = readdirSync(userPath(path)).filter((name) => !name.startsWith(LOCK));
  } catch (error) {
    throw cannotWrite(path, error);
  }
  if (found.length > 0) throw notEmpty(path, found);
}

export interface NewRun {
  store: RunStore;
  /** Lets others have the folder, and removes what was made for it unless there is a run in it now. */
  release(): Promise<void>;
}

/** A run's folder as the user names it. */
export function runAt(path: string): RunStorage {
  return diskStorage(path, userPath(path));
}

/**
 * Makes the folder, with those above it, and proves that it can be written to.
 * @throws OutputError when it holds something, or cannot be written to; InUseError
 */
export async function takeNewRun(path: string, config: TrainConfig): Promise<NewRun> {
  const folder = userPath(path);
  let created: string | undefined;
  let store: RunStore;
  try {
    created = mkdirSync(folder, { recursive: true });
    store = await RunStore.create(runAt(path), config);
  } catch (error) {
    throw error instanceof InUseError ? error : cannotWrite(path, error);
  }
  const found = readdirSync(folder).filter((name) => !name.startsWith(LOCK));
  if (found.length > 0) await store.release();
  if (found.includes(ABOUT)) {
    throw new OutputError(`${path} holds a run: go on with it by --resume ${path}, or choose another folder`);
  }
  if (found.length > 0) throw notEmpty(path, found);
  const release = async () => {
    await store.release();
    if (!existsSync(join(folder, ABOUT))) removeEmpty(folder, created);
  };
  return { store, release };
}
