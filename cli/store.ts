/** @file Results on disk: a folder per run, laid out as verifiers does it, `outputs/evals/{env}--{model}/{8 hex}/`. */
import { randomBytes } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asText, decodeText, parseMetadata, runsFolder, splitLines } from '../src/envs';
import type { ResultMetadata, ResultStore } from '../src/envs';

export const RESULTS = 'results.jsonl';
export const METADATA = 'metadata.json';
/** Of verifiers 1: read where there are no results. */
const EPISODES = 'traces.jsonl';

/** The folder of a run. It is made when something is written. */
export function diskStore(folder: string): ResultStore {
  const [results, metadata] = [join(folder, RESULTS), join(folder, METADATA)];
  return {
    name: folder,
    lines: () => {
      const path = [results, join(folder, EPISODES)].find((each) => existsSync(each));
      return path === undefined ? [] : splitLines(decodeText(createReadStream(path)));
    },
    append: (lines) => writeLines(results, 'a', lines),
    replace: (lines) => replaceFile(results, lines),
    readMetadata: async () => (existsSync(metadata) ? readFile(metadata, 'utf8') : undefined),
    writeMetadata: (text) => replaceFile(metadata, [text.trimEnd()]),
  };
}

/** Writes lines so that they survive the process and the machine. */
async function writeLines(path: string, flag: 'a' | 'w', lines: readonly string[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, flag);
  try {
    for (let i = 0; i < lines.length; i += 1000) await file.writeFile(asText(lines.slice(i, i + 1000)));
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Writes beside its place first, then moves: the old file is there until the new one is whole. */
async function replaceFile(path: string, lines: readonly string[]): Promise<void> {
  const temporary = `${path}.part`;
  await writeLines(temporary, 'w', lines);
  await rename(temporary, path);
}

/** A folder for a new run, not made yet. */
export function newRunFolder(outputs: string, env: string, model: string): string {
  const parent = join(outputs, runsFolder(env, model));
  for (;;) {
    const folder = join(parent, randomBytes(4).toString('hex'));
    if (!existsSync(folder)) return folder;
  }
}

/** A run that was found on disk. */
export interface FoundRun {
  folder: string;
  metadata: ResultMetadata;
  /** When it was last written, in milliseconds since 1970. */
  time: number;
}

/** True for the folder of a run. */
export function isRun(folder: string): boolean {
  return [METADATA, RESULTS, EPISODES].some((file) => existsSync(join(folder, file)));
}

/** Reads what a run says of itself. */
export function openRun(folder: string): FoundRun {
  const [results, metadata, episodes] = [RESULTS, METADATA, EPISODES].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ];
  const times = [results, metadata, episodes].filter((path) => existsSync(path)).map((path) => statSync(path).mtimeMs);
  const text = existsSync(metadata) ? readFileSync(metadata, 'utf8') : undefined;
  return { folder, metadata: parseMetadata(text), time: Math.max(0, ...times) };
}

/** `outputs/evals/env--model/run` from the folder above `outputs`. */
const DEPTH = 6;

/** All runs in a folder and the folders in it, the newest last. */
export function findRuns(folder: string, depth = DEPTH): FoundRun[] {
  if (!existsSync(folder)) return [];
  if (isRun(folder)) return [openRun(folder)];
  if (depth === 0) return [];
  const inner = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && entry.name !== 'node_modules')
    .flatMap((entry) => findRuns(join(folder, entry.name), depth - 1));
  return inner.sort((a, b) => a.time - b.time);
}

/** The newest run of an environment with a model that could be gone on with. */
export function latestRun(outputs: string, env: string, model: string, rolloutsPerExample: number): string | undefined {
  return findRuns(join(outputs, runsFolder(env, model)), 1).findLast(
    ({ metadata }) =>
      metadata.env_id === env && metadata.model === model && metadata.rollouts_per_example === rolloutsPerExample,
  )?.folder;
}
