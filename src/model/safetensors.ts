/**
 * @file The safetensors format (github.com/huggingface/safetensors): an 8-byte little-endian header length, a JSON
 * header of names, types, shapes and byte ranges, then the bytes. Sizes are checked before use.
 */
import { CheckpointError } from './errors';
import type { ByteFile } from './files';

export type SafetensorsDType = 'F32' | 'F16' | 'BF16' | 'I32';

export interface SafetensorsEntry {
  dtype: SafetensorsDType;
  shape: number[];
  /** Byte range in the data. */
  begin: number;
  end: number;
}

/** What a file says of itself, without its data. */
export interface SafetensorsHeader {
  /** Name of the file, for messages. */
  source: string;
  entries: Map<string, SafetensorsEntry>;
  metadata: Record<string, string>;
  /** Where the data begins in the file. */
  dataBegin: number;
}

/** A file that was read whole. */
export interface SafetensorsFile extends SafetensorsHeader {
  /** Everything after the header. */
  data: Uint8Array;
}

/** Bytes of an element. */
export const DTYPE_BYTES: Readonly<Record<SafetensorsDType, number>> = { F32: 4, F16: 2, BF16: 2, I32: 4 };

/** The format's own limit on the header. */
const MAX_HEADER = 100_000_000;

/** Bytes before the header: its length. */
const PREFIX = 8;

/**
 * Reads the header of a safetensors file, and nothing else of it, and checks that it describes the file's bytes: known
 * types, sizes that match shapes, ranges that lie inside the file, in order, without gaps or overlaps.
 * @param source the file's name, for messages
 * @throws CheckpointError naming the file and the tensor
 */
export async function parseSafetensorsHeader(file: ByteFile, source: string): Promise<SafetensorsHeader> {
  const prefix = await file.read(0, Math.min(PREFIX, file.size));
  const length = headerLength(prefix, file.size, source);
  return parseHeader(await file.read(PREFIX, PREFIX + length), file.size, source);
}

/**
 * Parses a safetensors file that was read whole, with the checks of `parseSafetensorsHeader`.
 * @throws CheckpointError naming the file and the tensor
 */
export function parseSafetensors(bytes: Uint8Array, source: string): SafetensorsFile {
  const length = headerLength(bytes, bytes.byteLength, source);
  const header = parseHeader(bytes.subarray(PREFIX, PREFIX + length), bytes.byteLength, source);
  return { ...header, data: bytes.subarray(header.dataBegin) };
}

function headerLength(prefix: Uint8Array, fileSize: number, source: string): number {
  if (prefix.byteLength < PREFIX) {
    throw new CheckpointError(`${source}: ${fileSize} bytes are too few for a safetensors file`);
  }
  const length = Number(new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER || length > fileSize - PREFIX) {
    throw new CheckpointError(
      `${source}: the header claims ${length} bytes, the file has ${fileSize}: truncated, or not safetensors`,
    );
  }
  return length;
}

