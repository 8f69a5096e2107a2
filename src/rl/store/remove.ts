/** @file Deleting a run: what belongs to it goes, run.json first, so that half a run is none; what does not belong stays. */
import { ABOUT, belongsToRun } from './layout';
import type { RunStorage } from './storage';

/**
 * @returns paths of files that are not a run's and were left where they are
 * @throws InUseError
 */
export async function removeRun(storage: RunStorage): Promise<string[]> {
  const unlock = await storage.lock();
  const files = (await storage.files()).map(({ path }) => path);
  const foreign = files.filter((path) => !belongsToRun(path));
  try {
    await storage.remove(ABOUT);
    for (const path of files) if (belongsToRun(path)) await storage.remove(path);
  } finally {
    await unlock();
  }
  if (foreign.length === 0) await storage.remove('');
  return foreign;
}
