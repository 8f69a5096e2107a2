/**
 * @file A run as one .zip: its files in a folder, and SHA256SUMS, which `sha256sum -c` reads as well. What is imported is
 * checked against it before anything is written.
 */
import { strToU8, unzipSync, zipSync } from 'fflate';
import type { Zippable } from 'fflate';
import { formatBytes } from '../../kernels';
import { StorageFullError, sha256 } from '../../model';
import { readAbout } from './about';
import { listCheckpoints, loadCheckpointOf } from './checkpoints';
import { ABOUT, belongsToRun, decodeText } from './layout';
import { MemoryStorage } from './memory';
import { DamagedRunError, RunFolderError } from './storage';
import type { RunStorage } from './storage';

const SUMS = 'SHA256SUMS';

/** Bytes that fit in one .zip here: it is made in memory. */
const ZIP_LIMIT = 2e9;

/** A file that is no run, or not a whole one. */
export class ImportError extends Error {
  override name = 'ImportError';
}

/**
 * @param id name of the folder in the .zip
 * @throws RunFolderError, also for a run that is too large for one file
 */
export async function exportRun(storage: RunStorage, id: string): Promise<Uint8Array<ArrayBuffer>> {
  await readAbout(storage);
  const files = (await storage.files()).filter(({ path }) => belongsToRun(path));
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  if (total > ZIP_LIMIT) {
    throw new RunFolderError(`${storage.name} has ${formatBytes(total)}, more than one .zip takes: copy the folder`);
  }
  const entries: Zippable = {};
  const sums: string[] = [];
  for (const { path } of files) {
    const bytes = await storage.read(path);
    if (!bytes) continue; // pruned meanwhile
    sums.push(`${await sha256(bytes)}  ${path}\n`);
    entries[`${id}/${path}`] = [bytes, { level: path.endsWith('.safetensors') ? 0 : 6 }];
  }
  entries[`${id}/${SUMS}`] = [strToU8(sums.join('')), { level: 6 }];
  return zipSync(entries);
}

/**
 * Reads a .zip of `exportRun`, and checks all of it.
 * @param name of the file, for messages
 * @returns the run in memory, and what it was called
 * @throws ImportError naming the entry and what is wrong with it
 */
export async function readArchive(
  bytes: Uint8Array<ArrayBuffer>,
  name: string,
): Promise<{ id: string; run: MemoryStorage }> {
  const entries = unpack(bytes, name);
  const folders = new Set([...entries.keys()].map((path) => path.split('/')[0]!));
  const [id] = folders;
  if (folders.size !== 1 || !entries.has(`${id!}/${ABOUT}`)) {
    throw new ImportError(`${name} is not an exported run: there is no folder with ${ABOUT} in it`);
  }
  const run = new MemoryStorage(name);
  for (const [path, content] of entries) await run.write(path.slice(id!.length + 1), content);
  await checkSums(run);
  await run.remove(SUMS);
  await readAbout(run);
  for (const checkpoint of await listCheckpoints(run)) {
    try {
      await loadCheckpointOf(run, checkpoint);
    } catch (error) {
      throw error instanceof DamagedRunError ? new ImportError(error.message) : error;
    }
  }
  return { id: id!, run };
}

/** Copies a run that was read into an empty place. */
export async function importRun(run: RunStorage, target: RunStorage): Promise<void> {
  const unlock = await target.lock();
  try {
    const files = await run.files();
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    const free = await target.freeBytes();
    if (free !== undefined && free < total) {
      throw new StorageFullError(`${target.name}: the run has ${formatBytes(total)} and ${formatBytes(free)} are free`);
    }
    const last = files.findIndex(({ path }) => path === ABOUT);
    const order = [...files.slice(0, last), ...files.slice(last + 1), files[last]!]; // run.json makes it a run
    for (const { path } of order) await target.write(path, (await run.read(path))!);
  } catch (error) {
    await target.remove('');
    throw error;
  } finally {
    await unlock();
  }
}

/** The files of a .zip by path, each of which may be in a run. */
function unpack(bytes: Uint8Array<ArrayBuffer>, name: string): Map<string, Uint8Array<ArrayBuffer>> {
  let total = 0;
  let entries: Record<string, Uint8Array<ArrayBuffer>>;
  try {
    entries = unzipSync(bytes, {
      filter: ({ name: path, originalSize }) => {
        if (path.endsWith('/')) return false;
        const inside = path.slice(path.indexOf('/') + 1);
        if (!path.includes('/') || !(inside === SUMS || belongsToRun(inside)) || !isSafe(path)) {
          throw new ImportError(`${name}: ${JSON.stringify(path)} is no file of a run`);
        }
        total += originalSize;
        if (total > ZIP_LIMIT) throw new ImportError(`${name} unpacks to more than ${formatBytes(ZIP_LIMIT)}`);
        return true;
      },
    });
  } catch (error) {
    if (error instanceof ImportError) throw error;
    throw new ImportError(`${name} is not a .zip that can be read: ${(error as Error).message}`);
  }
  return new Map(Object.entries(entries));
}

/** No way out of the folder that it is unpacked to. */
function isSafe(path: string): boolean {
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..') && /^[\w./ -]+$/.test(path);
}

async function checkSums(run: RunStorage): Promise<void> {
  const bytes = await run.read(SUMS);
  if (!bytes) throw new ImportError(`${run.name}: ${SUMS} is missing`);
  const sums = new Map(
    decodeText(bytes)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => [line.slice(66), line.slice(0, 64)] as const),
  );
  const present = (await run.files()).filter(({ path }) => path !== SUMS);
  for (const path of sums.keys()) {
    if (!present.some((file) => file.path === path)) throw new ImportError(`${run.name}: ${path} is missing`);
  }
  for (const { path } of present) {
    const sum = sums.get(path);
    if (sum === undefined) throw new ImportError(`${run.name}: ${path} is not in ${SUMS}`);
    if ((await sha256((await run.read(path))!)) !== sum) {
      throw new ImportError(`${run.name}: ${path} was changed: its SHA-256 is not that of ${SUMS}`);
    }
  }
}
