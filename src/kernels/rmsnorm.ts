/** @file RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467) and its gradients. */
import columnSumSource from './column_sum.wgsl?raw';
import { kernel } from './kernel';
import type { Recorder, Value } from './program';
import { grid1d, tiles, valueOf } from './program';
import backwardSource from './rmsnorm_backward.wgsl?raw';
import source from './rmsnorm.wgsl?raw';
import type { Tensor } from './tensor';

const rmsnormKernel = kernel('rmsnorm', source);
const backwardKernel = kernel('rmsnorm_backward', backwardSource);
const columnSumKernel = kernel('column_sum', columnSumSource);

/** Threads that share a row of `dim` elements: about 16 elements each, a power of two, at most 64. */
export function lanesFor(dim: number): number {
  let lanes = 1;
  while (lanes < 64 && lanes * 16 < dim) lanes *= 2;
  return lanes;
}

export interface RmsNormOptions {
  /** [tokens, dim] */
  x: Tensor;
  /** [dim] */
  weight: Tensor;
  /** [rows, dim] */
  y: Tensor;
  /** [rows], kept for the backward. */
  rstd: Tensor;
  live: Tensor;
  rows: Value;
  dim: number;
  eps: number;
  /** [rows]: row r of y comes from row index[r] of x. */
  index?: Tensor | undefined;
}

/** y[r,:] = weight * x[r,:] / sqrt(mean(x[r,:]^2) + eps). */
export function rmsnorm(record: Recorder, { rows, dim, eps, index, ...tensors }: RmsNormOptions): void {
  const lanes = lanesFor(dim);
  record.dispatch(rmsnormKernel, {
    bindings: index ? { ...tensors, index } : { ...tensors },
    params: { rows, dim, eps },
    constants: { LANES: lanes, GATHER: Number(!!index) },
    workgroups: () => grid1d(tiles(valueOf(rows), 64 / lanes)),
  });
}

export interface RmsNormBackwardOptions {
  x: Tensor;
  weight: Tensor;
  rstd: Tensor;
  dy: Tensor;
  /** Added to (residual stream); with `slot`, written. */
  dx: Tensor;
  /** Rows of dx. */
  rows: Value;
  dim: number;
  /** [rows]: which row of dy belongs to this row, 0xffffffff for none. */
  slot?: Tensor | undefined;
}

/** Gradient with respect to the input of `rmsnorm`. */
export function rmsnormBackward(record: Recorder, { rows, dim, slot, ...tensors }: RmsNormBackwardOptions): void {
  const lanes = lanesFor(dim);
  record.dispatch(backwardKernel, {
    bindings: slot ? { ...tensors, slot } : { ...tensors },
    params: { rows, dim },
    constants: { LANES: lanes, GATHER: Number(!!slot) },
    workgroups: () => grid1d(tiles(valueOf(rows), 64 / lanes)),
  });
}

/** Where the heads of one token lie in a [tokens, stride] tensor. */
interface Slice {
  tensor: Tensor;
  stride: number;
  offset?: number;
}

export interface NormWeightGradientOptions {
  x: Slice;
  dy: Slice;
  rstd: Slice;
  /** [dim], added to. */
  gradient: Tensor;
  tokens: Value;
  heads?: number;
  dim: number;
  index?: Tensor | undefined;
}

/** gradient[c] += sum over tokens and heads of dy x rstd: the weight of an RMSNorm over rows or over heads. */
export function rmsnormBackwardWeight(record: Recorder, options: NormWeightGradientOptions): void {
  const { x, dy, rstd, gradient, tokens, heads = 1, dim, index } = options;
  const bindings = { dy: dy.tensor, gradient, x: x.tensor, rstd: rstd.tensor };
  record.dispatch(columnSumKernel, {
    bindings: index ? { ...bindings, index } : bindings,
    params: {
      rows: () => valueOf(tokens) * heads,
      columns: dim,
      heads,
      dy_stride: dy.stride,
      dy_offset: dy.offset ?? 0,
      x_stride: x.stride,
      x_offset: x.offset ?? 0,
      rstd_stride: rstd.stride,
      rstd_offset: rstd.offset ?? 0,
    },
    constants: { NORM: 1, GATHER: Number(!!index) },
    workgroups: () => [tiles(dim, 8)],
  });
}

/** gradient[c] += sum over rows of dy[r,c]: the bias of a linear layer. */
export function biasGradient(
  record: Recorder,
  { dy, gradient, rows, columns }: { dy: Tensor; gradient: Tensor; rows: Value; columns: number },
): void {
  const zeros = { dy_offset: 0, x_stride: 0, x_offset: 0, rstd_stride: 0, rstd_offset: 0 };
  record.dispatch(columnSumKernel, {
    bindings: { dy, gradient },
    params: { rows, columns, heads: 1, dy_stride: columns, ...zeros },
    constants: { NORM: 0, GATHER: 0 },
    workgroups: () => [tiles(columns, 8)],
  });
}
