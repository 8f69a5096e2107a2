/** @file Models of the hub where a folder on disk could be named as well: `hf:owner/name`. */
import { formatBytes } from '../src/kernels';
import { HUB_PREFIX, openModelOf } from '../src/model';
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

/**
 * The folder of a model: one on disk or, after `hf:`, one of the hub, downloaded where it is not in the cache.
 * @param path where a folder's name leads
 */
export async function modelFolder(name: string, path = (each: string) => each): Promise<FileSource> {
  if (!isHubName(name)) return diskFolder(path(name));
  return openModelOf(modelShelf(), name, { endpoint: hubEndpoint(), onProgress: showProgress(name) });
}

/** Where models are read from: the shipped starters, folders on disk, and the hub. */
export const MODEL_SOURCES: ModelSources = {
  starter: (env) => Promise.resolve(starterFolder(env)),
  folder: (path) => modelFolder(path),
};
