/**
 * @file What a run needs of the place where it is kept: a folder of files, on disk or in the browser's private file system.
 * Layout, checks and order of writing are the same everywhere and lie beside this file.
 */

export interface StoredFile {
  /** Relative to the run's folder, with `/`. */
  path: string;
  bytes: number;
}

/** The folder of one run. Paths are relative to it, with `/`; folders on the way are made when something is written. */
export interface RunStorage {
  /** Where it is, for messages. */
  readonly name: string;
  /** All files, however deep, in the order of their paths; none where there is no folder yet. */
  files(): Promise<StoredFile[]>;
  read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Replaces a file. Returns when it would survive the end of the process. */
  write(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Cuts a file to its first bytes. */
  truncate(path: string, bytes: number): Promise<void>;
  /** Removes a file, or a folder and all in it; `''` is the run itself. What is not there is no error. */
  remove(path: string): Promise<void>;
  /** Bytes that can still be written, or undefined where nobody knows. */
  freeBytes(): Promise<number | undefined>;
  /**
   * Keeps others from writing to this run, until the returned function is called or the holder is gone.
   * @throws RunInUseError when somebody who is alive holds it
   */
  lock(): Promise<() => Promise<void>>;
}

/** The folder is no run, or none that this version reads. */
export class RunFolderError extends Error {
  override name = 'RunFolderError';
}

/** Files of the run are missing or are not what was written. */
export class DamagedRunError extends Error {
  override name = 'DamagedRunError';
}

/** Another process or tab is writing to the run. */
export class RunInUseError extends Error {
  override name = 'RunInUseError';
}

/** There is no room for what a run writes. */
export class StorageFullError extends Error {
  override name = 'StorageFullError';
}
