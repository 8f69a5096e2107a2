/** @file Where the page's runs are kept: a storage per run, by name. */
import type { Shelf } from '../../src/model';
import { MemoryStorage } from '../../src/rl';

export type RunShelf = Shelf;

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
