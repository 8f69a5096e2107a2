/**
 * @file How weights lie in memory: the conversions between the types of a safetensors file and those that the GPU keeps.
 * Widening is exact. What would lose bits is an error, except for q8, which rounds by design.
 */
import { Q8_BLOCK, Q8_BLOCK_BYTES, bytesOf } from '../kernels';
import type { DType } from '../kernels';
import { halfToFloat } from './safetensors';

/** Types that the matrices of a model can be kept in. */
export const STORAGES = ['f32', 'bf16', 'f16', 'q8'] as const;
export type Storage = (typeof STORAGES)[number];

/** Types that weights come in. */
export type WeightType = 'F32' | 'F16' | 'BF16';

/** Bytes of an element in a file. */
export const WEIGHT_BYTES: Record<WeightType, number> = { F32: 4, F16: 2, BF16: 2 };

/** The file type that holds what is kept so, bit for bit; what is kept in q8 is written as F32. */
export const FILE_TYPE: Record<Storage, WeightType> = { f32: 'F32', bf16: 'BF16', f16: 'F16', q8: 'F32' };

/** A value that cannot be kept. */
export class StorageError extends Error {
  override name = 'StorageError';
}

/** Elements that are converted at once: whole blocks of q8, and little memory beside the result. */
const CHUNK = 2 ** 14;

/**
 * Turns elements of a file into those of the memory.
 * @param bytes elements of type `from`, little-endian
 * @param into memory for the result: large models are converted piece by piece, and garbage would add up
 * @returns whole 32-bit words; the bytes given where nothing has to change
 * @throws StorageError for a value that is not finite, or has no equal of the type `to`
 */
export function convert(
  bytes: Uint8Array,
  from: WeightType,
  to: DType,
  into?: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  checkFinite(bytes, from);
  if (from.toLowerCase() === to) return bytes.byteLength % 4 === 0 ? ownBuffer(bytes) : padded(bytes);
  const count = bytes.byteLength / WEIGHT_BYTES[from];
  const size = bytesOf(count, to);
  const result = into && into.byteLength >= size ? into.subarray(0, size) : new Uint8Array(size);
  const scratch = new Float32Array(Math.min(CHUNK, count));
  for (let first = 0; first < count; first += CHUNK) {
    const end = Math.min(first + CHUNK, count);
    const values = scratch.subarray(0, end - first);
    toFloat32(bytes.subarray(first * WEIGHT_BYTES[from], end * WEIGHT_BYTES[from]), from, values);
    const begin = bytesOf(first, to);
    const part = result.subarray(begin, begin + bytesOf(end - first, to));
    if (to === 'f32') part.set(new Uint8Array(values.buffer, 0, values.byteLength));
    else if (to === 'q8') quantize(values, part);
    else narrow(values, to === 'bf16' ? 'bf16' : 'f16', first, part);
  }
  return result;
}

/**
 * Elements of a file as float32.
 * @throws StorageError for a value that is not finite
 */
export function widen(bytes: Uint8Array, from: WeightType): Float32Array<ArrayBuffer> {
  checkFinite(bytes, from);
  const values = new Float32Array(bytes.byteLength / WEIGHT_BYTES[from]);
  toFloat32(bytes, from, values);
  return values;
}

function toFloat32(bytes: Uint8Array, from: WeightType, into: Float32Array<ArrayBuffer>): void {
  const words = new Uint32Array(into.buffer, into.byteOffset, into.length);
  if (from === 'F32') {
    new Uint8Array(words.buffer, words.byteOffset, words.byteLength).set(bytes);
    return;
  }
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice();
  const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, into.length);
  if (from === 'F16') for (let i = 0; i < halves.length; i++) into[i] = halfToFloat(halves[i]!);
  else for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
}

/**
 * @param first place of the first value, for the message
 * @throws StorageError where a value has no equal
 */
function narrow(values: Float32Array, to: 'bf16' | 'f16', first: number, into: Uint8Array<ArrayBuffer>): void {
  const halves = new Uint16Array(into.buffer, into.byteOffset, into.byteLength / 2);
  halves.fill(0, values.length); // what fills the last word
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < values.length; i++) {
    const half = to === 'bf16' ? bits[i]! >>> 16 : floatToHalf(values[i]!);
    const back = to === 'bf16' ? (bits[i]! & 0xffff) === 0 : halfToFloat(half) === values[i];
    if (!back) throw new StorageError(`${values[i]} at ${first + i} has no equal in ${to}`);
    halves[i] = half;
  }
}

/** Bytes as the memory has them, as float32: the inverse of `convert`, up to q8's rounding. */
export function unpack(bytes: Uint8Array<ArrayBuffer>, from: DType, length: number): Float32Array<ArrayBuffer> {
  if (from === 'f32') return new Float32Array(bytes.slice(0, length * 4).buffer);
  if (from !== 'q8') return widen(bytes.subarray(0, length * 2), from === 'bf16' ? 'BF16' : 'F16');
  const values = new Float32Array(length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < length; i++) {
    const at = Math.floor(i / Q8_BLOCK) * Q8_BLOCK_BYTES;
    values[i] = view.getFloat32(at, true) * view.getInt8(at + 4 + (i % Q8_BLOCK));
  }
  return values;
}

/** Exponent bits, which are all set in NaN and infinity. */
const EXPONENT: Record<WeightType, number> = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 };

function checkFinite(bytes: Uint8Array, type: WeightType): void {
  const exponent = EXPONENT[type];
  const aligned = bytes.byteOffset % WEIGHT_BYTES[type] === 0 ? bytes : bytes.slice();
  const count = bytes.byteLength / WEIGHT_BYTES[type];
  const words =
    type === 'F32'
      ? new Uint32Array(aligned.buffer, aligned.byteOffset, count)
      : new Uint16Array(aligned.buffer, aligned.byteOffset, count);
  for (let i = 0; i < count; i++) {
    if ((words[i]! & exponent) === exponent) throw new StorageError(`not a finite number at ${i}`);
  }
}

/**
 * Blocks of 32: a scale of largest magnitude / 127, then whole numbers (round half away from zero), as in ggml's Q8_0 but
 * with a scale of 32 bits.
 */
function quantize(values: Float32Array, into: Uint8Array): void {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  into.fill(0);
  for (let block = 0; block * Q8_BLOCK < values.length; block++) {
    const part = values.subarray(block * Q8_BLOCK, (block + 1) * Q8_BLOCK);
    let largest = 0;
    for (const value of part) largest = Math.max(largest, Math.abs(value));
    const scale = Math.fround(largest / 127);
    view.setFloat32(block * Q8_BLOCK_BYTES, scale, true);
    if (scale === 0) continue;
    for (let i = 0; i < part.length; i++) {
      const level = Math.sign(part[i]!) * Math.floor(Math.abs(part[i]!) / scale + 0.5);
      view.setInt8(block * Q8_BLOCK_BYTES + 4 + i, Math.max(-127, Math.min(127, level)));
    }
  }
}

const bitView = new DataView(new ArrayBuffer(4));

/** A number to the nearest IEEE 754 binary16, ties to even. */
export function floatToHalf(value: number): number {
  bitView.setFloat32(0, value);
  const bits = bitView.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24); // subnormal, or the smallest normal number
  const exponent = Math.floor(Math.log2(magnitude));
  const fraction = roundToEven((magnitude / 2 ** exponent - 1) * 1024);
  return sign | (((exponent + 15) << 10) + fraction);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

function padded(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const words = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  words.set(bytes);
  return words;
}

function ownBuffer(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : bytes.slice();
}
