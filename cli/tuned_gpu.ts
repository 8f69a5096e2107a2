/** @file The device that commands compute on, with kernels chosen for it, and what was chosen kept for the next command. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { enableTuner } from '../src/kernels';
import type { Gpu, TunerCache } from '../src/kernels';
import { acquireNodeGpu } from './dawn';
import { cacheFolder } from './model_cache';
import { UsageError } from './usage_error';

/**
 * Acquires a device. TERRARIUM_TUNER_MS bounds the time that choosing kernels may take (default 2,000; 0: no choosing, the
 * base kernels); it changes no result.
 * @throws NoAdapterError, UsageError
 */
export async function acquireTunedGpu(options: { toggles?: string[] } = {}): Promise<Gpu> {
  const budgetMs = tunerBudget(process.env.TERRARIUM_TUNER_MS);
  const gpu = await acquireNodeGpu(options);
  await enableTuner(gpu, {
    cache: diskCache(join(cacheFolder(), 'kernels')),
    ...(budgetMs !== undefined && { budgetMs }),
  });
  return gpu;
}

/** @throws UsageError unless it is a number of milliseconds */
export function tunerBudget(given: string | undefined): number | undefined {
  if (given === undefined || given === '') return undefined;
  const ms = Number(given);
  if (!Number.isFinite(ms) || ms < 0) throw new UsageError(`TERRARIUM_TUNER_MS: ${given} is no number of milliseconds`);
  return ms;
}

/** One file per name in a folder that is made when something is kept. */
export function diskCache(folder: string): TunerCache {
  const pathOf = (name: string) => join(folder, `${name.replaceAll(/[^\w.]+/g, '-')}.json`);
  return {
    read: async (name) => (existsSync(pathOf(name)) ? await readFile(pathOf(name), 'utf8') : undefined),
    write: async (name, text) => {
      await mkdir(folder, { recursive: true });
      await writeFile(pathOf(name), text);
    },
  };
}
