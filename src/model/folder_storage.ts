/**
 * @file A folder of files that can be written: on disk, in the browser's private file system, in memory. Runs and
 * downloaded models are kept in such folders; layout, checks and order of writing are the same everywhere.
 */
import type { ByteFile } from './files';

export interface StoredFile {
  /** Relative to the folder, with `/`. */
  path: string;
  bytes: number;
}

/** Paths are relative to the folder, with `/`; folders on the way are made when something is written. */
export interface FolderStorage {
  /** Where it is, for messages. */
  readonly name: string;
  /** All files, however deep, in the order of their paths; none where there is no folder yet. */
  files(): Promise<StoredFile[]>;
  read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** A file to be read in pieces, as long as it is now. */
  open(path: string): Promise<ByteFile | undefined>;
  /** Replaces a file. Returns when it would survive the end of the process. */
  write(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Returns when the bytes would survive the end of the process. */
  append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Cuts a file to its first bytes. */
  truncate(path: string, bytes: number): Promise<void>;
  /** Removes a file, or a folder and all in it; `''` is this folder itself. What is not there is no error. */
  remove(path: string): Promise<void>;
  /** Bytes that can still be written, or undefined where nobody knows. */
  freeBytes(): Promise<number | undefined>;
  /**
   * Keeps others from writing to this folder, until the returned function is called or the holder is gone.
   * @throws InUseError when somebody who is alive holds it
   */
  lock(): Promise<() => Promise<void>>;
}

/** Folders by name, beside each other. */
export interface Shelf {
  /** Whether they are there again after a page was closed. */
  readonly lasts: boolean;
  /** Names of all folders. */
  names(): Promise<string[]>;
  /** Names of those that somebody writes to now. */
  inUse(): Promise<Set<string>>;
  /** The folder of this name; it is made when something is written. */
  at(name: string): FolderStorage;
}

/** Another process or tab is writing to the folder. */
export class InUseError extends Error {
  override name = 'InUseError';
}

/** There is no room for what is to be written. */
export class StorageFullError extends Error {
  override name = 'StorageFullError';
}
