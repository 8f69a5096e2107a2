/** @file Finding an environment. */
import type { LibraryEntry } from '../../src/envs';

type Entry = Pick<LibraryEntry, 'name' | 'title' | 'summary' | 'tags'>;

/** Entries in which every word of the search occurs and that have every tag. */
export function findEntries<T extends Entry>(entries: readonly T[], search: string, tags: readonly string[]): T[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return entries.filter((entry) => {
    const text = [entry.name, entry.title, entry.summary, ...entry.tags].join(' ').toLowerCase();
    return words.every((word) => text.includes(word)) && tags.every((tag) => entry.tags.includes(tag));
  });
}

/** Every tag with how many entries have it, the commonest first. */
export function tagCounts(entries: readonly Entry[]): [tag: string, count: number][] {
  const counts = new Map<string, number>();
  for (const tag of entries.flatMap((entry) => entry.tags)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b));
}

/** The folder of an environment: those of one folder are its sizes. */
export function folderOf(name: string, folders: readonly string[]): string | undefined {
  return folders.includes(name) ? name : folders.find((folder) => name.startsWith(`${folder}-`));
}
