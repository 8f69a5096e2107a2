/**
 * @file The low-rank adapter of a linear layer (LoRA, Hu et al. 2021, arXiv:2106.09685), W' = W + scale up down, around the
 * products of matmul.ts: W' is never made.
 *
 * A fused projection (q, k, v; gate, up) is one matrix W [n, k] whose parts have adapters of their own: `down` stacks theirs,
 * [parts * rank, k], and `up` [n, rank] holds for every row of W that row's part of `up`.
 */
import { linearBackwardInput, linearBackwardWeight, linearScaled } from './matmul';
import type { LowRank } from './matmul';
import type { Recorder, Value } from './program';
import type { Tensor } from './tensor';

/** The adapter of one fused projection. */
export interface LoraWeights {
  /** A, [parts * rank, k] */
  down: Tensor;
  /** B, [n, rank] */
  up: Tensor;
  rank: number;
  /** alpha / rank */
  scale: number;
  /** Where each part of W ends, in rows of W; at most three parts. */
  ends: readonly number[];
}

/** Gradients, in the layout of the weights. */
export type LoraGradients = Pick<LoraWeights, 'down' | 'up'>;

/**
 * Records t = scale x down^T, [m, parts * rank], and returns what `linear` adds.
 * @param options.x [m, k]; `live` as in `linear`
 * @param options.t [m, parts * rank], written
 */
export function loraForward(
  record: Recorder,
  { down, up, rank, scale, ends }: LoraWeights,
  { x, t, live, m, k }: { x: Tensor; t: Tensor; live: Tensor; m: Value; k: number },
): LowRank {
  linearScaled(record, { x, weight: down, y: t, live, m, n: ends.length * rank, k }, scale);
  return { t, up, rank, ends };
}

/**
 * Records u = scale dy up (part by part) and the gradients down += u^T x, up += dy^T t, and returns what
 * `linearBackwardInput` adds.
 * @param options.dy [m, n]
 * @param options.x [m, k] what `down` was applied to
 * @param options.t of the forward
 * @param options.u [m, parts * rank], written
 */
export function loraBackward(
  record: Recorder,
  { down, up, rank, scale, ends }: LoraWeights,
  gradients: LoraGradients,
  { dy, x, t, u, m, n, k }: { dy: Tensor; x: Tensor; t: Tensor; u: Tensor; m: Value; n: number; k: number },
): { t: Tensor; down: Tensor; rank: number } {
  const width = ends.length * rank;
  ends.forEach((end, part) => {
    const begin = part === 0 ? 0 : ends[part - 1]!;
    const rows = end - begin;
    const ofPart = { stride: n, column: begin };
    const inT = { stride: width, column: part * rank };
    const inUp = { stride: rank, row: begin };
    linearBackwardInput(record, {
      dy,
      weight: up,
      dx: u,
      m,
      n: rank,
      k: rows,
      a: ofPart,
      b: inUp,
      c: inT,
      scale,
    });
    linearBackwardWeight(record, {
      dy,
      x: t,
      dWeight: gradients.up,
      m: rows,
      n: rank,
      k: m,
      a: ofPart,
      b: inT,
      c: inUp,
    });
  });
  linearBackwardWeight(record, { dy: u, x, dWeight: gradients.down, m: width, n: k, k: m });
  return { t: u, down, rank: width };
}
