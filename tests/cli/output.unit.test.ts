/** @file What a command leaves on disk, and what it never touches. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { OutputError, OutputFolder } from '../../cli/output';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-output-'));
afterAll(() => rmSync(scratch, { recursive: true }));

let number = 0;
/** A place of its own for every test. */
let place: string;
beforeEach(() => {
  place = join(scratch, String(number++));
  mkdirSync(place);
});

const FILES = new Map([
  ['config.json', new Uint8Array([1])],
  ['model.safetensors', new Uint8Array([2])],
]);

it.each(['new', 'new/', 'deep/er/new', './new/../other'])('writes %s, which is not there yet', (name) => {
  const path = `${place}/${name}`;
  const output = OutputFolder.take(path);
  output.write(FILES);
  output.release();
  expect(readdirSync(resolve(path)).sort()).toEqual(['config.json', 'model.safetensors']);
  expect([...readFileSync(resolve(path, 'model.safetensors'))]).toEqual([2]);
});

it('writes into an empty folder, the current one included', () => {
  const before = process.cwd();
  process.chdir(place);
  try {
    const output = OutputFolder.take('.');
    output.write(FILES);
    output.release();
  } finally {
    process.chdir(before);
  }
  expect(readdirSync(place).sort()).toEqual(['config.json', 'model.safetensors']);
});

it('refuses a folder that holds anything, and leaves it as it is', () => {
  mkdirSync(join(place, 'monday'));
  writeFileSync(join(place, 'monday/model.safetensors'), 'precious');
  for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(place, name), '');
  expect(() => OutputFolder.take(place)).toThrow(
    `${place} is not empty: it holds a, b, c and 2 more; choose another folder`,
  );
  expect(readFileSync(join(place, 'monday/model.safetensors'), 'utf8')).toBe('precious');
  expect(readdirSync(place)).toHaveLength(5);
});

it('replaces the files it was told to, and refuses what else is there', () => {
  writeFileSync(join(place, 'config.json'), 'old');
  const output = OutputFolder.take(place, { replaces: [...FILES.keys()] });
  output.write(FILES);
  expect([...readFileSync(join(place, 'config.json'))]).toEqual([1]);
  writeFileSync(join(place, 'notes.txt'), 'mine');
  expect(() => OutputFolder.take(place, { replaces: [...FILES.keys()] })).toThrow(OutputError);
  expect(readFileSync(join(place, 'notes.txt'), 'utf8')).toBe('mine');
});

it('finds out at once that it cannot write there', () => {
  const file = join(place, 'file');
  writeFileSync(file, 'mine');
  expect(() => OutputFolder.take(file)).toThrow(OutputError);
  expect(() => OutputFolder.take(join(file, 'below'))).toThrow(`cannot write to ${join(file, 'below')}: `);
  expect(readFileSync(file, 'utf8')).toBe('mine');
});

it('is taken by one at a time', () => {
  const output = OutputFolder.take(join(place, 'shared'));
  expect(() => OutputFolder.take(join(place, 'shared'))).toThrow('is not empty');
  output.release();
  OutputFolder.take(join(place, 'shared')).release();
});

it('unused, it leaves nothing behind, and keeps what was there', () => {
  OutputFolder.take(join(place, 'deep/er/new')).release();
  expect(readdirSync(place)).toEqual([]);
  OutputFolder.take(place).release();
  expect(existsSync(place)).toBe(true);
});

it('says where the files are when they cannot be moved into place', () => {
  const path = join(place, 'out');
  const output = OutputFolder.take(path);
  mkdirSync(join(path, 'model.safetensors/in-the-way'), { recursive: true });
  expect(() => output.write(FILES)).toThrow(/cannot write to .*; what could be written lies in .*\.part-\d+$/);
  output.release();
  const [part] = readdirSync(path).filter((name) => name.startsWith('.part-'));
  expect([...readFileSync(join(path, part!, 'config.json'))]).toEqual([1]);
});
