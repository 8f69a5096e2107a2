/** @file A model of a hub, brought into the cache: asked for, checked, downloaded file by file, and complete at last. */
import { formatBytes } from '../../kernels';
import { INDEX_FILE } from '../checkpoint';
import { parseModelConfig } from '../config';
import { readJson } from '../files';
import type { FileSource } from '../files';
import { StorageFullError } from '../folder_storage';
import type { FolderStorage, Shelf } from '../folder_storage';
import { parseModelAddress } from './address';
import type { ModelAddress } from './address';
import { keyOf, lockWhenFree, openCached, openFolder } from './cache';
import { Hub, pause } from './client';
import type { HubOptions } from './client';
import { downloadFile } from './download';
import { asked, chooseTextFiles, chooseWeightFiles, listModel, nameOf } from './listing';
import type { HubFile, HubListing } from './listing';
import { DOWNLOAD, MANIFEST, readManifest, writeManifest } from './manifest';
import type { ModelManifest } from './manifest';
import { ProgressMeter } from './progress';
import type { ModelProgress } from './progress';

export interface DownloadOptions extends HubOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ModelProgress) => void) | undefined;
}

/** Bytes that are to stay free on a disk that a model is downloaded to. */
const SPARE = 16 * 2 ** 20;

/**
 * Opens a model by its name: from the cache where it is complete there, else after downloading it.
 * @param name as `parseModelAddress` reads it
 */
export async function openModelOf(shelf: Shelf, name: string, options: DownloadOptions = {}): Promise<FileSource> {
  const address = parseModelAddress(name, options.endpoint);
  return (await openCached(shelf, address)) ?? downloadModel(shelf, address, options);
}

/**
 * Brings a model into the cache and opens it. The hub is asked which commit the revision is at now; of that one nothing is
 * downloaded twice, and a download that was broken off goes on.
 * @throws HubError; CheckpointError for a model that we do not compute, or whose files are not all there; StorageFullError
 * before the download when it does not fit, and in its midst, what has come being kept; the signal's reason, likewise
 */
export async function downloadModel(
  shelf: Shelf,
  address: ModelAddress,
  { signal = new AbortController().signal, onProgress, ...options }: DownloadOptions = {},
): Promise<FileSource> {
  const hub = new Hub(options);
  const meter = new ProgressMeter(onProgress);
  const listing = await listModel(hub, address, signal);
  chooseTextFiles(listing); // complains before anything is made
  const storage = shelf.at(keyOf(listing));
  const unlock = await lockWhenFree(storage, {
    wait: (seconds) => pause(seconds, signal),
    waiting: () => meter.waiting(),
  });
  try {
    if (!(await readManifest(storage, MANIFEST))) await new ModelDownload(hub, listing, storage, meter, signal).run();
  } finally {
    await unlock();
  }
  return openFolder(storage);
}

class ModelDownload {
  #manifest: ModelManifest;
  readonly #files: FileSource;

  constructor(
    private readonly hub: Hub,
    private readonly listing: HubListing,
    private readonly storage: FolderStorage,
    private readonly meter: ProgressMeter,
    private readonly signal: AbortSignal,
  ) {
    const { id, revision, commit, endpoint } = listing;
    this.#manifest = { id, revision, commit, endpoint, date: new Date().toISOString(), files: [], tags: {} };
    this.#files = { name: nameOf(listing), read: (file) => storage.read(file) };
  }

  async run(): Promise<void> {
    const { listing, storage } = this;
    const earlier = await readManifest(storage, DOWNLOAD);
    if (earlier) this.#manifest.tags = earlier.tags ?? {};
    try {
      // What says which weights are needed, and whether they are any use, comes first.
      const [config, index] = [listing.files.get('config.json')!, listing.files.get(INDEX_FILE)];
      const first = [config, ...(index ? [index] : [])];
      await this.#requireSpace(first);
      await this.#write();
      for (const file of first) await this.#get(file);
      parseModelConfig(await readJson(this.#files, 'config.json'), `${this.#files.name}/config.json`);
      const weights = chooseWeightFiles(listing, index && (await readJson(this.#files, INDEX_FILE)));
      const text = chooseTextFiles(listing).filter((file) => !first.includes(file));
      const all = [...first, ...text, ...weights];
      this.meter.total = all.reduce((sum, { bytes }) => sum + bytes, 0);
      await this.#requireSpace(all);
      await this.#removeOthers(all);
      for (const file of [...text, ...weights]) await this.#get(file);
    } catch (error) {
      throw await this.#keptOrGone(error);
    }
    delete this.#manifest.tags;
    await writeManifest(storage, MANIFEST, { ...this.#manifest, date: new Date().toISOString() });
    await storage.remove(DOWNLOAD);
  }

  async #get(file: HubFile): Promise<void> {
    const { hub, listing, storage, meter, signal } = this;
    const { files, tags = {} } = this.#manifest;
    meter.begin(
      file.path,
      files.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    const tag = {
      get: () => tags[file.path],
      set: (value: string | undefined) => {
        if (value === undefined) delete tags[file.path];
        else tags[file.path] = value;
        return this.#write();
      },
    };
    const onBytes = (done: number, fresh: number) => meter.bytes(done, fresh);
    await downloadFile({ hub, listing, file, storage, tag, signal, onBytes });
    files.push({ path: file.path, bytes: file.bytes, hash: `${file.hash.algorithm}:${file.hash.value}` });
  }

  #write(): Promise<void> {
    return writeManifest(this.storage, DOWNLOAD, this.#manifest);
  }

  /** @throws StorageFullError when the files do not fit beside what is there of them */
  async #requireSpace(files: readonly HubFile[]): Promise<void> {
    const there = new Map((await this.storage.files()).map(({ path, bytes }) => [path, bytes]));
    const needed = files.reduce((sum, { path, bytes }) => sum + Math.max(0, bytes - (there.get(path) ?? 0)), 0);
    const free = await this.storage.freeBytes();
    if (free === undefined || needed + SPARE <= free) return;
    throw new StorageFullError(
      `${asked(this.listing)} needs ${formatBytes(needed)}, and ${formatBytes(free)} are free: delete other models, or make room`,
    );
  }

  /** Removes what an earlier version of the list had and this one has not. */
  async #removeOthers(files: readonly HubFile[]): Promise<void> {
    const wanted = new Set([DOWNLOAD, ...files.map(({ path }) => path)]);
    for (const { path } of await this.storage.files()) if (!wanted.has(path)) await this.storage.remove(path);
  }

  /** Says what a download that failed has left; a folder in which nothing large is goes. */
  async #keptOrGone(error: unknown): Promise<unknown> {
    const { storage, listing } = this;
    const weights = (await storage.files()).filter(({ path }) => path.endsWith('.safetensors'));
    const kept = weights.reduce((sum, { bytes }) => sum + bytes, 0);
    if (kept === 0) {
      for (const { path } of await storage.files()) await storage.remove(path);
      return error;
    }
    if (!(error instanceof StorageFullError)) return error;
    return new StorageFullError(
      `${error.message}. ${formatBytes(kept)} of ${asked(listing)} are kept: make room and download it again to go on, ` +
        'or delete it',
    );
  }
}
