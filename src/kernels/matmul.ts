/** @file Records matrix products; matmul.wgsl has the method and the reason for its summation order. */
import { kernel } from './kernel';
import source from './matmul.wgsl?raw';
import type { Recorder, Value } from './program';
import { tiles, valueOf } from './program';
import { rowPieces, storageFlags } from './tensor';
import type { Tensor } from './tensor';

const matmul = kernel('matmul', source);

/** Rows and columns of C that one workgroup computes. */
const TILE = 32;

interface Sizes {
  /** Rows of C. */
  m: Value;
  /** Columns of C. */
  n: Value;
  /** Length of the sums. */
  k: Value;
}

export interface LinearOptions extends Sizes {
  x: Tensor;
  /** [n, k] */
  weight: Tensor;
  y: Tensor;
  /** One u32: only the first min(m, live[0]) rows are computed. */
  live: Tensor;
  /** [n], added to every row. */
  bias?: Tensor | undefined;
  /** [m, n], added; may not share a buffer with y. */
  residual?: Tensor | undefined;
}

/** A low-rank term of a fused projection, W' = W + up down, whose parts (q, k, v) have ranks of their own. */
export interface LowRank {
  /** scale * x down^T, [m, parts * rank] */
  t: Tensor;
  /** [n, rank] */
  up: Tensor;
  rank: number;
  /** Where each part of W ends, in columns of y; at most three parts. */
  ends: readonly number[];
}

/** y[m,n] = x[m,k] weight[n,k]^T (+ t up^T) (+ bias[n]) (+ residual[m,n]). The weight may be of any storage type. */
export function linear(
  record: Recorder,
  { x, weight, y, live, bias, residual, m, n, k, lora }: LinearOptions & { lora?: LowRank | undefined },
): void {
  const bindings = { a: x, b: weight, c: y, live, ...(bias && { bias }), ...(residual && { residual }) };
  const layout = { NT: 1, BIAS: Number(!!bias), RESIDUAL: Number(!!residual) };
  product(record, bindings, { m, n, k }, layout, [k], { ...(lora && { lora }) });
}

/** Where an operand lies in a wider matrix; by default it is the whole. */
export interface Place {
  /** Elements from row to row. */
  stride: number;
  /** First column. */
  column?: number;
  /** First row. */
  row?: number;
}

interface Options {
  a?: Place;
  b?: Place;
  c?: Place;
  /** Go on from what is in C. */
  accumulate?: boolean;
  scale?: Value;
  lora?: LowRank;
}

/** `linear` with a weight that may be larger than one binding: one product per piece of its rows. */
export function headLinear(record: Recorder, options: Omit<LinearOptions, 'bias' | 'residual'>): void {
  const { x, weight, y, live, m, n, k } = options;
  const pieces = rowPieces(record.gpu, weight);
  if (pieces.length === 1) linear(record, options);
  else {
    for (const { tensor, first, rows } of pieces) {
      const c = { stride: valueOf(n), column: first };
      product(record, { a: x, b: tensor, c: y, live }, { m, n: rows, k }, { NT: 1 }, [k], { c });
    }
  }
}

/**
 * Backward of `headLinear`: dx[m,dim] = dy[m,n] weight[n,dim], and dWeight += dy^T x where there is a gradient. The same
 * bits however many pieces there are: the sums of the first go on through the next.
 */
export function headBackward(
  record: Recorder,
  options: { dy: Tensor; x: Tensor; weight: Tensor; dx: Tensor; dWeight: Tensor | undefined } & {
    rows: Value;
    vocabulary: number;
    dim: number;
  },
): void {
  const { dy, x, weight, dx, dWeight, rows: m, vocabulary, dim } = options;
  const pieces = rowPieces(record.gpu, weight);
  for (const [i, { tensor, first, rows }] of pieces.entries()) {
    const a = pieces.length > 1 ? { a: { stride: vocabulary, column: first }, accumulate: i > 0 } : {};
    linearBackwardInput(record, { dy, weight: tensor, dx, m, n: dim, k: rows, ...a });
  }
  if (!dWeight) return;
  const gradients = rowPieces(record.gpu, dWeight);
  for (const { tensor, first, rows } of gradients) {
    const a = gradients.length > 1 ? { a: { stride: vocabulary, column: first } } : {};
    linearBackwardWeight(record, { dy, x, dWeight: tensor, m: rows, n: dim, k: m, ...a });
  }
}