function parseHeader(json: Uint8Array, fileSize: number, source: string): SafetensorsHeader {
  const fail = (message: string): never => {
    throw new CheckpointError(`${source}: ${message}`);
  };
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (error) {
    fail(`the header is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) fail('the header is not a JSON object');

  const dataBegin = PREFIX + json.byteLength;
  const available = fileSize - dataBegin;
  const entries = new Map<string, SafetensorsEntry>();
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header as Record<string, unknown>)) {
    if (name === '__metadata__') {
      for (const [key, text] of Object.entries(value ?? {})) if (typeof text === 'string') metadata[key] = text;
      continue;
    }
    entries.set(name, parseEntry(name, value, available, fail));
  }
  let position = 0;
  for (const [name, { begin, end }] of [...entries].sort((a, b) => a[1].begin - b[1].begin)) {
    if (begin !== position) fail(`tensor ${name} begins at byte ${begin}, expected ${position}: overlap or gap`);
    position = end;
  }
  if (position !== available) fail(`tensors end at byte ${position} of ${available}`);
  return { source, entries, metadata, dataBegin };
}

function parseEntry(
  name: string,
  value: unknown,
  available: number,
  fail: (message: string) => never,
): SafetensorsEntry {
  if (typeof value !== 'object' || value === null) fail(`tensor ${name}: the header entry is not an object`);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    fail(`tensor ${name} has type ${JSON.stringify(dtype)}; supported are ${Object.keys(DTYPE_BYTES).join(', ')}`);
  }
  const sizes = isCountList(shape) ? shape : fail(`tensor ${name}: shape ${JSON.stringify(shape)}`);
  const range = isCountList(offsets) ? offsets : fail(`tensor ${name}: data_offsets ${JSON.stringify(offsets)}`);
  const [begin, end] = range as [number, number];
  if (range.length !== 2 || begin > end || end > available) {
    fail(`tensor ${name}: bytes ${begin} to ${end} of ${available} (truncated file?)`);
  }
  const wanted = sizes.reduce((product, size) => product * size, DTYPE_BYTES[dtype as SafetensorsDType]);
  if (end - begin !== wanted) {
    fail(`tensor ${name} ${dtype} [${sizes.join(', ')}] needs ${wanted} bytes, has ${end - begin}`);
  }
  return { dtype: dtype as SafetensorsDType, shape: sizes, begin, end };
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
}

/** @throws CheckpointError when the tensor is missing */
export function entryOf(file: SafetensorsHeader, name: string): SafetensorsEntry {
  const entry = file.entries.get(name);
  if (!entry) throw new CheckpointError(`${file.source}: tensor ${name} is missing`);
  return entry;
}

/**
 * A tensor's values as float32; BF16 and F16 widen exactly.
 * @throws CheckpointError when the tensor is missing
 */
export function readFloats(file: SafetensorsFile, name: string): Float32Array<ArrayBuffer> {
  const { dtype, begin, end } = entryOf(file, name);
  return toFloats(file.data.slice(begin, end), dtype); // a copy: the file's own bytes need not be aligned
}

/**
 * Elements as float32; BF16 and F16 widen exactly. F32 is a view of the same memory.
 * @param bytes beginning at a multiple of 4 in its buffer
 */
export function toFloats(bytes: Uint8Array<ArrayBuffer>, dtype: SafetensorsDType): Float32Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case 'I32':
      return Float32Array.from(new Int32Array(buffer, byteOffset, byteLength / 4));
    case 'BF16': {
      const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
      const bits = new Uint32Array(halves.length);
      for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
      return new Float32Array(bits.buffer);
    }
    case 'F16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), halfToFloat);
  }
}

/** IEEE 754 binary16 to a number, exactly. */
export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/**
 * The beginning of a safetensors file, up to its data, for tensors that follow in the order given.
 * @returns a multiple of 8 bytes: the data starts aligned, as upstream writes it
 */
export function formatSafetensorsHeader(
  tensors: Iterable<readonly [name: string, { dtype: SafetensorsDType; shape: readonly number[] }]>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...metadata } };
  let position = 0;
  for (const [name, { dtype, shape }] of tensors) {
    const begin = position;
    position += shape.reduce((product, size) => product * size, DTYPE_BYTES[dtype]);
    header[name] = { dtype, shape, data_offsets: [begin, position] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(PREFIX + Math.ceil(json.byteLength / 8) * 8).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.byteLength - PREFIX), true);
  bytes.set(json, PREFIX);
  return bytes;
}

/** Serialises float32 tensors, in the order given. */
export function formatSafetensors(
  tensors: ReadonlyMap<string, { shape: readonly number[]; values: Float32Array }>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  const entries = [...tensors].map(([name, { shape }]) => [name, { dtype: 'F32', shape }] as const);
  const header = formatSafetensorsHeader(entries, metadata);
  const size = [...tensors.values()].reduce((sum, { values }) => sum + values.byteLength, header.byteLength);
  const bytes = new Uint8Array(size);
  bytes.set(header);
  let position = header.byteLength;
  for (const { values } of tensors.values()) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), position);
    position += values.byteLength;
  }
  return bytes;
}
