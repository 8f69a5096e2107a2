/** @file The adapters that runs have kept: those of one base can be listed and put on it one after the other. */
import { CheckpointError } from '../../model';
import type { LoraConfig } from '../../model';
import { listRunModels } from './run_models';
import type { RunModel } from './run_models';
import type { RunStorage } from './storage';

/** To be read by `loadAdapter`. */
export interface RunAdapter extends RunModel {
  lora: LoraConfig;
}

/**
 * The adapters of a run, the newest first; none for a run that trains all weights.
 * @param id what the run is called where it is kept
 * @throws CheckpointError for one that is not whole, DamagedRunError for metrics that are not
 */
export async function listAdapters(storage: RunStorage, id: string): Promise<RunAdapter[]> {
  return (await listRunModels(storage, id)).filter((model): model is RunAdapter => model.lora !== undefined);
}

/**
 * The one of a step, or by default the newest.
 * @throws CheckpointError when there is none
 */
export async function findAdapter(storage: RunStorage, id: string, step?: number): Promise<RunAdapter> {
  const adapters = await listAdapters(storage, id);
  const found = adapters.find((adapter) => step === undefined || adapter.step === step);
  if (found) return found;
  if (adapters.length === 0)
    throw new CheckpointError(`${storage.name} has no adapter: it trains all weights, or none yet`);
  const steps = [...new Set(adapters.map((adapter) => adapter.step))];
  throw new CheckpointError(`${storage.name} has no adapter of step ${step}; it has those of ${steps.join(', ')}`);
}
