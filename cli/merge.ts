/** @file `terrarium runs export --merge`: an adapter merged into its base, as a whole model in a folder. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAdapter, mergedModel } from '../src/model';
import type { FileSource } from '../src/model';
import { findAdapter, findBase, openModel } from '../src/rl';
import { diskFolder } from './files';
import { MODEL_SOURCES } from './hub';
import { cannotWrite } from './output';
import { userPath } from './paths';
import { requireNew, runAt } from './run_folder';

/**
 * Writes the merged model file by file: no more than one of its files is in memory, and there is no need of a GPU.
 * @param path a run with LoRA, or a folder with an adapter
 * @param step of the run's checkpoint; by default its newest
 * @returns what was merged with what
 * @throws CheckpointError, OutputError
 */
export async function writeMerged(
  path: string,
  name: string,
  out: string,
  step: number | undefined,
): Promise<{ adapter: string; base: string }> {
  const folder = await adapterFolder(path, name, step);
  const { config, text, checkpoint, adapter } = await openModel(folder, { find: findBase(MODEL_SOURCES) });
  requireNew(out);
  const target = userPath(out);
  const write = (file: string, bytes: Uint8Array) => {
    try {
      writeFileSync(join(target, file), bytes);
    } catch (error) {
      throw cannotWrite(out, error);
    }
  };
  try {
    for (const [file, bytes] of text.files()) write(file, bytes);
    for await (const [file, bytes] of mergedModel(config, (tensor) => checkpoint.readTensor(tensor), adapter!)) {
      write(file, bytes);
    }
  } catch (error) {
    rmSync(target, { recursive: true }); // it was empty before
    mkdirSync(target);
    throw error;
  }
  return { adapter: folder.name, base: checkpoint.source };
}

async function adapterFolder(path: string, name: string, step: number | undefined): Promise<FileSource> {
  const plain = { ...diskFolder(userPath(path)), name: path };
  const storage = runAt(path);
  const isRun = (await storage.read('run.json')) !== undefined;
  if (!isRun && (await isAdapter(plain))) return plain;
  return (await findAdapter(storage, name, step)).folder;
}
