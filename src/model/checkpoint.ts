/**
 * @file A checkpoint is a Hugging Face model folder: config.json, model.safetensors (or shards with an index),
 * tokenizer.json. It is opened by its config and the headers of its files, and its weights are streamed from there.
 */
import { Upload } from '../kernels';
import type { ModelConfig } from './config';
import { formatModelConfig, parseModelConfig } from './config';
import { CheckpointError } from './errors';
import { encodeJson, openFile, readJson } from './files';
import type { ByteFile, FileSource } from './files';
import { entryOf, formatSafetensors, parseSafetensorsHeader, toFloats } from './safetensors';
import type { SafetensorsDType } from './safetensors';
import type { TensorValues } from './parameters';
import { WEIGHT_BYTES } from './storage';
import type { WeightType } from './storage';
import { checkTensors } from './weights';
import type { Weights } from './weights';

/** Types that weights come in. Integers would be quantised weights, whose scales we do not know of. */
const WEIGHT_TYPES: readonly SafetensorsDType[] = ['F32', 'F16', 'BF16'] satisfies WeightType[];

/** Where a tensor's bytes are. */
interface LocatedTensor {
  name: string;
  dtype: WeightType;
  shape: number[];
  file: ByteFile;
  /** The file's name, for messages. */
  source: string;
  /** Byte range in the file. */
  begin: number;
  end: number;
}

export interface LoadOptions {
  signal?: AbortSignal | undefined;
  /** Bytes of tensors that are done, and all there are. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A checkpoint whose files were found to belong together. None of its weights has been read yet. */
export interface OpenCheckpoint {
  readonly config: ModelConfig;
  /** The folder's name, for messages. */
  readonly source: string;
  /** Type of its matrices; f32 where they differ. */
  readonly storage: 'f32' | 'bf16' | 'f16';
  /** Of its tensors. */
  readonly bytes: number;
  dtypeOf(name: string): WeightType;
  /**
   * Streams every tensor into weights of the same config. Host memory stays below 64 MB whatever
   * the size; where nothing is widened 16 are enough.
   * @throws CheckpointError naming file and tensor: not finite, or no longer readable; the signal's reason. The weights
   * are a mixture then.
   */
  writeTo(weights: Weights, options?: LoadOptions): Promise<void>;
  /** All values in memory, as float32. */
  read(): Promise<TensorValues>;
  /** Those of one tensor. @throws CheckpointError when there is none of that name */
  readTensor(name: string): Promise<Float32Array<ArrayBuffer>>;
}

export interface Checkpoint {
  config: ModelConfig;
  tensors: TensorValues;
}

export const WEIGHTS_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

/** Bytes read at once: a whole number of elements of every type, and of 64 of them. */
const PIECE_BYTES = 4 * 2 ** 20;

/** Bytes on their way to the GPU at once. */
const UPLOAD_BYTES = 8 * 2 ** 20;

/**
 * Reads config.json and the headers of all files with tensors, and checks that they belong together: every tensor of the
 * config is there once, in its shape, in a type we know, within its file.
 * @throws CheckpointError naming the file or tensor and what is wrong with it
 */
export async function openCheckpoint(folder: FileSource): Promise<OpenCheckpoint> {
  const config = parseModelConfig(await readJson(folder, 'config.json'), `${folder.name}/config.json`);
  const tensors = await locateTensors(folder);
  checkTensors(tensors, config, folder.name);
  // transformers ties the head whatever the file holds.
  if (config.tiedEmbeddings) tensors.delete('lm_head.weight');
  const all = [...tensors.values()];
  const total = all.reduce((sum, { begin, end }) => sum + end - begin, 0);
  const types = new Set(all.filter(({ shape }) => shape.length > 1).map(({ dtype }) => dtype));
  const find = (name: string) => {
    const tensor = tensors.get(name);
    if (!tensor) throw new CheckpointError(`${folder.name}: tensor ${name} is missing`);
    return tensor;
  };
  const readTensor = async (name: string) => {
    const tensor = find(name);
    return toFloats(await readPiece(tensor, tensor.begin, tensor.end), tensor.dtype);
  };
  return {
    config,
    source: folder.name,
    storage: types.size > 1 ? 'f32' : ([...types][0]!.toLowerCase() as 'f32' | 'bf16' | 'f16'),
    bytes: total,
    dtypeOf: (name) => find(name).dtype,
    writeTo: (weights, options) => stream(all, total, weights, options),
    read: async () => {
      const values: TensorValues = new Map();
      for (const { name, shape } of all) values.set(name, { shape, values: await readTensor(name) });
      return values;
    },
    readTensor,
  };
}

/**
 * Opens a checkpoint and reads all of it into memory.
 * @throws CheckpointError naming the file or tensor and what is wrong with it
 */
export async function loadCheckpoint(folder: FileSource): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(folder);
  return { config: checkpoint.config, tensors: await checkpoint.read() };
}

