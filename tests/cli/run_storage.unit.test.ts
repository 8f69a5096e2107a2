/** @file A run's folder on disk: replaced files, locks of the living and of the dead, and a full disk. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type * as FileSystem from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it, vi } from 'vitest';
import { diskStorage, startOf } from '../../cli/run_storage';
import { InUseError, StorageFullError } from '../../src/model';
import type { FolderStorage } from '../../src/model';

const { disk } = vi.hoisted(() => ({ disk: { full: false } }));
vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof FileSystem>();
  const open = async (...args: Parameters<typeof fs.open>) => {
    const file = await fs.open(...args);
    if (disk.full) {
      file.writeFile = () => Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }));
    }
    return file;
  };
  return { ...fs, open };
});

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-storage-'));
afterAll(() => rmSync(scratch, { recursive: true }));

let number = 0;
let folder: string;
let storage: FolderStorage;
beforeEach(() => {
  folder = join(scratch, String(number++));
  storage = diskStorage('mine', folder);
  disk.full = false;
});

const bytes = (text: string) => new TextEncoder().encode(text);

it('writes, appends, cuts, lists and removes', async () => {
  expect(await storage.files()).toEqual([]);
  await storage.write('a/b.json', bytes('one'));
  await storage.write('a/b.json', bytes('two!'));
  await storage.append('log', bytes('12'));
  await storage.append('log', bytes('345'));
  await storage.truncate('log', 4);
  expect(await storage.files()).toEqual([
    { path: 'a/b.json', bytes: 4 },
    { path: 'log', bytes: 4 },
  ]);
  expect(new TextDecoder().decode(await storage.read('log'))).toBe('1234');
  expect(await storage.read('c')).toBeUndefined();
  await storage.remove('a');
  await storage.remove('a');
  expect(await storage.files()).toEqual([{ path: 'log', bytes: 4 }]);
  expect(await storage.freeBytes()).toBeGreaterThan(1e6);
});

it('on a full disk the old file stays, and the error says which', async () => {
  await storage.write('a', bytes('old'));
  disk.full = true;
  await expect(storage.write('a', bytes('new'))).rejects.toThrow(StorageFullError);
  await expect(storage.append('b', bytes('new'))).rejects.toThrow('mine: the disk is full; b could not be written');
  disk.full = false;
  expect(new TextDecoder().decode(await storage.read('a'))).toBe('old');
  expect(readdirSync(folder)).not.toContain('a.part');
});

it('is locked by one at a time, and free after', async () => {
  const unlock = await storage.lock();
  const other = diskStorage('mine', folder).lock();
  await expect(other).rejects.toThrow(InUseError);
  await expect(other).rejects.toThrow(`mine is being written to by process ${process.pid} on ${hostname()}`);
  expect(await storage.files()).toEqual([]); // the lock is none of the run's files
  await unlock();
  await (
    await storage.lock()
  )();
  expect(readdirSync(folder)).toEqual([]);
});

it("a living process's lock holds, a dead one's does not", async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  await once(child, 'spawn');
  const started = startOf(child.pid!);
  await (
    await storage.lock()
  )();
  writeFileSync(join(folder, '.lock'), JSON.stringify({ pid: child.pid, host: hostname(), started }));
  await expect(storage.lock()).rejects.toThrow(InUseError);
  child.kill('SIGKILL');
  await once(child, 'close');
  await (
    await storage.lock()
  )();
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});

it('a process that has got the number of a dead one is not taken for it', async () => {
  await (
    await storage.lock()
  )();
  writeFileSync(join(folder, '.lock'), JSON.stringify({ pid: process.pid, host: hostname(), started: 'long ago' }));
  await (
    await storage.lock()
  )();
});

it("of another machine's lock it says how to remove it", async () => {
  await (
    await storage.lock()
  )();
  writeFileSync(join(folder, '.lock'), JSON.stringify({ pid: 1, host: 'elsewhere', started: '' }));
  await expect(storage.lock()).rejects.toThrow(
    `mine is being written to by process 1 on elsewhere; if that one is gone, remove ${join(folder, '.lock')}`,
  );
});

it('of many who find a dead lock at once, one gets it', async () => {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  await (
    await storage.lock()
  )();
  writeFileSync(join(folder, '.lock'), JSON.stringify({ pid, host: hostname(), started: '1' }));
  const results = await Promise.allSettled(Array.from({ length: 2 }, () => diskStorage('mine', folder).lock()));
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
});

it('removes what a killed writer left half', async () => {
  await storage.write('a', bytes('old'));
  writeFileSync(join(folder, 'a.part'), 'ne');
  await (
    await storage.lock()
  )();
  expect(readdirSync(folder)).toEqual(['a']);
});
