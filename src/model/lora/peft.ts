/** @file An adapter's folder as PEFT lays it out: adapter_config.json and adapter_model.safetensors. */
import type { ModelConfig } from '../config';
import { CheckpointError } from '../errors';
import { encodeJson, readJson } from '../files';
import type { FileSource } from '../files';
import { formatSafetensors, parseSafetensors, readFloats } from '../safetensors';
import type { SafetensorsDType } from '../safetensors';
import type { TensorValues } from '../parameters';
import type { LoraConfig } from './config';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from './load';
import { formatPeftConfig, parsePeftConfig } from './peft_config';
import { checkAdapterTensors } from './tensors';

/** An adapter on the host. */
export interface LoadedAdapter {
  lora: LoraConfig;
  /** By PEFT's names. */
  tensors: TensorValues;
  /** Where it came from, for messages. */
  source: string;
}

const TYPES: readonly SafetensorsDType[] = ['F32', 'F16', 'BF16'];

/**
 * The adapter_config.json of a folder.
 * @throws CheckpointError naming the file and the key
 */
export async function readPeftConfig(folder: FileSource): Promise<LoraConfig> {
  return parsePeftConfig(await readJson(folder, ADAPTER_CONFIG), `${folder.name}/${ADAPTER_CONFIG}`);
}

/**
 * Reads an adapter and checks that it belongs to a model of this shape. F16 and BF16 widen exactly.
 * @throws CheckpointError naming the file, and the key or the tensor
 */
export async function loadAdapter(folder: FileSource, config: ModelConfig): Promise<LoadedAdapter> {
  const lora = await readPeftConfig(folder);
  const bytes = await folder.read(ADAPTER_WEIGHTS);
  if (!bytes) throw new CheckpointError(`${folder.name}: ${ADAPTER_WEIGHTS} is missing`);
  const source = `${folder.name}/${ADAPTER_WEIGHTS}`;
  const file = parseSafetensors(bytes, source);
  checkAdapterTensors(file.entries, config, lora, source);
  const tensors: TensorValues = new Map();
  for (const [name, { dtype, shape }] of file.entries) {
    if (!TYPES.includes(dtype)) {
      throw new CheckpointError(`${source}: tensor ${name} has type ${dtype}; weights must be ${TYPES.join(', ')}`);
    }
    const values = readFloats(file, name);
    const broken = values.findIndex((value) => !Number.isFinite(value));
    if (broken >= 0) throw new CheckpointError(`${source}: tensor ${name} holds ${values[broken]} at ${broken}`);
    tensors.set(name, { shape, values });
  }
  return { lora, tensors, source: folder.name };
}

/** The files of an adapter's folder by name; tensors in the order of their names, as PEFT's own files have them. */
export function formatAdapter(lora: LoraConfig, tensors: TensorValues): Map<string, Uint8Array<ArrayBuffer>> {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map([
    [ADAPTER_CONFIG, encodeJson(formatPeftConfig(lora))],
    [ADAPTER_WEIGHTS, formatSafetensors(new Map(sorted))],
  ]);
}
