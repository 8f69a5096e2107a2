/** @file The model that a package's rl.toml names: a folder that vLLM and transformers can load, or a model of the hub. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { userPath } from '../paths';
import { ExportError } from './error';

export interface NamedModel {
  /** As rl.toml has it. */
  name: string;
  /** Its family, as config.json has it; absent for a model of the hub, which is not looked at. */
  modelType?: string;
  /** Longest sequence that it was made for. */
  maxPositions?: number;
}

/** Before the hub's name for a model, as on `terrarium eval`'s command line. */
const HUB = 'hub:';
const HUB_NAME = /^[\w.-]+\/[\w.-]+$/;

/** Any of these holds a tokenizer's vocabulary. */
const TOKENIZERS = ['tokenizer.json', 'tokenizer.model', 'vocab.json'];

/**
 * Checks a folder without reading its weights.
 * @param given a folder, or hub:OWNER/MODEL
 * @throws ExportError naming the file that is missing or wrong
 */
export function nameModel(given: string): NamedModel {
  if (given.startsWith(HUB)) {
    const name = given.slice(HUB.length);
    if (HUB_NAME.test(name)) return { name };
    throw new ExportError(`--model ${given}: a model of the hub is hub:OWNER/MODEL`);
  }
  const folder = userPath(given);
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new ExportError(`--model ${given}: there is no folder ${folder}; a model of the hub is hub:OWNER/MODEL`);
  }
  const config = readObject(folder, 'config.json', given);
  const { model_type: modelType, max_position_embeddings: maxPositions } = config;
  if (typeof modelType !== 'string') throw new ExportError(`--model ${given}: config.json has no model_type`);
  checkWeights(folder, given);
  if (!TOKENIZERS.some((file) => existsSync(join(folder, file)))) {
    throw new ExportError(`--model ${given}: there is no tokenizer: none of ${TOKENIZERS.join(', ')}`);
  }
  return {
    name: folder,
    modelType,
    ...(typeof maxPositions === 'number' && maxPositions > 0 && { maxPositions }),
  };
}

function checkWeights(folder: string, given: string): void {
  if (existsSync(join(folder, 'model.safetensors'))) return;
  const index = 'model.safetensors.index.json';
  if (!existsSync(join(folder, index))) {
    throw new ExportError(`--model ${given}: there are no weights: neither model.safetensors nor ${index}`);
  }
  const { weight_map: map } = readObject(folder, index, given);
  if (typeof map !== 'object' || map === null) throw new ExportError(`--model ${given}: ${index} has no weight_map`);
  const shards = new Set(Object.values(map as Record<string, string>));
  const missing = [...shards].find((shard) => !existsSync(join(folder, shard)));
  if (shards.size === 0 || missing !== undefined) {
    throw new ExportError(`--model ${given}: ${index} names ${missing ?? 'no file'}, which is not there`);
  }
}

function readObject(folder: string, file: string, given: string): Record<string, unknown> {
  const path = join(folder, file);
  if (!existsSync(path)) throw new ExportError(`--model ${given}: there is no ${file}`);
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ExportError(`--model ${given}: ${file} is not JSON (${(error as SyntaxError).message})`);
  }
  if (typeof data !== 'object' || data === null) throw new ExportError(`--model ${given}: ${file} is not an object`);
  return data as Record<string, unknown>;
}
