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

type Draw<Row> = (random: Random) => Row;

/**
 * Endless training tasks and 1,000 held-out ones, each drawn from its own random numbers until its text is on the right
 * side of the split.
 * @param text by which the split is made; the question unless given
 */
export function splitDatasets<Row extends TaskRow>(
  seed: number,
  draw: Draw<Row>,
  text: (row: Row) => string = (row) => row.question!,
): { dataset: Dataset; evalDataset: Dataset } {
  return bothSides((split, index) => drawOn(seed, split, index, draw, text));
}

/** The same with what draws the tasks loaded when the first one is asked for. */
export function lazySplitDatasets<Row extends TaskRow>(
  seed: number,
  load: () => Promise<Draw<Row>>,
): { dataset: Dataset; evalDataset: Dataset } {
  return bothSides(async (split, index) => drawOn(seed, split, index, await load(), (row) => row.question!));
}

function bothSides(row: (split: number, index: number) => TaskRow | Promise<TaskRow>) {
  return { dataset: generated((index) => row(0, index)), evalDataset: generated((index) => row(1, index), EVAL_ROWS) };
}

function drawOn<Row>(seed: number, split: number, index: number, draw: Draw<Row>, text: (row: Row) => string): Row {
  const random = new Random(deriveKey(seed, PURPOSE.dataset, split, index));
  for (;;) {
    const drawn = draw(random);
    if (isHeldOut(text(drawn)) === (split === 1)) return drawn;
  }
}
