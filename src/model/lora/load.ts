/** @file The way to the code of adapters, which is loaded when there is one. */
import type { FileSource } from '../files';

/** What makes a folder an adapter. */
export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** Whether a folder holds an adapter, and not a whole model. */
export async function isAdapter(folder: FileSource): Promise<boolean> {
  return (await folder.read(ADAPTER_CONFIG)) !== undefined;
}

/** Loads the code. */
export const loraCode = () => import('./lazy-lora');
