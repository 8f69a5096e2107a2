/** @file A model folder as Python's standard library reads it: nothing of ours takes part. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ReadFolder {
  config: Record<string, unknown>;
  /** Those that hold weights. */
  files: string[];
  tensors: Record<string, { dtype: string; shape: number[]; sha256: string }>;
}

const SCRIPT = fileURLToPath(new URL('./read_safetensors.py', import.meta.url));

/** @throws what the reader finds wrong with the folder */
export function readIndependently(folder: string): ReadFolder {
  const { status, stdout, stderr, error } = spawnSync('python3', [SCRIPT, folder], { maxBuffer: 2 ** 28 });
  if (error) throw error;
  if (status !== 0) throw new Error(stderr.toString());
  return JSON.parse(stdout.toString()) as ReadFolder;
}
