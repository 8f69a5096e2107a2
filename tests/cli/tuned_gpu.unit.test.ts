import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { diskCache, tunerBudget } from '../../cli/tuned_gpu';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'kernels-'))));
afterEach(() => rmSync(folder, { recursive: true }));

it('keeps choices in one file per name, whatever characters an adapter’s name has', async () => {
  const cache = diskCache(join(folder, 'not/yet/there'));
  const name = 'matmul GPU (rev/2) 1a';
  expect(await cache.read(name)).toBeUndefined();
  await cache.write(name, 'one');
  await cache.write(name, 'two');
  await cache.write('matmul another', 'three');
  expect(await cache.read(name)).toBe('two');
  expect(readdirSync(join(folder, 'not/yet/there')).sort()).toEqual([
    'matmul-GPU-rev-2-1a.json',
    'matmul-another.json',
  ]);
});

it('fails to write where the folder is a file', async () => {
  writeFileSync(join(folder, 'file'), '');
  await expect(diskCache(join(folder, 'file')).write('name', 'text')).rejects.toThrow(/EEXIST|ENOTDIR/);
});

it('takes a number of milliseconds, 0 included, and names what is none', () => {
  expect(tunerBudget(undefined)).toBeUndefined();
  expect(tunerBudget('')).toBeUndefined();
  expect(tunerBudget('0')).toBe(0);
  expect(tunerBudget('1500')).toBe(1500);
  expect(() => tunerBudget('soon')).toThrow('TERRARIUM_TUNER_MS: soon is no number of milliseconds');
  expect(() => tunerBudget('-1')).toThrow('TERRARIUM_TUNER_MS: -1 is no number of milliseconds');
});
