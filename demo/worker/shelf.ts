/** @file Where the page's runs are kept: a storage per run, by name. */
import { MemoryStorage } from '../../src/rl';
import type { RunStorage } from '../../src/rl';

export interface RunShelf {
  /** Whether runs are there again after the page was closed. */
  readonly lasts: boolean;
  /** Names of all runs. */
  names(): Promise<string[]>;
  /** Names of those that somebody writes to now. */
  inUse(): Promise<Set<string>>;
  at(name: string): RunStorage;
}

/** Runs that last as long as the page. */
export function memoryShelf(): RunShelf {
  const runs = new Map<string, MemoryStorage>();
  return {
    lasts: false,
    names: async () => {
      const names: string[] = [];
      for (const [name, run] of runs) if ((await run.files()).length > 0) names.push(name);
      return names.sort();
    },
    inUse: () => Promise.resolve(new Set([...runs].filter(([, run]) => run.isLocked).map(([name]) => name))),
    at: (name) => {
      if (!runs.has(name)) runs.set(name, new MemoryStorage(name));
      return runs.get(name)!;
    },
  };
}
