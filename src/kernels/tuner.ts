/**
 * @file What may do a matrix product in place of the base kernel, and who chooses. Every variant gives the base kernel's
 * bits, so a choice changes how long something takes and nothing else.
 */
import type { Gpu } from './gpu';
import type { Kernel } from './kernel';
import type { DType } from './tensor';

/** A kernel for matrix products: matmul.wgsl's operands, flags and bits. */
export interface MatmulVariant {
  name: string;
  kernel: Kernel;
  /** Its own, beside the flags. */
  constants: Readonly<Record<string, number>>;
  /** Rows and columns of C that one workgroup computes. */
  rows: number;
  columns: number;
  /** The grid's first dimension counts tiles of rows; otherwise of columns. */
  rowsFirst?: boolean;
}

/** What a product is like, as far as it matters for speed. */
export interface MatmulProblem {
  /** matmul.wgsl says what they are. */
  layout: 'NT' | 'NN' | 'TN';
  /** How B is stored. */
  storage: DType;
  /** Whether rows can be read in vec4. */
  aligned: boolean;
  /** Rows and columns of C, and the length of its sums, at most. */
  m: number;
  n: number;
  k: number;
  /** Whether m is often much less. */
  few: boolean;
}

export interface MatmulChoice {
  variant: MatmulVariant;
  /** Rows up to which it is the choice; Infinity in the last. */
  upTo: number;
}

/** How one class of products was decided. */
export interface TuningRecord {
  class: string;
  chosen: string;
  how: 'measured' | 'cached' | 'preset' | 'out of time' | 'out of memory';
  /** Milliseconds per product, of those measured. */
  times: Record<string, number>;
}

/** Asked once for every product that is recorded. */
export interface Tuner {
  /** What was decided so far, of a tuner that keeps account. */
  readonly records?: readonly TuningRecord[];
  /** Variants that were left out, and why; a cache that could not be read or written. */
  readonly problems?: readonly string[];
  /** In ascending order of `upTo`; none: the base kernel. */
  matmul(problem: MatmulProblem): Promise<readonly MatmulChoice[]>;
}

/** Where choices are kept from one session to the next: a file, an entry of a store. */
export interface TunerCache {
  /** What was written under this name, if anything. */
  read(name: string): Promise<string | undefined>;
  write(name: string, text: string): Promise<void>;
}

export interface TunerOptions {
  /** Milliseconds that tuning may take in all; 0: no tuning, the base kernels. Default 2,000. */
  budgetMs?: number;
  /** Default: choices are forgotten with the device. */
  cache?: TunerCache | undefined;
}

/**
 * Lets programs that are recorded from now on use the fastest kernels of the same bits: measured on this device within the
 * budget, or remembered from an earlier session.
 */
export async function enableTuner(gpu: Gpu, options: TunerOptions = {}): Promise<void> {
  if (options.budgetMs === 0) return;
  const { Autotuner } = await import('./lazy-autotuner');
  gpu.tuner = await Autotuner.create(gpu, options);
}
