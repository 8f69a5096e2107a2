/** @file The models that a run has kept: as it was at its end, and in its checkpoints. Whole ones, or adapters over a base. */
import { ADAPTER_CONFIG, readPeftConfig } from '../../model';
import type { FileSource, LoraConfig } from '../../model';
import { listCheckpoints } from './checkpoints';
import { CHECKPOINTS, MANIFEST, parseCheckpointName } from './layout';
import { readMetrics } from './metrics';
import type { RunStorage } from './storage';

export interface RunModel {
  /** What the run is called where it is kept. */
  run: string;
  /** GRPO steps behind it. */
  step: number;
  /** How it lies there: the run's last word, or one of its checkpoints. */
  kept: 'end' | 'checkpoint';
  /** Of an adapter; undefined for a whole model. */
  lora: LoraConfig | undefined;
  /** To be read by `openModel`. */
  folder: FileSource;
}

/**
 * The models of a run, the newest first.
 * @param id what the run is called where it is kept
 * @throws CheckpointError for an adapter's configuration that is not whole, DamagedRunError for metrics that are not
 */
export async function listRunModels(storage: RunStorage, id: string): Promise<RunModel[]> {
  const paths = new Set((await storage.files()).map(({ path }) => path));
  const models: RunModel[] = [];
  const add = async (path: string, step: number, kept: RunModel['kept']) => {
    const isAdapter = paths.has(path + ADAPTER_CONFIG);
    if (!isAdapter && !paths.has(`${path}config.json`)) return;
    const folder = folderIn(storage, path, paths);
    models.push({ run: id, step, kept, lora: isAdapter ? await readPeftConfig(folder) : undefined, folder });
  };
  if (paths.has(ADAPTER_CONFIG) || paths.has('config.json')) {
    const last = (await readMetrics(storage)).findLast((metric) => metric.event === 'step');
    await add('', last?.step ?? 0, 'end');
  }
  for (const name of (await listCheckpoints(storage)).reverse()) {
    const path = `${CHECKPOINTS}/${name}/`;
    if (paths.has(path + MANIFEST)) await add(path, parseCheckpointName(name)!.step, 'checkpoint');
  }
  return models;
}

/** A folder of a run as one that models are read from. */
function folderIn(storage: RunStorage, path: string, paths: ReadonlySet<string>): FileSource {
  return {
    name: path === '' ? storage.name : `${storage.name}/${path.slice(0, -1)}`,
    read: (file) => storage.read(path + file),
    open: async (file) => (paths.has(path + file) ? storage.open(path + file) : undefined),
  };
}
