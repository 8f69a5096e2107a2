/**
 * @file Runs, models and choices of kernels in the browser's private file system (OPFS), in the same files as on disk: a folder for each. Only a
 * worker can write there. Nothing is renamed: a checkpoint counts once its manifest is there, and metrics only grow or are
 * cut.
 */
import { InUseError, StorageFullError, blobFile } from '../../src/model';
import type { FolderStorage, Shelf, StoredFile } from '../../src/model';
import { memoryShelf } from './shelf';

/** Times that a file is read before giving up on one that changes all the time. */
const READS = 10;

/** The browser's private file system or, in one that has none for this page, memory. */
export async function openShelf(folder: 'runs' | 'models' | 'kernels' = 'runs'): Promise<Shelf> {
  try {
    const root = await navigator.storage.getDirectory();
    return opfsShelf(await root.getDirectoryHandle(folder, { create: true }), `terrarium/${folder}/`);
  } catch (error) {
    // A private window may have no file system. The page says that nothing is kept.
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    return memoryShelf();
  }
}

/** @param locks before a folder's name in the name of its lock */
function opfsShelf(root: FileSystemDirectoryHandle, locks: string): Shelf {
  return {
    lasts: true,
    names: async () => {
      const names: string[] = [];
      for await (const entry of entriesOf(root)) if (entry.kind === 'directory') names.push(entry.name);
      return names.sort();
    },
    inUse: async () => {
      const { held = [] } = await navigator.locks.query();
      const names = held.map((each) => each.name ?? '').filter((each) => each.startsWith(locks));
      return new Set(names.map((each) => each.slice(locks.length)));
    },
    at: (name) => opfsStorage(root, name, locks + name),
  };
}

/** The folder of this name; it is made when something is written. */
function opfsStorage(root: FileSystemDirectoryHandle, name: string, lockName: string): FolderStorage {
  /** The folder that a path lies in; undefined where there is none and none is to be made. */
  const folderOf = async (path: readonly string[], create: boolean) => {
    let folder = root;
    for (const part of [name, ...path]) {
      const inner = await folder.getDirectoryHandle(part, { create }).catch(ifMissing);
      if (!inner) return undefined;
      folder = inner;
    }
    return folder;
  };
  const fileAt = async (path: string, create: boolean) => {
    const parts = path.split('/');
    const folder = await folderOf(parts.slice(0, -1), create);
    return folder?.getFileHandle(parts.at(-1)!, { create }).catch(ifMissing);
  };
  /** Opens a file for writing, with its length. */
  const change = async (path: string, work: (file: FileSystemSyncAccessHandle) => void) => {
    try {
      const handle = await (await fileAt(path, true))!.createSyncAccessHandle();
      try {
        work(handle);
        handle.flush();
      } finally {
        handle.close();
      }
    } catch (error) {
      throw isQuota(error) ? full(name, path) : error;
    }
  };
  return {
    name,
    files: async () => {
      const folder = await folderOf([], false);
      return folder ? filesBelow(folder, '') : [];
    },
    read: async (path) => {
      const handle = await fileAt(path, false);
      return handle && contentOf(handle);
    },
    open: async (path) => {
      const handle = await fileAt(path, false);
      return handle && blobFile(await handle.getFile());
    },
    write: (path, bytes) =>
      change(path, (file) => {
        file.truncate(0);
        put(file, bytes, 0);
      }),
    append: (path, bytes) => change(path, (file) => put(file, bytes, file.getSize())),
    truncate: async (path, bytes) => {
      if (await fileAt(path, false)) await change(path, (file) => file.truncate(Math.min(bytes, file.getSize())));
    },
    remove: async (path) => {
      const parts = path === '' ? [] : path.split('/');
      const folder = parts.length === 0 ? root : await folderOf(parts.slice(0, -1), false);
      await folder?.removeEntry(parts.at(-1) ?? name, { recursive: true }).catch(ifMissing);
    },
    freeBytes: async () => {
      const { quota, usage = 0 } = await navigator.storage.estimate();
      return quota === undefined ? undefined : Math.max(0, quota - usage);
    },
    lock: () => lock(lockName, name),
  };
}

/** Reads a file, again where it was written to while it was being read. */
async function contentOf(handle: FileSystemFileHandle): Promise<Uint8Array<ArrayBuffer> | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return new Uint8Array(await (await handle.getFile()).arrayBuffer());
    } catch (error) {
      const changed = error instanceof DOMException && error.name === 'NotReadableError';
      if (!changed || tries === READS) return ifMissing(error);
    }
  }
}

function put(file: FileSystemSyncAccessHandle, bytes: Uint8Array<ArrayBuffer>, at: number): void {
  const written = file.write(bytes, { at });
  if (written < bytes.byteLength)
    throw new DOMException(`${written} of ${bytes.byteLength} bytes`, 'QuotaExceededError');
}

async function filesBelow(folder: FileSystemDirectoryHandle, inside: string): Promise<StoredFile[]> {
  const files: StoredFile[] = [];
  for await (const entry of entriesOf(folder)) {
    const path = inside + entry.name;
    if (entry.kind === 'directory') files.push(...(await filesBelow(entry as FileSystemDirectoryHandle, `${path}/`)));
    else {
      const file = await (entry as FileSystemFileHandle).getFile().catch(ifMissing);
      if (file) files.push({ path, bytes: file.size });
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** TypeScript's library does not know that folders can be walked through. */
function entriesOf(folder: FileSystemDirectoryHandle): AsyncIterable<FileSystemHandle> {
  return (folder as unknown as { values: () => AsyncIterable<FileSystemHandle> }).values();
}

/** Nothing, for what is not there; any other error is one. */
function ifMissing(error: unknown): undefined {
  if (error instanceof DOMException && error.name === 'NotFoundError') return undefined;
  throw error;
}

function isQuota(error: unknown): boolean {
  return error instanceof Error && error.name === 'QuotaExceededError';
}

function full(name: string, path: string): StorageFullError {
  return new StorageFullError(`the browser gives this page no more room; ${path} of ${name} could not be written`);
}

/** Held by the worker: when it ends, however it ends, the browser lets go. */
function lock(lockName: string, name: string): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(lockName, { ifAvailable: true }, (granted) => {
      if (!granted) {
        reject(new InUseError(`${name} is in use, here or in another tab of this browser`));
        return undefined;
      }
      return new Promise<void>((release) => {
        resolve(async () => {
          release();
          await held;
        });
      });
    });
    held.catch(reject);
  });
}
