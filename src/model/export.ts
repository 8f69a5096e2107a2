/**
 * @file A model as a Hugging Face folder, streamed from the GPU into files: tensor by tensor, in shards where one file would
 * be too long. config.json is written last, so that half a folder is none.
 */
import type { ModelConfig } from './config';
import { formatModelConfig } from './config';
import type { TorchDType } from './config';
import { INDEX_FILE } from './checkpoint';
import { encodeJson } from './files';
import type { FolderStorage } from './folder_storage';
import { formatSafetensorsHeader } from './safetensors';
import { planShards } from './shards';
import { FILE_TYPE, WEIGHT_BYTES } from './storage';
import type { Storage } from './storage';
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
  const { shards, total, index } = planShards(tensorsOf(weights), shardBytes);
  let done = 0;
  for (const { file, tensors } of shards) {
    await storage.write(file, formatSafetensorsHeader(tensors.map((tensor) => [tensor.name, tensor] as const)));
    for (const { name, dtype, length } of tensors) {
      const step = PIECE_BYTES / WEIGHT_BYTES[dtype];
      for (let first = 0; first < length; first += step) {
        signal?.throwIfAborted();
        const { bytes } = await weights.readElements(name, first, Math.min(step, length - first));
        await storage.append(file, bytes);
        done += bytes.byteLength;
        onProgress?.(done, total);
      }
    }
  }
  if (index) await storage.write(...index);
  else await storage.remove(INDEX_FILE); // of an earlier export in shards: it would be read in place of the one file
  for (const [file, bytes] of files) await storage.write(file, bytes);
  await storage.write('config.json', encodeJson(formatModelConfig(config, TORCH_DTYPE[weights.storage])));
  return shards.map(({ file }) => file);
}

const TORCH_DTYPE: Record<Storage, TorchDType> = { f32: 'float32', bf16: 'bfloat16', f16: 'float16', q8: 'float32' };

/** Tensors as they are written, in the order of the arena. */
function tensorsOf(weights: Weights) {
  return weights.named.map(({ name, shape, tensor }) => {
    const dtype = FILE_TYPE[tensor.dtype as Storage];
    const length = shape.reduce((product, size) => product * size, 1);
    return { name, shape, dtype, length, bytes: length * WEIGHT_BYTES[dtype] };
  });
}
