/**
 * @file Checkpoints of a run: each a Hugging Face model folder with the trainer's state beside it. A checkpoint counts once
 * its manifest (names, sizes, SHA-256), written last, is there; it is removed manifest first.
 */
import { formatBytes } from '../../kernels';
import { encodeJson, formatSafetensors, parseSafetensors, readFloats, sha256 } from '../../model';
import type { RunSnapshot, RunState } from '../snapshot';
import {
  CHECKPOINTS,
  MANIFEST,
  STATE_ARRAYS,
  STATE_JSON,
  checkpointName,
  decodeText,
  isPlainName,
  parseCheckpointName,
} from './layout';
import type { CheckpointName } from './layout';
import { DamagedRunError } from './storage';
import type { RunStorage } from './storage';

/** Files by name. */
export type Files = Map<string, Uint8Array<ArrayBuffer>>;

interface Manifest {
  files: Record<string, { bytes: number; sha256: string }>;
}

/** What is in a checkpoint beside the model. */
interface SavedState {
  step: number;
  /** Length of metrics.jsonl when it was made. */
  metrics_bytes: number;
  state: RunState;
}

export interface LoadedCheckpoint {
  name: string;
  snapshot: RunSnapshot;
  metricsBytes: number;
  /** All its files, the manifest included. */
  files: Files;
}

const folderOf = (name: string) => `${CHECKPOINTS}/${name}`;
const manifestOf = (name: string) => `${folderOf(name)}/${MANIFEST}`;

/** Names of all checkpoints, half-written ones included, the oldest first. */
export async function listCheckpoints(storage: RunStorage): Promise<string[]> {
  const names = new Set<string>();
  for (const { path } of await storage.files()) {
    const [folder, name] = path.split('/');
    if (folder === CHECKPOINTS && parseCheckpointName(name!)) names.add(name!);
  }
  const order = (name: string) => parseCheckpointName(name)!;
  return [...names].sort((a, b) => order(a).step - order(b).step || order(a).revision - order(b).revision);
}

/**
 * Writes a checkpoint beside those there are.
 * @param model the files of the model folder
 * @returns its name
 * @throws StorageFullError; what was written of it is removed
 */
export async function writeCheckpoint(
  storage: RunStorage,
  { step, arrays, state }: RunSnapshot,
  model: Files,
  metricsBytes: number,
): Promise<string> {
  const tensors = Object.entries(arrays).map(([name, values]) => [name, { shape: [values.length], values }] as const);
  const saved: SavedState = { step, metrics_bytes: metricsBytes, state };
  const files: Files = new Map(model);
  files.set(STATE_ARRAYS, formatSafetensors(new Map(tensors)));
  files.set(STATE_JSON, encodeJson(requireFinite(saved)));
  const name = checkpointName(await freeName(storage, step));
  try {
    await writeFiles(storage, name, files);
  } catch (error) {
    await removeCheckpoint(storage, name);
    throw error;
  }
  return name;
}

/** Writes all files and, last, the manifest. */
export async function writeFiles(storage: RunStorage, name: string, files: Files): Promise<void> {
  const manifest: Manifest = { files: {} };
  for (const [file, bytes] of files) {
    manifest.files[file] = { bytes: bytes.byteLength, sha256: await sha256(bytes) };
    await storage.write(`${folderOf(name)}/${file}`, bytes);
  }
  await storage.write(manifestOf(name), encodeJson(manifest));
}

async function freeName(storage: RunStorage, step: number): Promise<CheckpointName> {
  const taken = (await listCheckpoints(storage)).map((name) => parseCheckpointName(name)!);
  const revisions = taken.filter((each) => each.step === step).map(({ revision }) => revision);
  return { step, revision: Math.max(-1, ...revisions) + 1 };
}

/** JSON would write NaN as null, and nobody would notice before the resume. */
function requireFinite<T>(value: T): T {
  JSON.stringify(value, (key, each: unknown) => {
    if (typeof each === 'number' && !Number.isFinite(each))
      throw new RangeError(`the run's state holds ${key} = ${each}`);
    return each;
  });
  return value;
}

