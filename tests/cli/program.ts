/** @file Runs the built command line as a user does: a process of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(ROOT, 'dist/cli/main.js');

export interface Result {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

export interface RunningProgram {
  child: ChildProcess;
  ended: Promise<Result>;
}

/** Starts `terrarium <args>`. */
export function start(args: readonly string[], env: Record<string, string> = {}): RunningProgram {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd: ROOT,
    env: { ...process.env, INIT_CWD: ROOT, TERRARIUM_ROOT: ROOT, ...env },
  });
  const result: Result = { code: null, signal: null, out: '', err: '' };
  child.stdout.on('data', (data: Buffer) => (result.out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (result.err += data.toString()));
  const ended = new Promise<Result>((resolve) => {
    child.on('close', (code, signal) => resolve({ ...result, code, signal }));
  });
  return { child, ended };
}

/** Runs `terrarium <args>` to its end. */
export function terrarium(args: readonly string[], env: Record<string, string> = {}): Promise<Result> {
  return start(args, env).ended;
}
