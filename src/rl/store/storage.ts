/** @file What a run needs of the place where it is kept, and what can be wrong with it. */
import type { FolderStorage } from '../../model';

/** The folder of one run. */
export type RunStorage = FolderStorage;

/** The folder is no run, or none that this version reads. */
export class RunFolderError extends Error {
  override name = 'RunFolderError';
}

/** Files of the run are missing or are not what was written. */
export class DamagedRunError extends Error {
  override name = 'DamagedRunError';
}
