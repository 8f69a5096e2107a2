/**
 * @file A .zip as a folder that models are read from. Files that were stored as they are (weights, in our own exports) are
 * read where they lie, piece by piece; compressed ones are unpacked when they are asked for.
 *
 * Format: PKWARE's APPNOTE.TXT, sections 4.3 and 4.4. No ZIP64, whose files are larger than 4 GB; no encryption.
 */
import { CheckpointError, blobFile, bytesFile } from '../../../src/model';
import type { ByteFile, FileSource } from '../../../src/model';

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const END_BYTES = 22;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
/** Longest comment behind the end. */
const COMMENT_BYTES = 0xffff;

const STORED = 0;
const DEFLATED = 8;

interface Entry {
  path: string;
  method: number;
  packed: number;
  size: number;
  /** Of its local header. */
  at: number;
}

/**
 * Reads the directory of a .zip. Only files of one folder count, or those at the top.
 * @param name of the file, for messages
 * @throws CheckpointError when it is no .zip, or holds several folders
 */
export async function zipFolder(zip: Blob, name: string): Promise<{ folder: FileSource; files: string[] }> {
  const entries = new Map<string, Entry>();
  const folders = new Set<string>();
  for (const entry of await readDirectory(zip, name)) {
    const parts = entry.path.split('/');
    const file = parts.pop()!;
    if (file === '' || parts.length > 1) continue;
    folders.add(parts[0] ?? '');
    entries.set(file, entry);
  }
  if (entries.size === 0) throw new CheckpointError(`${name}: there are no files of a model in it`);
  if (folders.size > 1) throw new CheckpointError(`${name}: it holds ${folders.size} folders, a model is one`);
  const [top = ''] = folders;
  const open = async (file: string) => {
    const entry = entries.get(file);
    return entry && openEntry(zip, entry, name);
  };
  const folder: FileSource = {
    name: top === '' ? name.replace(/\.zip$/i, '') : top,
    read: async (file) => {
      const opened = await open(file);
      return opened?.read(0, opened.size);
    },
    open,
  };
  return { folder, files: [...entries.keys()] };
}

async function view(zip: Blob, begin: number, end: number): Promise<DataView> {
  return new DataView(await zip.slice(begin, end).arrayBuffer());
}

async function readDirectory(zip: Blob, name: string): Promise<Entry[]> {
  const broken = () => new CheckpointError(`${name} is not a .zip that can be read`);
  const tailAt = Math.max(0, zip.size - END_BYTES - COMMENT_BYTES);
  const tail = await view(zip, tailAt, zip.size);
  let end = tail.byteLength - END_BYTES;
  while (end >= 0 && tail.getUint32(end, true) !== END) end--;
  if (end < 0) throw broken();
  const count = tail.getUint16(end + 10, true);
  const bytes = tail.getUint32(end + 12, true);
  const begin = tail.getUint32(end + 16, true);
  if (count === 0xffff || begin === 0xffffffff) {
    throw new CheckpointError(`${name} is a ZIP64 file, which is not read here: unpack it and choose the folder`);
  }
  const directory = await view(zip, begin, begin + bytes);
  const entries: Entry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + ENTRY_BYTES > directory.byteLength || directory.getUint32(at, true) !== ENTRY) throw broken();
    const nameBytes = directory.getUint16(at + 28, true);
    const path = new TextDecoder().decode(new Uint8Array(directory.buffer, at + ENTRY_BYTES, nameBytes));
    if (directory.getUint16(at + 8, true) & 1) throw new CheckpointError(`${name}: ${path} is encrypted`);
    entries.push({
      path,
      method: directory.getUint16(at + 10, true),
      packed: directory.getUint32(at + 20, true),
      size: directory.getUint32(at + 24, true),
      at: directory.getUint32(at + 42, true),
    });
    at += ENTRY_BYTES + nameBytes + directory.getUint16(at + 30, true) + directory.getUint16(at + 32, true);
  }
  return entries;
}

async function openEntry(zip: Blob, { path, method, packed, size, at }: Entry, name: string): Promise<ByteFile> {
  const local = await view(zip, at, at + LOCAL_BYTES);
  const cut = () => new CheckpointError(`${name}: ${path} is cut or damaged`);
  if (local.byteLength < LOCAL_BYTES || local.getUint32(0, true) !== LOCAL) throw cut();
  const begin = at + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true);
  const content = zip.slice(begin, begin + packed);
  if (content.size !== packed) throw cut();
  if (method === STORED) return blobFile(content);
  if (method !== DEFLATED) throw new CheckpointError(`${name}: ${path} is packed by method ${method}, not deflate`);
  const unpacked = content.stream().pipeThrough(new DecompressionStream('deflate-raw'));
  const bytes = await new Response(unpacked).arrayBuffer().catch((error: unknown) => {
    throw new CheckpointError(`${name}: ${path} is damaged`, { cause: error });
  });
  if (bytes.byteLength !== size) throw cut();
  return bytesFile(new Uint8Array(bytes));
}
