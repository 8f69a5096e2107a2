/** @file What the benchmark asks of a trainer. */
import type { Batch } from './data';

export interface Trainer {
  name: string;
  /**
   * One optimizer step, waited for to its end.
   * @returns the loss of the batch before the update
   */
  step(batch: Batch): Promise<number>;
}