/** y[m,n] = scale x[m,k] weight[n,k]^T */
export function linearScaled(
  record: Recorder,
  { x, weight, y, live, m, n, k }: Omit<LinearOptions, 'bias' | 'residual'>,
  scale: Value,
): void {
  product(record, { a: x, b: weight, c: y, live }, { m, n, k }, { NT: 1 }, [k], { scale });
}

/**
 * dx[m,n] = dy[m,k] weight[k,n] (+ t[m,rank] down[rank,n]): the gradient of `linear`'s input (its n and k change places
 * here). With `a` dy is a part of a wider matrix; with `accumulate` dx goes on from what it holds.
 */
export function linearBackwardInput(
  record: Recorder,
  {
    dy,
    weight,
    dx,
    m,
    n,
    k,
    lora,
    ...options
  }: Sizes & {
    dy: Tensor;
    weight: Tensor;
    dx: Tensor;
    lora?: { t: Tensor; down: Tensor; rank: number } | undefined;
  } & Pick<Options, 'a' | 'b' | 'c' | 'accumulate' | 'scale'>,
): void {
  product(record, { a: dy, b: weight, c: dx }, { m, n, k }, { NN: 1 }, [k, n], {
    ...options,
    ...(lora && { lora: { t: lora.t, up: lora.down, rank: lora.rank, ends: [] } }),
  });
}

/** dWeight[m,n] += dy[k,m]^T x[k,n], k running over tokens: the gradient of `linear`'s weight, or of a part of it. */
export function linearBackwardWeight(
  record: Recorder,
  {
    dy,
    x,
    dWeight,
    m,
    n,
    k,
    ...options
  }: Sizes & { dy: Tensor; x: Tensor; dWeight: Tensor } & Pick<Options, 'a' | 'b' | 'c'>,
): void {
  product(record, { a: dy, b: x, c: dWeight }, { m, n, k }, { TN: 1 }, [m, n], options);
}

const FLAGS = { NT: 0, NN: 0, TN: 0, BIAS: 0, RESIDUAL: 0 };

function product(
  record: Recorder,
  bindings: Record<'a' | 'b' | 'c', Tensor> & Record<string, Tensor>,
  { m, n, k }: Sizes,
  layout: Partial<typeof FLAGS>,
  contiguous: readonly Value[],
  { a, b, c, accumulate, scale, lora }: Options,
): void {
  const strided = a !== undefined || b !== undefined || c !== undefined;
  const storage = storageFlags(bindings.b.dtype);
  if (b && storage.Q8) throw new Error(`${bindings.b.label}: parts of q8 matrices are not read`);
  const starts = [a?.stride, a?.column, b?.stride, b?.column].filter((size) => size !== undefined);
  const aligned = [...contiguous, ...starts].every((size) => typeof size === 'number' && size % 4 === 0);
  const [aWidth, bWidth] = layout.TN ? [m, n] : layout.NN ? [k, n] : [k, k];
  const all = lora ? { ...bindings, t: lora.t, up: lora.up } : bindings;
  record.dispatch(matmul, {
    bindings: all,
    params: {
      m,
      n,
      k,
      ...(strided && {
        a_stride: a?.stride ?? aWidth,
        a_column: a?.column ?? 0,
        b_stride: b?.stride ?? bWidth,
        b_column: b?.column ?? 0,
        b_row: b?.row ?? 0,
        c_stride: c?.stride ?? n,
        c_column: c?.column ?? 0,
        c_row: c?.row ?? 0,
      }),
      ...(scale !== undefined && { scale }),
      ...(lora && {
        rank: lora.rank,
        t_stride: lora.t.shape[1]!,
        end0: lora.ends[0] ?? 0,
        end1: lora.ends[1] ?? 0xffffffff,
      }),
    },
    constants: {
      ...FLAGS,
      ...layout,
      VEC: Number(aligned),
      ...storage,
      HALF: storage.BF16 + storage.F16,
      STRIDED: Number(strided),
      ACC: Number(accumulate ?? false),
      SCALE: Number(scale !== undefined),
      LORA: Number(!!lora),
    },
    workgroups: () => [tiles(valueOf(n), TILE), tiles(valueOf(m), TILE)],
    flops: () => 2 * valueOf(m) * valueOf(n) * valueOf(k),
  });
}
