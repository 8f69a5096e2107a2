/** @file Folders and files that models are read from: in memory, dropped on a page, on disk. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { diskFile, diskFolder } from '../../cli/files';
import { CheckpointError, blobFile, bytesFile, droppedFolder, openFile, readJson } from '../../src/model';
import type { ByteFile } from '../../src/model';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-files-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const BYTES = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) & 255);
const path = join(scratch, 'file');
writeFileSync(path, BYTES);

it.each<[string, () => Promise<ByteFile | undefined>]>([
  ['memory', () => Promise.resolve(bytesFile(BYTES))],
  ['a blob', () => Promise.resolve(blobFile(new Blob([BYTES])))],
  ['disk', () => diskFile(path)],
])('a file in %s gives the bytes that are asked for, and an error where there are none', async (_, open) => {
  const file = (await open())!;
  expect(file.size).toBe(1000);
  expect(await file.read(0, 1000)).toEqual(BYTES);
  expect(await file.read(13, 13)).toEqual(new Uint8Array());
  const into = new Uint8Array(500).fill(9);
  expect(await file.read(990, 1000, into)).toEqual(BYTES.slice(990));
  const piece = await file.read(0, 10);
  piece.fill(0);
  expect(await file.read(0, 10)).toEqual(BYTES.slice(0, 10)); // what was read is the reader's own
  await expect(file.read(990, 1001)).rejects.toThrow(RangeError);
});

it('a file on disk that was cut says where it ends', async () => {
  const cut = join(scratch, 'cut');
  writeFileSync(cut, BYTES);
  const file = (await diskFile(cut))!;
  truncateSync(cut, 300);
  await expect(file.read(200, 400)).rejects.toThrow(`${cut} ends at byte 300, before byte 400`);
  expect(await diskFile(join(scratch, 'none'))).toBeUndefined();
  expect(await openFile(diskFolder(scratch), 'none')).toBeUndefined();
  expect((await openFile(diskFolder(scratch), 'file'))!.size).toBe(1000);
});

/** A file as a page has it of a dropped folder. */
function dropped(name: string, text: string): File {
  const file = new File([text], name.split('/').at(-1)!);
  Object.defineProperty(file, 'webkitRelativePath', { value: name.includes('/') ? name : '' });
  return file;
}

it('a dropped folder is read by names, without what lies in folders inside it', async () => {
  const folder = droppedFolder([
    dropped('SmolLM2/config.json', '{"a": 1}'),
    dropped('SmolLM2/model.safetensors', 'weights'),
    dropped('SmolLM2/onnx/config.json', '{"a": 2}'),
  ]);
  expect(folder.name).toBe('SmolLM2');
  expect(await readJson(folder, 'config.json')).toEqual({ a: 1 });
  expect((await folder.open!('model.safetensors'))!.size).toBe(7);
  expect(await folder.read('tokenizer.json')).toBeUndefined();
  expect(await folder.open!('tokenizer.json')).toBeUndefined();
  await expect(readJson(folder, 'tokenizer.json')).rejects.toThrow('SmolLM2: tokenizer.json is missing');
});

it('files that were dropped without a folder are one', async () => {
  const folder = droppedFolder([dropped('config.json', '{}'), dropped('model.safetensors', 'x')]);
  expect(folder.name).toBe('dropped files');
  expect(await folder.read('config.json')).toEqual(new TextEncoder().encode('{}'));
});

it.each<[string, File[], string]>([
  ['nothing', [], 'there are no files in what was dropped'],
  ['two folders', [dropped('a/config.json', ''), dropped('b/config.json', '')], 'drop one folder, not 2: a, b'],
])('refused: %s', (_, files, message) => {
  expect(() => droppedFolder(files)).toThrow(CheckpointError);
  expect(() => droppedFolder(files)).toThrow(message);
});
