/** @file What the benchmark asks of a trainer. */
import type { Batch } from './data';

/** What choosing among variants of a kernel cost. */
export interface Tuning {
  pipelines: number;
  ms: number;
}

export interface Trainer {
  name: string;
  /** What trying out kernels on the device has cost so far; part of the start's figures. */
  tuning?: () => Tuning;
  /**
   * One optimizer step, waited for to its end.
   * @returns the loss of the batch before the update
   */
  step(batch: Batch): Promise<number>;
}
