/**
 * @file Models read from their folders: a whole model, or an adapter together with the model it was made for. Only headers
 * and small files are read; weights are streamed from there to where they are wanted.
 */
import { CheckpointError, HUB_PREFIX, isAdapter, loadText, loraCode, openCheckpoint } from '../model';
import type { FileSource, LoadedAdapter, ModelConfig, ModelText, OpenCheckpoint, TensorValues } from '../model';
import type { TrainConfig } from './config';

/** Where starting weights come from. */
export interface ModelSources {
  /** The shipped starter of an environment, or undefined where there is none. */
  starter(env: string): Promise<FileSource | undefined>;
  /** A checkpoint folder by path or URL or, after `hf:`, a model of the hub by its name. */
  folder(path: string): Promise<FileSource>;
}

/** A model whose files were found to belong together. */
export interface OpenedModel {
  config: ModelConfig;
  text: ModelText;
  checkpoint: OpenCheckpoint;
  /** What is to lie beside the weights, where the folder was an adapter's. */
  adapter: LoadedAdapter | undefined;
  source: string;
}

/** A model in memory. */
export interface LoadedModel {
  config: ModelConfig;
  text: ModelText;
  tensors: TensorValues;
  source: string;
}

/** Looks for a model by what an adapter calls it. */
export type FindBase = (name: string) => Promise<FileSource>;

const noBase: FindBase = (name) => Promise.reject(new CheckpointError(`nobody said where to look for ${name}`));

/**
 * Opens a model, or an adapter over its base.
 * @param options.find reads the base's folder
 * @param options.base where the base is, in place of what the adapter's config says
 * @throws CheckpointError naming file and tensor; for a base that is missing or does not fit, both folders
 */
export async function openModel(
  folder: FileSource,
  { find = noBase, base }: { find?: FindBase | undefined; base?: string | undefined } = {},
): Promise<OpenedModel> {
  if (!(await isAdapter(folder))) {
    const checkpoint = await openCheckpoint(folder);
    const { config } = checkpoint;
    return { config, text: await loadText(folder, config), checkpoint, adapter: undefined, source: folder.name };
  }
  const { loadAdapter, readPeftConfig } = await loraCode();
  const name = base ?? (await readPeftConfig(folder)).baseModel;
  if (name === null) {
    throw new CheckpointError(
      `${folder.name}: adapter_config.json has no base_model_name_or_path, and nobody said what the adapter belongs to`,
    );
  }
  const model = await openBase(name, find, folder.name);
  return { ...model, adapter: await loadAdapter(folder, model.config), source: folder.name };
}

async function openBase(name: string, find: FindBase, adapter: string): Promise<OpenedModel> {
  try {
    const folder = await find(name);
    if (await isAdapter(folder)) throw new CheckpointError(`${folder.name} is an adapter itself`);
    return await openModel(folder);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error; // a refused download, an end by the user
    throw new CheckpointError(`${adapter}: its base model ${name} cannot be used: ${error.message}`, { cause: error });
  }
}

/** What adapters over the shipped starters call their base. */
const STARTER = /^starters\/([\w-]+)$/;

/** The name of an environment's starter as the base of an adapter. */
export function starterName(env: string): string {
  return `starters/${env}`;
}

/** What the model under a run's adapter is called. */
export function baseOf({ base, start, env }: Pick<TrainConfig, 'base' | 'start' | 'env'>): string {
  return base ?? (start === 'starter' ? starterName(env) : start);
}

/** The same as an adapter_config.json says it: a model of a hub by its bare name, as other programs know it. */
export function peftBaseName(name: string): string {
  return name.startsWith(HUB_PREFIX) ? name.slice(HUB_PREFIX.length).split('@')[0]! : name;
}

/** How PEFT names a base that is on the hub. */
const ON_THE_HUB = /^[\w.-]+\/[\w.-]+$/;

/** Looks for bases where a run's models come from: a starter, a folder, a model of the hub. */
export function findBase(sources: ModelSources): FindBase {
  return async (name) => {
    const env = STARTER.exec(name)?.[1];
    const starter = env === undefined ? undefined : await sources.starter(env);
    if (starter) return starter;
    const folder = await sources.folder(name);
    const isMissing = ON_THE_HUB.test(name) && !(await folder.read('config.json'));
    return isMissing ? sources.folder(`${HUB_PREFIX}${name}`) : folder;
  };
}

/**
 * Reads a checkpoint into memory: config, weights, tokenizer and chat format.
 * @throws CheckpointError naming file and tensor
 */
export async function loadModel(folder: FileSource): Promise<LoadedModel> {
  const { config, text, checkpoint, source } = await openModel(folder);
  return { config, text, tensors: await checkpoint.read(), source };
}
