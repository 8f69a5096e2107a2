/** @file Exports packages for tests, and runs Python on them. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { exportPrimeRl } from '../../../cli/prime_rl';
import type { Exported } from '../../../cli/prime_rl';
import { resolveConfig } from '../../../src/rl';
import type { ConfigLayer } from '../../../src/rl';
import { ROOT } from '../program';

export const HERE = join(ROOT, 'tests/cli/prime_rl');
/** Stand-ins for verifiers, datasets and httpx. */
export const DOUBLE = join(HERE, 'double');
/** A folder that vLLM could load, as far as its files say. */
export const MODEL = join(ROOT, 'starters/reverse-text');

/** A folder that goes with the test file. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-export-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Exports an environment into a folder that is not there yet. */
export function exportTo(
  out: string,
  env: string,
  { layers = [], trainTasks, evalTasks }: { layers?: ConfigLayer[]; trainTasks?: number; evalTasks?: number } = {},
): Promise<Exported> {
  return exportPrimeRl({ config: resolveConfig({ env }, ...layers), model: MODEL, out, trainTasks, evalTasks });
}

export interface PythonResult {
  code: number | null;
  out: string;
  err: string;
}

/** Runs Python without leaving compiled files behind. */
export function python(
  args: readonly string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): Promise<PythonResult> {
  return new Promise((resolve, reject) => {
    const child = spawn('python3', args, {
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env },
    });
    const result: PythonResult = { code: null, out: '', err: '' };
    child.stdout.on('data', (data: Buffer) => (result.out += data.toString()));
    child.stderr.on('data', (data: Buffer) => (result.err += data.toString()));
    child.on('error', (error) => reject(new Error(`these tests need python3, 3.11 or newer: ${error.message}`)));
    child.on('close', (code) => resolve({ ...result, code }));
    child.stdin.end(input);
  });
}
