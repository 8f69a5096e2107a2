/** @file Results on disk: a folder per run, laid out as verifiers does it, `outputs/evals/{env}--{model}/{8 hex}/`. */
import { randomBytes } from 'node:crypto';
import { closeSync, createReadStream, existsSync, fdatasyncSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { readFileSync, readdirSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { decodeText, parseMetadata, runsFolder, splitLines } from '../src/envs';
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
    append: (lines) => settle(() => writeFile(results, 'a', lines)),
    replace: (lines) => settle(() => replaceFile(results, lines)),
    readMetadata: () => settle(() => (existsSync(metadata) ? readFileSync(metadata, 'utf8') : undefined)),
    writeMetadata: (text) => settle(() => replaceFile(metadata, [text.trimEnd()])),
  };
}

/** Writing is short and its order matters: it is done at once. */
function settle<T>(task: () => T): Promise<T> {
  return new Promise((resolve) => resolve(task()));
}

/** Writes lines so that they survive the process and the machine. */
function writeFile(path: string, flag: 'a' | 'w', lines: readonly string[]): void {
  mkdirSync(join(path, '..'), { recursive: true });
  const file = openSync(path, flag);
  try {
    for (let i = 0; i < lines.length; i += 1000) {
      const bytes = Buffer.from(
        lines
          .slice(i, i + 1000)
          .map((line) => `${line}\n`)
          .join(''),
      );
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    }
    if (flag === 'a') fdatasyncSync(file);
    else fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Writes beside its place first, then moves: the old file is there until the new one is whole. */
function replaceFile(path: string, lines: readonly string[]): void {
  const temporary = `${path}.${process.pid}.part`;
  writeFile(temporary, 'w', lines);
  renameSync(temporary, path);
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
