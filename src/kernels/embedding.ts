/** @file Token embedding and its gradient. */
import backwardSource from './embedding_backward.wgsl?raw';
import source from './embedding.wgsl?raw';
import { kernel } from './kernel';
import type { Recorder, Value } from './program';
import { grid1d, tiles, valueOf } from './program';
import { rowPieces, storageFlags } from './tensor';
import type { Tensor } from './tensor';

const embeddingKernel = kernel('embedding', source);
const backwardKernel = kernel('embedding_backward', backwardSource);

export interface EmbeddingOptions {
  /** [rows] u32 */
  ids: Tensor;
  /** [vocabulary, dim] */
  weight: Tensor;
  /** [rows, dim] */
  out: Tensor;
  live: Tensor;
  rows: Value;
  dim: number;
}

/** out[r,:] = weight[ids[r],:]; the weight may be of any storage type, and larger than one binding. */
export function embedding(record: Recorder, { rows, dim, weight, ...bindings }: EmbeddingOptions): void {
  for (const piece of rowPieces(record.gpu, weight)) {
    record.dispatch(embeddingKernel, {
      bindings: { ...bindings, weight: piece.tensor },
      params: { rows, dim, first: piece.first, count: piece.rows },
      constants: storageFlags(weight.dtype),
      workgroups: () => grid1d(tiles(valueOf(rows) * dim, 64)),
    });
  }
}

/** Rows grouped by id: what the gradient walks over. */
export interface RowsById {
  /** The distinct ids, ascending. */
  ids: Uint32Array<ArrayBuffer>;
  /** [ids.length + 1]: where each id's rows begin in `order`. */
  begin: Uint32Array<ArrayBuffer>;
  /** [rows]: row indices, grouped by id, ascending within each. */
  order: Uint32Array<ArrayBuffer>;
}

/** Counting sort of rows by their id. */
export function groupRowsById(rows: Uint32Array, vocabulary: number): RowsById {
  const counts = new Uint32Array(vocabulary + 1);
  for (const id of rows) counts[id + 1]!++;
  const distinct: number[] = [];
  for (let id = 0; id < vocabulary; id++) if (counts[id + 1]! > 0) distinct.push(id);
  for (let id = 0; id < vocabulary; id++) counts[id + 1]! += counts[id]!;
  const begin = Uint32Array.from([...distinct.map((id) => counts[id]!), rows.length]);
  const order = new Uint32Array(rows.length);
  rows.forEach((id, row) => (order[counts[id]!++] = row));
  return { ids: Uint32Array.from(distinct), begin, order };
}

export interface EmbeddingBackwardOptions {
  dx: Tensor;
  /** [distinct], from `groupRowsById`. */
  distinctIds: Tensor;
  /** [distinct + 1] */
  begin: Tensor;
  /** [rows] */
  order: Tensor;
  /** [vocabulary, dim], added to. */
  gradient: Tensor;
  distinct: Value;
  dim: number;
}

/** gradient[v,:] += sum of dx over the rows with id v. */
export function embeddingBackward(record: Recorder, options: EmbeddingBackwardOptions): void {
  const { dx, distinctIds, begin, order, gradient, distinct, dim } = options;
  for (const piece of rowPieces(record.gpu, gradient)) {
    record.dispatch(backwardKernel, {
      bindings: { dx, distinct_ids: distinctIds, begin, order, gradient: piece.tensor },
      params: { distinct, dim, first: piece.first, count: piece.rows },
      workgroups: () => grid1d(tiles(valueOf(distinct) * dim, 64)),
    });
  }
}
