/** @file Models of the hub where a folder on disk could be named as well: `hf:owner/name`. */
import { existsSync } from 'node:fs';
import { formatBytes } from '../src/kernels';
import { CheckpointError, HUB_PREFIX, openCached, openModelOf, parseModelAddress } from '../src/model';
import type { FileSource, ModelProgress } from '../src/model';
import type { ModelSources } from '../src/rl';
import { diskFolder, starterFolder } from './files';
import { hubEndpoint, modelShelf } from './model_cache';
import { duration } from './text';

/** Seconds between two lines of progress. */
const LINE_SECONDS = 5;

/** Says on standard error how a download goes: a line now and then, so that logs stay short. */
export function showProgress(name: string): (progress: ModelProgress) => void {
  let shown = -Infinity;
  let file = '';
  return (progress) => {
    const now = performance.now() / 1000;
    const isLast = progress.done === progress.total;
    if (now - shown < LINE_SECONDS && progress.file === file && !isLast) return;
    shown = now;
    file = progress.file;
    process.stderr.write(`${name}: ${describe(progress)}\n`);
  };
}

function describe({ file, done, total, bytesPerSecond, secondsLeft, waiting }: ModelProgress): string {
  if (waiting) return 'another process is downloading it: waiting';
  const size = total === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`;
  const rate = bytesPerSecond === undefined ? '' : `, ${formatBytes(bytesPerSecond)}/s`;
  const left = secondsLeft ? `, ${duration(secondsLeft)} left` : '';
  return `${file}, ${size}${rate}${left}`;
}

/** Whether a name is of the hub and not of a folder. */
export function isHubName(name: string): boolean {
  return name.startsWith(HUB_PREFIX);
}

/** A folder in a folder, or a model of the hub as adapters call their base. */
const OWNER_AND_NAME = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

/**
 * The folder of a model: one on disk or, after `hf:`, one of the hub, downloaded where it is not in the cache. What is called
 * `owner/name` and is no folder is one of the cache: nothing is downloaded that was not asked for.
 * @param path where a folder's name leads
 * @throws HubError, StorageFullError; CheckpointError for `owner/name` that is nowhere
 */
export async function modelFolder(name: string, path = (each: string) => each): Promise<FileSource> {
  const endpoint = hubEndpoint();
  if (isHubName(name)) return openModelOf(modelShelf(), name, { endpoint, onProgress: showProgress(name) });
  const folder = path(name);
  if (existsSync(folder) || !OWNER_AND_NAME.test(name)) return diskFolder(folder);
  const cached = await openCached(modelShelf(), parseModelAddress(name, endpoint));
  if (cached) return cached;
  throw new CheckpointError(
    `${name}: there is no such folder, nor a downloaded model of that name; \`terrarium models download ${name}\` ` +
      'brings one of the hub',
  );
}

/** Where models are read from: the shipped starters, folders on disk, and the hub. */
export const MODEL_SOURCES: ModelSources = {
  starter: (env) => Promise.resolve(starterFolder(env)),
  folder: (path) => modelFolder(path),
};
