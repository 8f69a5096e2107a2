/** @file A run kept in memory: for tests, and where a browser keeps nothing. */
import { InUseError, StorageFullError, bytesFile } from '../../model';
import type { ByteFile, StoredFile } from '../../model';
import type { RunStorage } from './storage';

export class MemoryStorage implements RunStorage {
  readonly #files = new Map<string, Uint8Array<ArrayBuffer>>();
  #locked = false;

  /** @param capacity bytes that fit */
  constructor(
    readonly name = 'memory',
    public capacity = Infinity,
  ) {}

  get #used(): number {
    return [...this.#files.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  files(): Promise<StoredFile[]> {
    const files = [...this.#files].map(([path, { byteLength }]) => ({ path, bytes: byteLength }));
    return Promise.resolve(files.sort((a, b) => (a.path < b.path ? -1 : 1)));
  }

  read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return Promise.resolve(this.#files.get(path)?.slice());
  }

  open(path: string): Promise<ByteFile | undefined> {
    const bytes = this.#files.get(path);
    return Promise.resolve(bytes && bytesFile(bytes));
  }

  async write(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const before = this.#files.get(path)?.byteLength ?? 0;
    if (this.#used - before + bytes.byteLength > this.capacity) {
      throw new StorageFullError(`${this.name} is full: ${path} could not be written`);
    }
    this.#files.set(path, bytes.slice());
    await Promise.resolve();
  }

  append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const before = this.#files.get(path) ?? new Uint8Array();
    const joined = new Uint8Array(before.byteLength + bytes.byteLength);
    joined.set(before);
    joined.set(bytes, before.byteLength);
    return this.write(path, joined);
  }

  truncate(path: string, bytes: number): Promise<void> {
    const before = this.#files.get(path);
    if (before) this.#files.set(path, before.slice(0, bytes));
    return Promise.resolve();
  }

  remove(path: string): Promise<void> {
    for (const each of [...this.#files.keys()]) {
      if (path === '' || each === path || each.startsWith(`${path}/`)) this.#files.delete(each);
    }
    return Promise.resolve();
  }

  freeBytes(): Promise<number | undefined> {
    return Promise.resolve(this.capacity === Infinity ? undefined : this.capacity - this.#used);
  }

  get isLocked(): boolean {
    return this.#locked;
  }

  lock(): Promise<() => Promise<void>> {
    if (this.#locked) return Promise.reject(new InUseError(`${this.name} is being written to by another run`));
    this.#locked = true;
    return Promise.resolve(() => {
      this.#locked = false;
      return Promise.resolve();
    });
  }
}
