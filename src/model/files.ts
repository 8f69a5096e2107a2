/**
 * @file Folders that models are read from. Where a folder lies (disk, URL, dropped files, a cache, a zip) is the caller's
 * business; small files are read whole, weights piece by piece.
 */
import { CheckpointError } from './errors';

/** A folder of files, read by name. */
export interface FileSource {
  /** Where it is, for messages. */
  name: string;
  /** The file's bytes, or undefined when there is no such file. */
  read(file: string): Promise<Uint8Array | undefined>;
  /** The file to be read in pieces, or undefined when there is no such file. Without this files are read whole. */
  open?(file: string): Promise<ByteFile | undefined>;
}

/** A file of known size whose bytes are read where they are needed. */
export interface ByteFile {
  /** In bytes. */
  readonly size: number;
  /**
   * The bytes from `begin` to `end` (exclusive), all of them.
   * @param into memory of at least that size which may be used for them; what it held is gone
   * @throws when there are fewer
   */
  read(begin: number, end: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** Bytes in memory as a file. */
export function bytesFile(bytes: Uint8Array): ByteFile {
  return {
    size: bytes.byteLength,
    read: (begin, end, into) => {
      if (end > bytes.byteLength)
        return Promise.reject(new RangeError(`bytes ${begin} to ${end} of ${bytes.byteLength}`));
      const piece = bytes.subarray(begin, end);
      const target = into?.subarray(0, piece.byteLength) ?? new Uint8Array(piece.byteLength);
      target.set(piece);
      return Promise.resolve(target);
    },
  };
}

/** A browser's File or Blob, which the browser reads from disk in pieces. */
export function blobFile(blob: Blob): ByteFile {
  return {
    size: blob.size,
    read: async (begin, end) => {
      const bytes = new Uint8Array(await blob.slice(begin, end).arrayBuffer());
      if (bytes.byteLength !== end - begin) throw new RangeError(`bytes ${begin} to ${end} of ${blob.size}`);
      return bytes;
    },
  };
}

/** Opens a file of a folder in pieces where the folder can do that, and whole where it cannot. */
export async function openFile(folder: FileSource, file: string): Promise<ByteFile | undefined> {
  if (folder.open) return folder.open(file);
  const bytes = await folder.read(file);
  return bytes && bytesFile(bytes);
}

/**
 * A folder that was dropped on a page or chosen by `<input webkitdirectory>`. Files in folders inside it are left out:
 * a model's lie at the top.
 * @throws CheckpointError when there are no files, or not of one folder
 */
export function droppedFolder(files: Iterable<File>): FileSource {
  const top = new Map<string, File>();
  const names = new Set<string>();
  for (const file of files) {
    // `folder/file`; a file that was dropped without a folder has no path.
    const path = file.webkitRelativePath || file.name;
    const parts = path.split('/');
    names.add(parts.length > 1 ? parts[0]! : 'dropped files');
    if (parts.length <= 2) top.set(file.name, file);
  }
  if (top.size === 0) throw new CheckpointError('there are no files in what was dropped');
  if (names.size > 1) throw new CheckpointError(`drop one folder, not ${names.size}: ${[...names].join(', ')}`);
  return {
    name: [...names][0]!,
    read: async (file) => {
      const found = top.get(file);
      return found && new Uint8Array(await found.arrayBuffer());
    },
    open: (file) => {
      const found = top.get(file);
      return Promise.resolve(found && blobFile(found));
    },
  };
}

/**
 * Reads and parses a JSON file of a folder.
 * @throws CheckpointError when it is missing or not JSON
 */
export async function readJson(folder: FileSource, file: string): Promise<unknown> {
  const bytes = await folder.read(file);
  if (!bytes) throw new CheckpointError(`${folder.name}: ${file} is missing`);
  return parseJson(bytes, `${folder.name}/${file}`);
}

/**
 * Parses the bytes of a JSON file.
 * @param source the file's name, for messages
 * @throws CheckpointError when they are not JSON in UTF-8
 */
export function parseJson(bytes: Uint8Array, source: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch (error) {
    throw new CheckpointError(`${source} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A JSON file's bytes, indented as Hugging Face writes them. */
export function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}
