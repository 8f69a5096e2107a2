/** @file Weights in several files where one would be too long, named and listed as Hugging Face does it. */
import { INDEX_FILE, WEIGHTS_FILE } from './checkpoint';
import { encodeJson } from './files';

/** A tensor on its way into a file. */
interface Sized {
  name: string;
  bytes: number;
}

export interface ShardPlan<T extends Sized> {
  /** Files with their tensors, in order. */
  shards: { file: string; tensors: T[] }[];
  /** Bytes of all tensors. */
  total: number;
  /** The index of several files, by its name; undefined for one. */
  index: [file: string, bytes: Uint8Array<ArrayBuffer>] | undefined;
}

/**
 * Fills one file after the other.
 * @param most bytes of tensors in one file; a single tensor may have more
 */
export function planShards<T extends Sized>(tensors: Iterable<T>, most: number): ShardPlan<T> {
  const parts: T[][] = [];
  let left = 0;
  let total = 0;
  for (const tensor of tensors) {
    if (tensor.bytes > left || parts.length === 0) {
      parts.push([]);
      left = most;
    }
    parts.at(-1)!.push(tensor);
    left -= tensor.bytes;
    total += tensor.bytes;
  }
  const digits = (number: number) => String(number).padStart(5, '0');
  const fileOf = (i: number) =>
    parts.length === 1 ? WEIGHTS_FILE : `model-${digits(i + 1)}-of-${digits(parts.length)}.safetensors`;
  const shards = parts.map((part, i) => ({ file: fileOf(i), tensors: part }));
  const map = shards.flatMap(({ file, tensors: part }) => part.map(({ name }) => [name, file] as const));
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
  return { shards, total, index: parts.length > 1 ? [INDEX_FILE, encodeJson(index)] : undefined };
}
