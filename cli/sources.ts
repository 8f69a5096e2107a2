/** @file Where the command line reads models from. */
import type { ModelSources } from '../src/rl';
import { starterFolder } from './files';
import { modelFolder } from './hub';

/** The shipped starters, folders on disk, and the hub. */
export const SOURCES: ModelSources = {
  starter: (env) => Promise.resolve(starterFolder(env)),
  folder: (path) => modelFolder(path),
};
