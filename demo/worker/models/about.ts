/** @file What a model is and what can be done with it on this device, from its configuration alone. */
import type { DeviceLimits } from '../../../src/kernels';
import { countParameters } from '../../../src/model';
import type { FileSource, InspectedModel, ModelConfig, Storage } from '../../../src/model';
import { openModel, planModel } from '../../../src/rl';
import type { FindBase } from '../../../src/rl';
import type { ModelAbout } from '../../models_protocol';

/** Longest sequence that is planned for: as long as a run's where nothing is said. */
const CONTEXT = 2048;

export interface AboutOptions {
  name: string;
  bytes: number;
  /** Of the device; undefined where there is none. */
  limits: DeviceLimits | undefined;
}

/** Of a hub's model that is not here. */
export function aboutInspected({ config, bytesPerWeight }: InspectedModel, options: AboutOptions): Promise<ModelAbout> {
  return aboutConfig(config, bytesPerWeight === 2 ? 'bf16' : 'f32', options);
}

/**
 * Of a model that is here, or of an adapter: all small files are read and checked, and what its weights are said to be.
 * @param find looks for what lies below an adapter
 * @throws CheckpointError
 */
export async function aboutFolder(folder: FileSource, find: FindBase, options: AboutOptions): Promise<ModelAbout> {
  const { config, checkpoint, adapter } = await openModel(folder, { find });
  const about = await aboutConfig(config, checkpoint.storage, options);
  const { rank, baseModel } = adapter?.lora ?? {};
  return { ...about, ready: true, adapter: rank === undefined ? null : { base: baseModel!, rank } };
}

async function aboutConfig(
  config: ModelConfig,
  storage: Storage,
  { name, bytes, limits }: AboutOptions,
): Promise<ModelAbout> {
  const { family, layers, vocabSize, maxPositions } = config;
  const context = Math.min(maxPositions, CONTEXT);
  return {
    name,
    family,
    parameters: countParameters(config),
    layers,
    vocabulary: vocabSize,
    context: maxPositions,
    bytes,
    ready: false,
    plans: limits ? await planModel(limits, config, { storage, context }) : [],
    adapter: null,
  };
}
