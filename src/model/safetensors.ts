/**
 * @file The safetensors format (github.com/huggingface/safetensors): an 8-byte little-endian header length, a JSON
 * header of names, types, shapes and byte ranges, then the bytes. Read and written whole; sizes are checked before use.
 */
import { CheckpointError } from './errors';

export type SafetensorsDType = 'F32' | 'F16' | 'BF16' | 'I32';

export interface SafetensorsEntry {
  dtype: SafetensorsDType;
  shape: number[];
  /** Byte range in `data`. */
  begin: number;
  end: number;
}

export interface SafetensorsFile {
  /** Name of the file, for messages. */
  source: string;
  entries: Map<string, SafetensorsEntry>;
  metadata: Record<string, string>;
  /** Everything after the header. */
  data: Uint8Array;
}

const BYTES: Record<string, number> = { F32: 4, F16: 2, BF16: 2, I32: 4 };

/** The format's own limit on the header. */
const MAX_HEADER = 100_000_000;

/**
 * Parses a safetensors file and checks that its header describes its bytes: known types, sizes that match shapes,
 * ranges that lie inside the file, in order, without gaps or overlaps.
 * @throws CheckpointError naming the file and the tensor
 */
export function parseSafetensors(bytes: Uint8Array, source: string): SafetensorsFile {
  const fail = (message: string): never => {
    throw new CheckpointError(`${source}: ${message}`);
  };
  if (bytes.byteLength < 8) fail(`${bytes.byteLength} bytes are too few for a safetensors file`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = Number(view.getBigUint64(0, true));
  if (headerLength > MAX_HEADER || headerLength > bytes.byteLength - 8) {
    fail(`the header claims ${headerLength} bytes, the file has ${bytes.byteLength}: truncated, or not safetensors`);
  }
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + headerLength)));
  } catch (error) {
    fail(`the header is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) fail('the header is not a JSON object');

  const data = bytes.subarray(8 + headerLength);
  const entries = new Map<string, SafetensorsEntry>();
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header as Record<string, unknown>)) {
    if (name === '__metadata__') {
      for (const [key, text] of Object.entries(value ?? {})) if (typeof text === 'string') metadata[key] = text;
      continue;
    }
    entries.set(name, parseEntry(name, value, data.byteLength, fail));
  }
  let position = 0;
  for (const [name, { begin, end }] of [...entries].sort((a, b) => a[1].begin - b[1].begin)) {
    if (begin !== position) fail(`tensor ${name} begins at byte ${begin}, expected ${position}: overlap or gap`);
    position = end;
  }
  if (position !== data.byteLength) fail(`tensors end at byte ${position} of ${data.byteLength}`);
  return { source, entries, metadata, data };
}

function parseEntry(
  name: string,
  value: unknown,
  available: number,
  fail: (message: string) => never,
): SafetensorsEntry {
  if (typeof value !== 'object' || value === null) fail(`tensor ${name}: the header entry is not an object`);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== 'string' || !(dtype in BYTES)) {
    fail(`tensor ${name} has type ${JSON.stringify(dtype)}; supported are ${Object.keys(BYTES).join(', ')}`);
  }
  const sizes = isCountList(shape) ? shape : fail(`tensor ${name}: shape ${JSON.stringify(shape)}`);
  const range = isCountList(offsets) ? offsets : fail(`tensor ${name}: data_offsets ${JSON.stringify(offsets)}`);
  const [begin, end] = range as [number, number];
  if (range.length !== 2 || begin > end || end > available) {
    fail(`tensor ${name}: bytes ${begin} to ${end} of ${available} (truncated file?)`);
  }
  const wanted = sizes.reduce((product, size) => product * size, BYTES[dtype]!);
  if (end - begin !== wanted) {
    fail(`tensor ${name} ${dtype} [${sizes.join(', ')}] needs ${wanted} bytes, has ${end - begin}`);
  }
  return { dtype: dtype as SafetensorsDType, shape: sizes, begin, end };
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && (item as number) >= 0);
}

/** @throws CheckpointError when the tensor is missing */
export function entryOf(file: SafetensorsFile, name: string): SafetensorsEntry {
  const entry = file.entries.get(name);
  if (!entry) throw new CheckpointError(`${file.source}: tensor ${name} is missing`);
  return entry;
}

/**
 * A tensor's values as float32; BF16 and F16 widen exactly.
 * @throws CheckpointError when the tensor is missing
 */
export function readFloats(file: SafetensorsFile, name: string): Float32Array<ArrayBuffer> {
  const entry = entryOf(file, name);
  const bytes = file.data.slice(entry.begin, entry.end); // a copy: the file's own bytes need not be aligned
  switch (entry.dtype) {
    case 'F32':
      return new Float32Array(bytes.buffer);
    case 'I32':
      return Float32Array.from(new Int32Array(bytes.buffer));
    case 'BF16':
      return new Float32Array(Uint32Array.from(new Uint16Array(bytes.buffer), (half) => half << 16).buffer);
    case 'F16':
      return Float32Array.from(new Uint16Array(bytes.buffer), halfToFloat);
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

/** Serialises float32 tensors, in the order given. */
export function formatSafetensors(
  tensors: ReadonlyMap<string, { shape: readonly number[]; values: Float32Array }>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', ...metadata } };
  let position = 0;
  for (const [name, { shape, values }] of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [position, (position += values.byteLength)] };
  }
  let json = new TextEncoder().encode(JSON.stringify(header));
  const padding = (8 - (json.byteLength % 8)) % 8; // the data starts aligned, as upstream writes it
  json = new Uint8Array([...json, ...new Array<number>(padding).fill(0x20)]);
  const bytes = new Uint8Array(8 + json.byteLength + position);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  bytes.set(json, 8);
  position = 8 + json.byteLength;
  for (const { values } of tensors.values()) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), position);
    position += values.byteLength;
  }
  return bytes;
}