async function stream(
  tensors: readonly LocatedTensor[],
  total: number,
  weights: Weights,
  { signal, onProgress }: LoadOptions = {},
): Promise<void> {
  const piece = new Uint8Array(PIECE_BYTES);
  const converted = new Uint8Array(2 * PIECE_BYTES); // 16 bits become 32 at most
  const upload = new Upload(weights.gpu, UPLOAD_BYTES);
  try {
    let done = 0;
    for (const tensor of tensors) {
      const { name, dtype, source } = tensor;
      for (let at = tensor.begin; at < tensor.end; at += PIECE_BYTES) {
        signal?.throwIfAborted();
        const bytes = await readPiece(tensor, at, Math.min(at + PIECE_BYTES, tensor.end), piece);
        const first = (at - tensor.begin) / WEIGHT_BYTES[dtype];
        const { buffer, offset, packed } = weights.packElements(name, first, bytes, dtype, source, converted);
        await upload.write(buffer, offset, packed);
        done += bytes.byteLength;
        onProgress?.(done, total);
      }
    }
    upload.flush();
    await weights.gpu.idle();
  } finally {
    upload.destroy();
  }
}

/** Reads a part of a tensor, at the beginning of a buffer so that it can be looked at as numbers. */
async function readPiece(
  { file, source, name }: LocatedTensor,
  begin: number,
  end: number,
  into?: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await file.read(begin, end, into);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`${source}: tensor ${name} can no longer be read: ${reason}`, { cause: error });
  }
  return bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
}

/** Buffers of rotary embeddings that old Llama checkpoints hold beside the weights; transformers computes them as well. */
const COMPUTED = '.rotary_emb.inv_freq';

/** Reads the headers of all files that hold tensors. */
async function locateTensors(folder: FileSource): Promise<Map<string, LocatedTensor>> {
  const tensors = new Map<string, LocatedTensor>();
  for (const [name, listed] of await shardsOf(folder)) {
    const file = await openFile(folder, name);
    if (!file) throw new CheckpointError(`${folder.name}: ${name} is missing`);
    const header = await parseSafetensorsHeader(file, `${folder.name}/${name}`);
    const { source, dataBegin } = header;
    for (const tensor of header.entries.keys()) {
      if (listed && !listed.has(tensor)) {
        throw new CheckpointError(`${source}: tensor ${tensor} is extra: ${INDEX_FILE} does not list it for this file`);
      }
    }
    const inFile: LocatedTensor[] = [];
    for (const tensor of listed ?? header.entries.keys()) {
      const { dtype, shape, begin, end } = entryOf(header, tensor);
      if (tensor.endsWith(COMPUTED)) continue;
      if (!isWeightType(dtype)) {
        throw new CheckpointError(
          `${source}: tensor ${tensor} has type ${dtype}; weights must be ${WEIGHT_TYPES.join(', ')}`,
        );
      }
      inFile.push({ name: tensor, dtype, shape, file, source, begin: dataBegin + begin, end: dataBegin + end });
    }
    // In the order of their bytes: a disk is read from one end to the other.
    for (const each of inFile.sort((a, b) => a.begin - b.begin)) tensors.set(each.name, each);
  }
  return tensors;
}

function isWeightType(dtype: SafetensorsDType): dtype is WeightType {
  return WEIGHT_TYPES.includes(dtype);
}

/** Files that hold tensors, each with the names that the index lists for it (undefined: there is no index). */
async function shardsOf(folder: FileSource): Promise<Map<string, Set<string> | undefined>> {
  if (!(await folder.read(INDEX_FILE))) return new Map([[WEIGHTS_FILE, undefined]]);
  return parseIndex(await readJson(folder, INDEX_FILE), `${folder.name}/${INDEX_FILE}`);
}

/**
 * Reads model.safetensors.index.json: files, each with the names of the tensors in it.
 * @param source the index's name, for messages
 * @throws CheckpointError when it is none, or names a file elsewhere
 */
export function parseIndex(json: unknown, source: string): Map<string, Set<string>> {
  const { weight_map: weightMap } = Object(json) as { weight_map?: unknown };
  if (typeof weightMap !== 'object' || weightMap === null) {
    throw new CheckpointError(`${source}: weight_map is missing`);
  }
  const shards = new Map<string, Set<string>>();
  for (const [tensor, file] of Object.entries(weightMap as Record<string, unknown>)) {
    if (typeof file !== 'string' || !/^[\w.-]+\.safetensors$/.test(file)) {
      throw new CheckpointError(`${source}: tensor ${tensor} lies in ${JSON.stringify(file)}`);
    }
    shards.set(file, (shards.get(file) ?? new Set()).add(tensor));
  }
  return shards;
}

/** config.json and model.safetensors of a model, by file name. */
export function formatCheckpoint(config: ModelConfig, tensors: TensorValues): Map<string, Uint8Array<ArrayBuffer>> {
  return new Map([
    ['config.json', encodeJson(formatModelConfig(config))],
    [WEIGHTS_FILE, formatSafetensors(tensors)],
  ]);
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
