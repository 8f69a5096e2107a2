/** @file Models for the tests' hub: the oracle's, with a tokenizer beside them, and files of random bytes. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Random, deriveKey } from '../../../src/random';
import { ORACLE_DIR } from '../../gpu';
import type { ServedModel } from '../../hub_server';

const TOKENIZER = readFileSync(new URL('../../../starters/arithmetic-mini/tokenizer.json', import.meta.url));

/** A model folder of the oracle as the hub has it. */
export function oracleModel(name: string, more: Partial<ServedModel> = {}): ServedModel {
  const folder = join(ORACLE_DIR, 'models', name);
  const files = new Map(readdirSync(folder).map((file) => [file, bytesOf(readFileSync(join(folder, file)))]));
  files.set('tokenizer.json', bytesOf(TOKENIZER));
  files.set('README.md', new TextEncoder().encode('# a model\n'));
  files.set('pytorch_model.bin', new Uint8Array(1000));
  return { id: `oracle/${name}`, files, ...more };
}

function bytesOf(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer);
}

/** The same bytes for the same seed. */
export function randomBytes(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const random = new Random(deriveKey(seed));
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = random.below(2 ** 32) | 1;
  for (let i = 0; i < words.length; i++) {
    // xorshift32: megabytes at once
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}
