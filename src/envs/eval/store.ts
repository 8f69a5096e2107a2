/**
 * @file Where the results of an evaluation lie: results.jsonl, which grows by whole lines, and metadata.json, which is
 * replaced. On disk in a terminal (cli/store.ts), in memory here; a page can keep them in its private file system.
 */

export interface ResultStore {
  /** For messages: the folder's path, say. */
  readonly name: string;
  /** Lines of results.jsonl without their ends, none where there is no file. The last one may be torn. */
  lines(): AsyncIterable<string> | Iterable<string>;
  /** Adds lines. They are safe once the promise has resolved. */
  append(lines: readonly string[]): Promise<void>;
  /** Replaces all lines, as a whole or not at all. */
  replace(lines: readonly string[]): Promise<void>;
  /** The text of metadata.json, if there is one. */
  readMetadata(): Promise<string | undefined>;
  /** Replaces metadata.json, as a whole or not at all. */
  writeMetadata(text: string): Promise<void>;
}

/** Results that live as long as the object. */
export class MemoryStore implements ResultStore {
  readonly name = 'memory';

  constructor(
    public results = '',
    public metadata: string | undefined = undefined,
  ) {}

  lines(): string[] {
    const lines = this.results.split('\n');
    if (lines.at(-1) === '') lines.pop();
    return lines;
  }

  append(lines: readonly string[]): Promise<void> {
    this.results += asText(lines);
    return Promise.resolve();
  }

  replace(lines: readonly string[]): Promise<void> {
    this.results = asText(lines);
    return Promise.resolve();
  }

  readMetadata(): Promise<string | undefined> {
    return Promise.resolve(this.metadata);
  }

  writeMetadata(text: string): Promise<void> {
    this.metadata = text;
    return Promise.resolve();
  }
}

/** Lines as a file holds them: each one ended. */
export function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * Folder of all runs of an environment with a model, relative to where outputs lie: `evals/wiki-search--Qwen--Qwen3-0.6B`.
 * A run is a folder in it.
 */
export function runsFolder(env: string, model: string): string {
  return `evals/${folderName(env)}--${folderName(model)}`;
}

/** What no file system minds; `/` becomes `--`, as verifiers has it. */
function folderName(name: string): string {
  return (
    name
      .replace(/^[./\\]+/, '')
      .replaceAll('/', '--')
      .replaceAll(/[^\w.@+=,-]/g, '_')
      .slice(0, 100) || '_'
  );
}
