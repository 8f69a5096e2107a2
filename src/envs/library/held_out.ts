/**
 * @file Which tasks are never trained on. A hash of the task's own text decides, not a seed: a checkpoint from another run
 * has not seen them either.
 */
import { PURPOSE, Random, deriveKey } from '../../random';
import { generated } from '../dataset';
import type { Dataset, TaskRow } from '../dataset';

/** A tenth of all texts. */
export function isHeldOut(text: string): boolean {
  let hash = 0;
  for (const letter of text) hash = (hash * 131 + letter.charCodeAt(0)) % 1_000_003;
  return hash % 10 === 0;
}

/** Tasks of an eval dataset. */
export const EVAL_ROWS = 1000;

/**
 * Endless training tasks and 1,000 held-out ones, each drawn from its own random numbers until its text is on the right
 * side of the split.
 * @param text by which the split is made; the question unless given
 */
export function splitDatasets<Row extends TaskRow>(
  seed: number,
  draw: (random: Random) => Row,
  text: (row: Row) => string = (row) => row.question!,
): { dataset: Dataset; evalDataset: Dataset } {
  const row = (split: number, index: number) => {
    const random = new Random(deriveKey(seed, PURPOSE.dataset, split, index));
    for (;;) {
      const drawn = draw(random);
      if (isHeldOut(text(drawn)) === (split === 1)) return drawn;
    }
  };
  return { dataset: generated((index) => row(0, index)), evalDataset: generated((index) => row(1, index), EVAL_ROWS) };
}
