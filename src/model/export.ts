/**
 * @file A model as a Hugging Face folder, streamed from the GPU into files: tensor by tensor, in shards where one file would
 * be too long. config.json is written last, so that half a folder is none.
 */
import type { ModelConfig } from './config';
import { formatModelConfig } from './config';
import type { TorchDType } from './config';
import { INDEX_FILE, WEIGHTS_FILE } from './checkpoint';
import { encodeJson } from './files';
import type { FolderStorage } from './folder_storage';
import { formatSafetensorsHeader } from './safetensors';
import { FILE_TYPE, WEIGHT_BYTES } from './storage';
import type { Storage, WeightType } from './storage';
import type { Weights } from './weights';

export interface ExportOptions {
  /** What config.json says, where that is not the config that is computed with. */
  config?: ModelConfig | undefined;
  /** Other files of the folder, by name: tokenizer and chat template. */
  files?: ReadonlyMap<string, Uint8Array<ArrayBuffer>> | undefined;
  /** Bytes of tensors in one file; one tensor may have more. */
  shardBytes?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Bytes of tensors that are written, and all there are. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Two gigabytes: files of that size are no trouble to any file system, browser or upload. */
export const SHARD_BYTES = 2e9;

/** Bytes read from the GPU, and written, at once: a whole number of 64 elements of every type. */
const PIECE_BYTES = 4 * 2 ** 20;

/** A tensor as it is written. */
interface Planned {
  name: string;
  shape: number[];
  dtype: WeightType;
  length: number;
}

/**
 * Writes config.json, the weights and the files given into a folder, replacing files of the same names. The weights keep
 * the type that they are kept in (q8 is written as F32): what is loaded again is the same bit for bit.
 * @returns the names of the files with weights
 * @throws StorageFullError; GpuError; the signal's reason. What was written is no model then: it has no config.json
 */
export async function writeCheckpoint(
  storage: Pick<FolderStorage, 'write' | 'append' | 'remove'>,
  weights: Weights,
  { config = weights.config, files = new Map(), shardBytes = SHARD_BYTES, signal, onProgress }: ExportOptions = {},
): Promise<string[]> {
  await storage.remove('config.json');
  const shards = planShards(weights, shardBytes);
  const total = shards.flat().reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const nameOf = (i: number) =>
    shards.length === 1 ? WEIGHTS_FILE : `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
  let done = 0;
  for (const [i, shard] of shards.entries()) {
    await storage.write(nameOf(i), formatSafetensorsHeader(shard.map((tensor) => [tensor.name, tensor] as const)));
    for (const tensor of shard) {
      const step = PIECE_BYTES / WEIGHT_BYTES[tensor.dtype];
      for (let first = 0; first < tensor.length; first += step) {
        signal?.throwIfAborted();
        const { bytes } = await weights.readElements(tensor.name, first, Math.min(step, tensor.length - first));
        await storage.append(nameOf(i), bytes);
        done += bytes.byteLength;
        onProgress?.(done, total);
      }
    }
  }
  if (shards.length > 1) {
    const map = shards.flatMap((shard, i) => shard.map(({ name }) => [name, nameOf(i)] as const));
    const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
    await storage.write(INDEX_FILE, encodeJson(index));
  } else await storage.remove(INDEX_FILE); // of an earlier export in shards: it would be read in place of the one file
  for (const [file, bytes] of files) await storage.write(file, bytes);
  await storage.write('config.json', encodeJson(formatModelConfig(config, TORCH_DTYPE[weights.storage])));
  return shards.map((_, i) => nameOf(i));
}

const TORCH_DTYPE: Record<Storage, TorchDType> = { f32: 'float32', bf16: 'bfloat16', f16: 'float16', q8: 'float32' };

const digits = (number: number) => String(number).padStart(5, '0');

const bytesOf = ({ length, dtype }: Planned) => length * WEIGHT_BYTES[dtype];

/** Fills one file after the other, in the order of the arena. */
function planShards(weights: Weights, most: number): Planned[][] {
  const shards: Planned[][] = [];
  let bytes = Infinity;
  for (const { name, shape, tensor } of weights.named) {
    const dtype = FILE_TYPE[tensor.dtype as Storage];
    const planned = { name, shape, dtype, length: shape.reduce((product, size) => product * size, 1) };
    if (bytes + bytesOf(planned) > most) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(planned);
    bytes += bytesOf(planned);
  }
  return shards;
}
