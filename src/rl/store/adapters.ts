/** @file The adapters that runs have kept: those of one base can be listed and put on it one after the other. */
import { ADAPTER_CONFIG, CheckpointError, readPeftConfig } from '../../model';
import type { FileSource, LoraConfig } from '../../model';
import { listCheckpoints } from './checkpoints';
import { CHECKPOINTS, MANIFEST, parseCheckpointName } from './layout';
import { readMetrics } from './metrics';
import type { RunStorage } from './storage';

export interface RunAdapter {
  /** What the run is called where it is kept. */
  run: string;
  /** GRPO steps behind it. */
  step: number;
  /** How it lies there: the run's last word, or one of its checkpoints. */
  kept: 'end' | 'checkpoint';
  lora: LoraConfig;
  /** To be read by `loadAdapter`. */
  folder: FileSource;
}

/**
 * The adapters of a run, the newest first; none for a run that trains all weights.
 * @param id what the run is called where it is kept
 * @throws CheckpointError for one that is not whole, DamagedRunError for metrics that are not
 */
export async function listAdapters(storage: RunStorage, id: string): Promise<RunAdapter[]> {
  const paths = new Set((await storage.files()).map(({ path }) => path));
  const adapters: RunAdapter[] = [];
  const add = async (path: string, step: number, kept: RunAdapter['kept']) => {
    if (!paths.has(path + ADAPTER_CONFIG)) return;
    const folder = folderIn(storage, path);
    adapters.push({ run: id, step, kept, lora: await readPeftConfig(folder), folder });
  };
  if (paths.has(ADAPTER_CONFIG)) {
    const last = (await readMetrics(storage)).findLast((metric) => metric.event === 'step');
    await add('', last?.step ?? 0, 'end');
  }
  for (const name of (await listCheckpoints(storage)).reverse()) {
    const path = `${CHECKPOINTS}/${name}/`;
    if (paths.has(path + MANIFEST)) await add(path, parseCheckpointName(name)!.step, 'checkpoint');
  }
  return adapters;
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

/** A folder of a run as one that models are read from. */
function folderIn(storage: RunStorage, path: string): FileSource {
  return {
    name: path === '' ? storage.name : `${storage.name}/${path.slice(0, -1)}`,
    read: (file) => storage.read(path + file),
  };
}
