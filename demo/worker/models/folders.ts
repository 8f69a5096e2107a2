/** @file Folders that were chosen or dropped, by the names they are asked for. They are here as long as the page is open. */
import { CheckpointError, droppedFolder } from '../../../src/model';
import type { FileSource } from '../../../src/model';
import type { ModelAbout, ShownFolder } from '../../models_protocol';
import { zipFolder } from './zip_folder';

/** Before the name of a folder of the user's where other models could be named as well. */
export const FOLDER_PREFIX = 'folder:';

/** What `export` of a run writes, and no model has. */
const RUN_FILE = 'run.json';
const RUN_SUMS = 'SHA256SUMS';

interface Folder extends ShownFolder {
  source: FileSource;
  /** Tells it from others that had its name before. */
  number: number;
}

export class Folders {
  readonly #byName = new Map<string, Folder>();
  #added = 0;

  get list(): ShownFolder[] {
    return [...this.#byName.values()].map(({ name, bytes, adapter }) => ({ name, bytes, adapter }));
  }

  /**
   * Takes a folder's files, or one .zip. One of the same name is replaced.
   * @param folder its name; null for a .zip
   * @param about reads what it is, before it is taken
   * @throws CheckpointError
   */
  async add(
    folder: string | null,
    files: readonly File[],
    about: (name: string, source: FileSource, bytes: number) => Promise<ModelAbout>,
  ): Promise<ModelAbout> {
    const source = await sourceOf(folder, files);
    const bytes = files.reduce((sum, { size }) => sum + size, 0);
    const name = `${FOLDER_PREFIX}${source.name}`;
    const found = await about(name, source, bytes);
    this.#byName.set(name, { name, bytes, adapter: found.adapter, source, number: ++this.#added });
    return found;
  }

  /** @throws CheckpointError when it is not here */
  get(name: string): FileSource {
    const found = this.#byName.get(name);
    if (found) return found.source;
    throw new CheckpointError(
      `${name} is not here: a folder has to be chosen again, under Models, when the page was closed in between`,
    );
  }

  /** One name for what is there now, and for nothing that was there before. */
  identity(name: string): string {
    return `${name} ${this.#byName.get(name)?.number ?? 0}`;
  }

  bytesOf(name: string): number {
    return this.#byName.get(name)?.bytes ?? 0;
  }

  forget(name: string): void {
    this.#byName.delete(name);
  }
}

async function sourceOf(name: string | null, files: readonly File[]): Promise<FileSource> {
  if (name !== null) return { ...droppedFolder(files), name };
  const [zip] = files;
  if (files.length !== 1 || !/\.zip$/i.test(zip!.name)) {
    throw new CheckpointError('a model is a folder, or one .zip of a folder');
  }
  const { folder, files: names } = await zipFolder(zip!, zip!.name);
  if (names.includes(RUN_FILE) && names.includes(RUN_SUMS)) {
    throw new CheckpointError(`${zip!.name} is an exported run, not a model: import it under Runs`);
  }
  return folder;
}