export async function removeCheckpoint(storage: RunStorage, name: string): Promise<void> {
  await storage.remove(manifestOf(name));
  await storage.remove(folderOf(name));
}

/**
 * Reads a checkpoint and holds every file against its manifest.
 * @throws DamagedRunError naming checkpoint and file, and what is wrong with it
 */
export async function loadCheckpointOf(storage: RunStorage, name: string): Promise<LoadedCheckpoint> {
  const fail = (message: string): never => {
    throw new DamagedRunError(`checkpoint ${name} of ${storage.name}: ${message}`);
  };
  const written = await storage.read(manifestOf(name));
  if (!written) return fail(`half-written: ${MANIFEST} is missing`);
  const manifest = parseManifest(written) ?? fail(`half-written: ${MANIFEST} is not whole`);
  const files: Files = new Map([[MANIFEST, written]]);
  for (const [file, { bytes: size, sha256: hash }] of Object.entries(manifest.files)) {
    const bytes = (await storage.read(`${folderOf(name)}/${file}`)) ?? fail(`${file} is missing`);
    if (bytes.byteLength !== size) fail(`${file} has ${formatBytes(bytes.byteLength)} of ${formatBytes(size)}`);
    if ((await sha256(bytes)) !== hash) fail(`${file} was changed: its SHA-256 is not that of the manifest`);
    files.set(file, bytes);
  }
  const arrays = files.get(STATE_ARRAYS) ?? fail(`the manifest does not list ${STATE_ARRAYS}`);
  const json = files.get(STATE_JSON) ?? fail(`the manifest does not list ${STATE_JSON}`);
  const { step, metrics_bytes: metricsBytes, state } = JSON.parse(decodeText(json)) as SavedState;
  if (step !== parseCheckpointName(name)!.step) fail(`it is of step ${step}`);
  const tensors = parseSafetensors(arrays, `${name}/${STATE_ARRAYS}`);
  const values = [...tensors.entries.keys()].map((key) => [key, readFloats(tensors, key)] as const);
  return { name, snapshot: { step, arrays: Object.fromEntries(values), state }, metricsBytes, files };
}

function parseManifest(bytes: Uint8Array): Manifest | undefined {
  try {
    const { files } = JSON.parse(decodeText(bytes)) as Manifest;
    const entries = Object.entries(files);
    const isWhole = entries.every(
      ([file, { bytes, sha256 }]) => isPlainName(file) && Number.isSafeInteger(bytes) && typeof sha256 === 'string',
    );
    return isWhole && entries.length > 0 ? { files } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The newest checkpoint that is whole, and what is wrong with those after it. Undefined where there is none at all.
 * @throws DamagedRunError when there are some and none is whole
 */
export async function lastGoodCheckpoint(
  storage: RunStorage,
): Promise<{ checkpoint: LoadedCheckpoint | undefined; bad: string[]; problems: string[] }> {
  const bad: string[] = [];
  const problems: string[] = [];
  let damaged = 0;
  for (const name of (await listCheckpoints(storage)).reverse()) {
    try {
      return { checkpoint: await loadCheckpointOf(storage, name), bad, problems };
    } catch (error) {
      if (!(error instanceof DamagedRunError)) throw error;
      if (await storage.read(manifestOf(name))) damaged++;
      bad.push(name);
      problems.push(error.message);
    }
  }
  // A first one that was never finished is no loss: the run has not come further than its start.
  if (damaged === 0) return { checkpoint: undefined, bad, problems };
  throw new DamagedRunError(`${storage.name} has no checkpoint that can be used:\n${problems.join('\n')}`);
}

/** Removes checkpoints but for the newest and, where asked for, the one of the best step. */
export async function pruneCheckpoints(
  storage: RunStorage,
  { keepLast, best }: { keepLast: number; best: number | undefined },
): Promise<void> {
  const names = await listCheckpoints(storage);
  const newestOf = (step: number | undefined) => names.findLast((name) => parseCheckpointName(name)!.step === step);
  const kept = new Set([...names.slice(-keepLast), newestOf(best)]);
  for (const name of names) if (!kept.has(name)) await removeCheckpoint(storage, name);
}
