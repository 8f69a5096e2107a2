/**
 * @file Models that were downloaded from a hub, each in a folder of its own that is named by its commit: on disk or in the
 * browser's private file system. What is there is opened without asking anybody.
 */
import { CheckpointError } from '../errors';
import type { FileSource } from '../files';
import { InUseError } from '../folder_storage';
import type { FolderStorage, Shelf } from '../folder_storage';
import { asked, nameOf } from './listing';
import type { ModelAddress } from './address';
import { DOWNLOAD, MANIFEST, readManifest } from './manifest';
import type { ModelManifest } from './manifest';

/** A model of the cache, or a part of one. */
export interface CachedModel {
  /** Its folder's name: what it is deleted by. */
  key: string;
  id: string;
  /** The revision that was asked for, and the commit it stood for. */
  revision: string;
  commit: string;
  endpoint: string;
  /** When it was complete or, of a part, when it was begun; ISO 8601. */
  date: string;
  /** On disk now. */
  bytes: number;
  /** False: the download was broken off. Downloading it again goes on from there. */
  complete: boolean;
  /** Somebody is downloading or deleting it now. */
  inUse: boolean;
}

/** The folder of a model at a commit. Names of the hub hold neither `--` nor `@`. */
export function keyOf({ id, commit }: { id: string; commit: string }): string {
  return `${id.replace('/', '--')}@${commit}`;
}

/** All models and parts of models, by name, the newest first. */
export async function listCached(shelf: Shelf): Promise<CachedModel[]> {
  const inUse = await shelf.inUse();
  const models: CachedModel[] = [];
  for (const key of await shelf.names()) {
    const storage = shelf.at(key);
    const manifest = (await readManifest(storage, MANIFEST)) ?? (await readManifest(storage, DOWNLOAD));
    const { id, revision, commit, endpoint, date } = manifest ?? unknownModel(key);
    const files = await storage.files();
    if (files.length === 0) continue; // nothing came of it
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const complete = files.some(({ path }) => path === MANIFEST) && manifest !== undefined;
    models.push({ key, id, revision, commit, endpoint, date, bytes, complete, inUse: inUse.has(key) });
  }
  return models.sort((a, b) => (a.id !== b.id ? (a.id < b.id ? -1 : 1) : a.date < b.date ? 1 : -1));
}

/** Of a folder that was cut off before it said what it is. */
function unknownModel(key: string): Omit<ModelManifest, 'files'> {
  const [name = '', commit = ''] = key.split('@');
  return { id: name.replace('--', '/'), revision: commit, commit, endpoint: '', date: '' };
}

/** Complete models of that name: of the revision asked for, or whose commit begins with it. The newest first. */
export async function findCached(shelf: Shelf, { id, revision }: ModelAddress): Promise<CachedModel[]> {
  const isCommit = /^[0-9a-f]{7,40}$/.test(revision);
  return (await listCached(shelf)).filter(
    (model) =>
      model.complete &&
      model.id === id &&
      (model.revision === revision || (isCommit && model.commit.startsWith(revision))),
  );
}

/**
 * Opens a model of the cache, without a word to the hub.
 * @returns undefined when it is not there, or not complete
 */
export async function openCached(shelf: Shelf, address: ModelAddress): Promise<FileSource | undefined> {
  const [newest] = await findCached(shelf, address);
  if (!newest) return undefined;
  return openFolder(shelf.at(newest.key));
}

/**
 * The folder of a complete model, as models are read.
 * @throws CheckpointError when it is none; later, when a file is not as long as it was when it came
 */
export async function openFolder(storage: FolderStorage): Promise<FileSource> {
  const manifest = await readManifest(storage, MANIFEST);
  if (!manifest) throw new CheckpointError(`${storage.name}: ${MANIFEST} is missing: the download is not complete`);
  const files = new Map(manifest.files.map((file) => [file.path, file]));
  const name = nameOf(manifest);
  const require = (path: string, found: number | undefined) => {
    const { bytes } = files.get(path)!;
    if (found === bytes) return;
    const has = found === undefined ? 'is gone' : `has ${found} of ${bytes} bytes`;
    throw new CheckpointError(`${name}: ${path} ${has}: delete ${asked(manifest)} and download it again`);
  };
  return {
    name,
    read: async (path) => {
      if (!files.has(path)) return undefined;
      const bytes = await storage.read(path);
      require(path, bytes?.byteLength);
      return bytes;
    },
    open: async (path) => {
      if (!files.has(path)) return undefined;
      const file = await storage.open(path);
      require(path, file?.size);
      return file;
    },
  };
}

/**
 * Removes a model, or a part of one, its manifest first.
 * @throws InUseError while somebody downloads it
 */
export async function deleteCached(shelf: Shelf, key: string): Promise<void> {
  const storage = shelf.at(key);
  const unlock = await storage.lock();
  try {
    await storage.remove(MANIFEST);
    for (const { path } of await storage.files()) await storage.remove(path);
  } finally {
    await unlock();
  }
  await storage.remove('');
}

/** Seconds between two looks at whether somebody else is done. */
const LOCK_SECONDS = 1;

/**
 * Waits until nobody else writes to a folder.
 * @param waiting is called at every look in vain
 * @throws the signal's reason
 */
export async function lockWhenFree(
  storage: FolderStorage,
  { wait, waiting }: { wait: (seconds: number) => Promise<void>; waiting: () => void },
): Promise<() => Promise<void>> {
  for (;;) {
    try {
      return await storage.lock();
    } catch (error) {
      if (!(error instanceof InUseError)) throw error;
      waiting();
      await wait(LOCK_SECONDS);
    }
  }
}
