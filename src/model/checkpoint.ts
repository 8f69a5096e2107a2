/**
 * @file A checkpoint is a Hugging Face model folder: config.json, model.safetensors (or shards with an index),
 * tokenizer.json. Where the folder lies (disk, URL, dropped files, a zip) is the caller's business.
 */
import type { ModelConfig } from './config';
import { formatModelConfig, parseModelConfig } from './config';
import { CheckpointError } from './errors';
import { entryOf, formatSafetensors, parseSafetensors, readFloats } from './safetensors';
import type { SafetensorsDType } from './safetensors';
import { checkTensors } from './weights';
import type { TensorValues } from './weights';

/** A folder of files, read by name. */
export interface FileSource {
  /** Where it is, for messages. */
  name: string;
  /** The file's bytes, or undefined when there is no such file. */
  read(file: string): Promise<Uint8Array | undefined>;
}

export interface Checkpoint {
  config: ModelConfig;
  tensors: TensorValues;
}

/** Types that weights come in. Integers would be quantised weights, whose scales we do not know of. */
const WEIGHT_TYPES: readonly SafetensorsDType[] = ['F32', 'F16', 'BF16'];

const INDEX = 'model.safetensors.index.json';

/**
 * Reads config.json and all tensors of a folder, and checks that they belong together.
 * @throws CheckpointError naming the file or tensor and what is wrong with it
 */
export async function loadCheckpoint(folder: FileSource): Promise<Checkpoint> {
  const config = parseModelConfig(await readJson(folder, 'config.json'), `${folder.name}/config.json`);
  const tensors: TensorValues = new Map();
  for (const [file, listed] of await shardsOf(folder)) {
    const bytes = await folder.read(file);
    if (!bytes) throw new CheckpointError(`${folder.name}: ${file} is missing`);
    const shard = parseSafetensors(bytes, `${folder.name}/${file}`);
    for (const name of shard.entries.keys()) {
      if (listed && !listed.has(name)) {
        throw new CheckpointError(`${shard.source}: tensor ${name} is extra: ${INDEX} does not list it for this file`);
      }
    }
    for (const name of listed ?? shard.entries.keys()) {
      const { dtype, shape } = entryOf(shard, name);
      if (!WEIGHT_TYPES.includes(dtype)) {
        throw new CheckpointError(
          `${shard.source}: tensor ${name} has type ${dtype}; weights must be ${WEIGHT_TYPES.join(', ')}`,
        );
      }
      tensors.set(name, { values: readFloats(shard, name), shape });
    }
  }
  checkTensors(tensors, config, folder.name);
  return { config, tensors };
}

/** Files that hold tensors, each with the names that the index lists for it (undefined: there is no index). */
async function shardsOf(folder: FileSource): Promise<Map<string, Set<string> | undefined>> {
  if (!(await folder.read(INDEX))) return new Map([['model.safetensors', undefined]]);
  const index = (await readJson(folder, INDEX)) as { weight_map?: unknown } | null;
  const weightMap = index?.weight_map;
  if (typeof weightMap !== 'object' || weightMap === null) {
    throw new CheckpointError(`${folder.name}/${INDEX}: weight_map is missing`);
  }
  const shards = new Map<string, Set<string>>();
  for (const [tensor, file] of Object.entries(weightMap as Record<string, unknown>)) {
    if (typeof file !== 'string' || !/^[\w.-]+\.safetensors$/.test(file)) {
      throw new CheckpointError(`${folder.name}/${INDEX}: tensor ${tensor} lies in ${JSON.stringify(file)}`);
    }
    shards.set(file, (shards.get(file) ?? new Set()).add(tensor));
  }
  return shards;
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
 * A JSON file's value.
 * @throws CheckpointError naming the file
 */
export function parseJson(bytes: Uint8Array, source: string): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch (error) {
    throw new CheckpointError(`${source} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** config.json and model.safetensors of a model, by file name. */
export function formatCheckpoint(config: ModelConfig, tensors: TensorValues): Map<string, Uint8Array<ArrayBuffer>> {
  return new Map([
    ['config.json', encodeJson(formatModelConfig(config))],
    ['model.safetensors', formatSafetensors(tensors)],
  ]);
}

/** A JSON file's bytes, indented as Hugging Face writes them. */
export function encodeJson(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}

/** SHA-256 of bytes as hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Identity of a model's weights: SHA-256 of its model.safetensors. */
export function hashWeights(tensors: TensorValues): Promise<string> {
  return sha256(formatSafetensors(tensors));
}
