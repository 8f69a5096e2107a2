/** @file Dropout with a mask that is never kept; dropout.wgsl has the method. */
import source from './dropout.wgsl?raw';
import { kernel } from './kernel';
import type { Recorder, Value } from './program';
import { grid1d, tiles, valueOf } from './program';
import randomSource from './random.wgsl?raw';
import type { Tensor } from './tensor';

const dropoutKernel = kernel('dropout', randomSource, source);

/** Which elements are left out; read anew at every replay. */
export interface DropoutMask {
  /** Share of the elements that is left out, from 0 to below 1; at 0 nothing changes. */
  rate: Value;
  key: () => readonly [number, number];
  /** Number of the first row. */
  firstRow: Value;
}

interface Sizes {
  /** [rows, columns] */
  x: Tensor;
  rows: Value;
  columns: number;
  mask: DropoutMask;
}

/** out[rows, columns] = dropout(x). */
export function dropout(record: Recorder, options: Sizes & { out: Tensor }): void {
  masked(record, options, 0);
}

/** out[rows, columns] += the gradient that `x` is for the output of a dropout with the same mask. */
export function dropoutBackward(record: Recorder, options: Sizes & { out: Tensor }): void {
  masked(record, options, 1);
}

function masked(record: Recorder, { x, out, rows, columns, mask }: Sizes & { out: Tensor }, add: 0 | 1): void {
  record.dispatch(dropoutKernel, {
    bindings: { x, out },
    params: {
      rows,
      columns,
      first_row: mask.firstRow,
      key0: () => mask.key()[0],
      key1: () => mask.key()[1],
      rate: mask.rate,
      scale: () => 1 / (1 - valueOf(mask.rate)),
    },
    constants: { ADD: add },
    workgroups: () => grid1d(tiles(valueOf(rows) * Math.ceil(columns / 2), 64)),
  });
}
