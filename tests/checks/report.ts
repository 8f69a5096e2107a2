/** @file Checks are plain functions that return a report: Vitest asserts on it, the GPU bundle prints it. */
import type { Gpu } from '../../src/kernels';

/** One comparison with a reference. */
export interface CheckCase {
  name: string;
  /** Relative error, or whatever `tolerance` bounds. */
  error: number;
  tolerance: number;
}

export interface Check {
  name: string;
  /** @param dir a directory laid out as tests/oracle */
  run(gpu: Gpu, dir: string): Promise<CheckCase[]>;
}

/** A case that fails because what it needs is not there: a check must not pass by comparing nothing. */
export function missing(what: string): CheckCase {
  return { name: `${what} is missing`, error: NaN, tolerance: 0 };
}

/** Cases that fail, NaN errors included. */
export function failures(cases: readonly CheckCase[]): CheckCase[] {
  return cases.filter(({ error, tolerance }) => !(error <= tolerance));
}

/**
 * ||actual - expected|| / ||expected||, with an absolute floor where the reference is near zero.
 * @param floor error that counts as `tolerance` when the reference vanishes
 */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>, floor = 1e-30): number {
  if (actual.length !== expected.length) return NaN;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    norm += expected[i]! ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), floor);
}
