/** @file A folder on disk that runs and downloaded models are kept in. */
import { existsSync, readFileSync } from 'node:fs';
import { link, mkdir, open, readFile, readdir, rename, rm, stat, statfs, truncate } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { InUseError, StorageFullError } from '../src/model';
import type { FolderStorage, StoredFile } from '../src/model';
import { diskFile } from './files';

/** Names the process that writes to the folder. */
export const LOCK = '.lock';

/** Ending of a file that is being written. */
const PART = '.part';

interface Holder {
  pid: number;
  host: string;
  /** Tells the process from a later one of the same number, where the system says so. */
  started: string;
}

/** @param path as the user wrote it; `folder`, where it leads */
export function diskStorage(path: string, folder = path): FolderStorage {
  const at = (file: string) => join(folder, file);
  return {
    name: path,
    files: () => filesBelow(folder, ''),
    read: async (file) => (existsSync(at(file)) ? new Uint8Array(await readFile(at(file))) : undefined),
    open: (file) => diskFile(at(file)),
    write: (file, bytes) =>
      orFull(path, file, async () => {
        const part = at(file) + PART;
        try {
          await put(part, 'w', bytes);
          await rename(part, at(file));
        } catch (error) {
          await rm(part, { force: true });
          throw error;
        }
      }),
    append: (file, bytes) => orFull(path, file, () => put(at(file), 'a', bytes)),
    truncate: async (file, bytes) => {
      if (existsSync(at(file))) await truncate(at(file), bytes);
    },
    remove: (file) => rm(at(file), { recursive: true, force: true }),
    freeBytes: async () => {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    },
    lock: () => lock(path, folder),
  };
}

async function filesBelow(folder: string, inside: string): Promise<StoredFile[]> {
  const entries = await readdir(join(folder, inside), { withFileTypes: true }).catch(ifMissing([]));
  const files: StoredFile[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = inside === '' ? entry.name : `${inside}/${entry.name}`;
    if (entry.isDirectory()) files.push(...(await filesBelow(folder, path)));
    else if (!path.startsWith(LOCK)) {
      const found = await stat(join(folder, path)).catch(ifMissing(undefined));
      if (found) files.push({ path, bytes: found.size });
    }
  }
  return files;
}

/** For what another process may have removed meanwhile. */
function ifMissing<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return value;
    throw error;
  };
}

/** Writes bytes so that they survive the process and the machine. */
async function put(path: string, flag: 'a' | 'w', bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, flag);
  try {
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** @throws StorageFullError when the disk, or the user's share of it, is full */
async function orFull(name: string, file: string, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error;
    throw new StorageFullError(`${name}: the disk is full; ${file} could not be written`);
  }
}

/** Of this process: two of its parts may want the same folder at once. */
let drafts = 0;

/** Makes the lock file. One that a dead process left is taken over, by one of those who try. */
async function lock(path: string, folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, LOCK);
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) } satisfies Holder);
  const draft = join(folder, `${LOCK}-${process.pid}-${drafts++}`);
  await put(draft, 'w', new TextEncoder().encode(mine));
  try {
    while (!(await linked(draft, file))) {
      const text = await readFile(file, 'utf8').catch(ifMissing(undefined));
      if (text === undefined) continue; // released this moment
      const holder = JSON.parse(text) as Holder;
      if (isAlive(holder)) {
        throw new InUseError(
          `${path} is being written to by process ${holder.pid} on ${holder.host}` +
            (holder.host === hostname() ? '' : `; if that one is gone, remove ${file}`),
        );
      }
      await discard(file, text, draft);
    }
  } finally {
    await rm(draft, { force: true });
  }
  for (const left of await readdir(folder)) if (left.endsWith(PART)) await rm(join(folder, left));
  return async () => {
    if ((await readFile(file, 'utf8').catch(ifMissing(undefined))) === mine) await rm(file);
  };
}

/** Gives a file a second name, unless that is taken: all of it is there at once. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes a dead process's lock; one that somebody took in its place this moment is put back. */
async function discard(file: string, text: string, draft: string): Promise<void> {
  const aside = `${draft}-dead`;
  await rename(file, aside).catch(ifMissing(undefined));
  const moved = await readFile(aside, 'utf8').catch(ifMissing(undefined));
  if (moved !== undefined && moved !== text) await linked(aside, file);
  await rm(aside, { force: true });
}

/** Of another machine's processes nothing is known: they count as alive. */
function isAlive({ pid, host, started }: Holder): boolean {
  if (host !== hostname()) return true;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return startOf(pid) === started;
}

/** When a process was started, in the system's ticks; '' where the system has no /proc. */
export function startOf(pid: number): string {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return '';
  const stat = readFileSync(path, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
}
