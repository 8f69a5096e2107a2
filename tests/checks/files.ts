/** @file Reading oracle directories from disk. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSafetensors, readFloats } from '../../src/model';

export function readJsonFile(...path: string[]): unknown {
  return JSON.parse(readFileSync(join(...path), 'utf8'));
}

export interface FixtureTensor {
  shape: number[];
  values: Float32Array<ArrayBuffer>;
}

/** All tensors of a .safetensors fixture by name; I32 become floats. */
export function readFixture(...path: string[]): Map<string, FixtureTensor> {
  const full = join(...path);
  const file = parseSafetensors(new Uint8Array(readFileSync(full)), full);
  return new Map([...file.entries].map(([name, { shape }]) => [name, { shape, values: readFloats(file, name) }]));
}
