/**
 * @file The folder that a command leaves behind. It is taken before the work starts, so that no run ends with "permission
 * denied" after an hour, and nothing that lies in it already is ever deleted.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** The folder cannot be used. */
export class OutputError extends Error {
  override name = 'OutputError';
}

/** Names of a folder's contents that are listed in a message. */
const LISTED = 3;

/** Without it a folder is no model, so it is moved into place last. */
const LAST = 'config.json';

export class OutputFolder {
  #used = false;

  private constructor(
    /** As the user wrote it. */
    readonly path: string,
    private readonly folder: string,
    /** The uppermost folder that was made for it, if any was. */
    private readonly created: string | undefined,
    /** Holds files until all are there. While it exists, nobody else can take the folder. */
    private readonly part: string,
  ) {}

  /**
   * Makes the folder, with those above it, and proves that it can be written to.
   * @param replaces names of files that may be there and will be replaced; anything else is refused
   * @throws OutputError when it holds something else or cannot be written to
   */
  static take(path: string, { replaces = [] }: { replaces?: readonly string[] } = {}): OutputFolder {
    const folder = resolve(path);
    const part = join(folder, `.part-${process.pid}`);
    let created: string | undefined;
    let foreign: string[];
    try {
      created = mkdirSync(folder, { recursive: true });
      foreign = readdirSync(folder).filter((name) => !replaces.includes(name));
      if (foreign.length === 0) mkdirSync(part);
    } catch (error) {
      throw cannotWrite(path, error);
    }
    if (foreign.length > 0) throw notEmpty(path, foreign);
    return new OutputFolder(path, folder, created, part);
  }

  /**
   * Writes all files, then moves them into place.
   * @throws OutputError saying where what could be written lies
   */
  write(files: ReadonlyMap<string, Uint8Array>): void {
    this.#used = true;
    try {
      for (const [name, bytes] of files) writeFileSync(join(this.part, name), bytes);
      const names = [...files.keys()].sort((a, b) => Number(a === LAST) - Number(b === LAST));
      for (const name of names) renameSync(join(this.part, name), join(this.folder, name));
      rmdirSync(this.part);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new OutputError(`cannot write to ${this.path}: ${message}; what could be written lies in ${this.part}`);
    }
  }

  /** Unless it was written to: what was made for it goes again. */
  release(): void {
    if (this.#used) return;
    rmSync(this.part, { recursive: true, force: true });
    removeEmpty(this.folder, this.created);
  }
}

export function cannotWrite(path: string, error: unknown): OutputError {
  return new OutputError(`cannot write to ${path}: ${error instanceof Error ? error.message : String(error)}`);
}

export function notEmpty(path: string, foreign: readonly string[]): OutputError {
  const more = foreign.length > LISTED ? ` and ${foreign.length - LISTED} more` : '';
  return new OutputError(
    `${path} is not empty: it holds ${foreign.slice(0, LISTED).join(', ')}${more}; choose another folder`,
  );
}

/** Removes a folder and those above it that were made for it, as far as they are empty. */
export function removeEmpty(inner: string, created: string | undefined): void {
  if (created === undefined) return;
  for (let folder = inner; readdirSync(folder).length === 0; folder = dirname(folder)) {
    rmdirSync(folder);
    if (folder === created) return;
  }
}
