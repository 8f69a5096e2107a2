/** @file Models as .zip files to take home. Loaded with the first one. */
import { Zip, ZipPassThrough, strToU8, zipSync } from 'fflate';
import { formatBytes } from '../../src/kernels';
import { countParameters } from '../../src/model';
import type { Files, Run, TrainConfig } from '../../src/rl';

/** What fits into a .zip without ZIP64. */
const ZIP_LIMIT = 2 ** 32 - 2 ** 24;

/** Settings beside a model: how it was made. */
const RUN_FILE = 'run.json';

function aboutRun(config: TrainConfig): Uint8Array<ArrayBuffer> {
  return strToU8(`${JSON.stringify(config, null, 2)}\n`);
}

/** A model's folder, or an adapter's. */
export function modelZip(model: Files, config: TrainConfig, folder: string): Uint8Array<ArrayBuffer> {
  const files = Object.fromEntries([...model].map(([name, bytes]) => [`${folder}/${name}`, bytes]));
  return zipSync({ ...files, [`${folder}/${RUN_FILE}`]: aboutRun(config) });
}

/**
 * A model with its adapter merged into it. It is never in memory as a whole: the browser keeps its pieces.
 * @throws Error for a model that fits into no .zip
 */
export async function mergedZip({ policy, config }: Pick<Run, 'policy' | 'config'>, folder: string): Promise<Blob> {
  const bytes = 4 * countParameters(policy.modelConfig);
  if (bytes > ZIP_LIMIT) {
    throw new Error(
      `the merged model has ${formatBytes(bytes)}, more than one .zip takes: save the adapter, and merge it with ` +
        'terrarium runs export --merge',
    );
  }
  const parts: Blob[] = [];
  const failures: Error[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) failures.push(error);
    else parts.push(new Blob([chunk]));
  });
  const add = (file: string, content: Uint8Array<ArrayBuffer>) => {
    const entry = new ZipPassThrough(`${folder}/${file}`);
    zip.add(entry);
    entry.push(content, true);
    if (failures[0]) throw failures[0];
  };
  for await (const [file, content] of policy.merged()) add(file, content);
  add(RUN_FILE, aboutRun(config));
  zip.end();
  return new Blob(parts, { type: 'application/zip' });
}
