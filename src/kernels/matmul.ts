/** @file Records matrix products; matmul.wgsl has the method and the reason for its summation order. */
import { kernel } from './kernel';
import source from './matmul.wgsl?raw';
import type { Recorder, Value } from './program';
import { tiles, valueOf } from './program';
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

/** y[m,n] = x[m,k] weight[n,k]^T (+ bias[n]) (+ residual[m,n]). */
export function linear(record: Recorder, { x, weight, y, live, bias, residual, m, n, k }: LinearOptions): void {
  const bindings: Record<string, Tensor> = { a: x, b: weight, c: y, live };
  if (bias) bindings.bias = bias;
  if (residual) bindings.residual = residual;
  product(record, bindings, { m, n, k }, { NT: 1, BIAS: Number(!!bias), RESIDUAL: Number(!!residual) }, [k]);
}

/** dx[m,n] = dy[m,k] weight[k,n]: the gradient of `linear`'s input (its n and k change places here). */
export function linearBackwardInput(
  record: Recorder,
  { dy, weight, dx, m, n, k }: Sizes & { dy: Tensor; weight: Tensor; dx: Tensor },
): void {
  product(record, { a: dy, b: weight, c: dx }, { m, n, k }, { NN: 1 }, [k, n]);
}

/** dWeight[m,n] += dy[k,m]^T x[k,n], k running over tokens: the gradient of `linear`'s weight. */
export function linearBackwardWeight(
  record: Recorder,
  { dy, x, dWeight, m, n, k }: Sizes & { dy: Tensor; x: Tensor; dWeight: Tensor },
): void {
  product(record, { a: dy, b: x, c: dWeight }, { m, n, k }, { TN: 1 }, [m, n]);
}

function product(
  record: Recorder,
  bindings: Record<string, Tensor>,
  { m, n, k }: Sizes,
  layout: Record<string, number>,
  contiguous: readonly Value[],
): void {
  const aligned = contiguous.every((size) => typeof size === 'number' && size % 4 === 0);
  record.dispatch(matmul, {
    bindings,
    params: { m, n, k },
    constants: { NT: 0, NN: 0, TN: 0, BIAS: 0, RESIDUAL: 0, ...layout, VEC: Number(aligned) },
    workgroups: () => [tiles(valueOf(n), TILE), tiles(valueOf(m), TILE)],
    flops: () => 2 * valueOf(m) * valueOf(n) * valueOf(k),
  });
}
