/** @file Tells weights apart without reading all of them: any training changes every tensor. */
import { sha256 } from './checkpoint';
import { widen } from './storage';
import type { Weights } from './weights';

/** Elements of each tensor that are looked at. */
const ELEMENTS = 64;

/**
 * SHA-256 of the first elements of every tensor, as float32: the same for F32, BF16 and F16 of one checkpoint. Another model
 * of the same shape has another one; a file that was tampered with on purpose may have the same.
 */
export async function fingerprint(weights: Weights): Promise<string> {
  const sample = new Float32Array(weights.named.length * ELEMENTS);
  for (const [i, { name, shape }] of weights.named.entries()) {
    const length = shape.reduce((product, size) => product * size, 1);
    const { type, bytes } = await weights.readElements(name, 0, Math.min(ELEMENTS, length));
    sample.set(widen(bytes, type), i * ELEMENTS);
  }
  return sha256(new Uint8Array(sample.buffer));
}
