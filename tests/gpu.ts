/** @file The device that GPU tests share: one per process. */
import { acquireNodeGpu } from '../cli/dawn';
import type { Gpu } from '../src/kernels';

let shared: Promise<Gpu> | undefined;

/**
 * Dawn on the machine's adapter; fails the test, never skips it, when there is none. A device that an earlier test left
 * with an error is replaced, so that one failure stays one.
 */
export async function testGpu(): Promise<Gpu> {
  const gpu = await (shared ??= acquireNodeGpu());
  try {
    gpu.check();
    return gpu;
  } catch {
    return (shared = acquireNodeGpu());
  }
}

/** The oracle directory: ORACLE_DIR, or the project's copy. */
export const ORACLE_DIR = process.env.ORACLE_DIR ?? new URL('./oracle', import.meta.url).pathname;
