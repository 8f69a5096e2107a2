/** @file Rotary positions, with Qwen3's per-head q/k norm, for training and for the key-value cache. */
import { kernel } from './kernel';
import type { Recorder, Value } from './program';
import { grid1d, tiles, valueOf } from './program';
import backwardSource from './rope_backward.wgsl?raw';
import source from './rope.wgsl?raw';
import { bytesOf } from './tensor';
import type { Tensor } from './tensor';

const ropeKernel = kernel('rope', source);
const backwardKernel = kernel('rope_backward', backwardSource);

/** Numbers of heads; query head h attends with key-value head floor(h * kvHeads / qHeads). */
export interface Heads {
  qHeads: number;
  kvHeads: number;
  headDim: number;
}

/** Llama 3's stretching of low frequencies, as in Hugging Face's `rope_scaling` of type llama3. */
export interface Llama3RopeScaling {
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  originalMaxPositions: number;
}

/**
 * (cos, sin) of position * inv_freq for every position and frequency, computed in float64.
 * @returns [positions, headDim / 2, 2]
 */
export function ropeTable(
  positions: number,
  headDim: number,
  theta: number,
  scaling?: Llama3RopeScaling,
): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const table = new Float32Array(positions * half * 2);
  for (let i = 0; i < half; i++) {
    let frequency = theta ** (-(2 * i) / headDim);
    if (scaling) frequency = scaleLlama3(frequency, scaling);
    for (let position = 0; position < positions; position++) {
      table[(position * half + i) * 2] = Math.cos(position * frequency);
      table[(position * half + i) * 2 + 1] = Math.sin(position * frequency);
    }
  }
  return table;
}

/** Source: transformers, modeling_rope_utils, `_compute_llama3_parameters`. */
function scaleLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const wavelength = (2 * Math.PI) / frequency;
  const longest = scaling.originalMaxPositions / scaling.lowFreqFactor;
  const shortest = scaling.originalMaxPositions / scaling.highFreqFactor;
  if (wavelength < shortest) return frequency;
  if (wavelength > longest) return frequency / scaling.factor;
  const smooth =
    (scaling.originalMaxPositions / wavelength - scaling.lowFreqFactor) /
    (scaling.highFreqFactor - scaling.lowFreqFactor);
  return ((1 - smooth) * frequency) / scaling.factor + smooth * frequency;
}

/** Elements from q's norm weight to k's in the parameter arena: tensors start at multiples of 64 elements. */
export function normStride(headDim: number): number {
  return Math.ceil(headDim / 64) * 64;
}

/** Where generation keeps keys and values: pages of PAGE positions, found through a table per sequence slot. */
export interface PagedCache {
  /** [pages, 2, PAGE, kvHeads * headDim], f32 or f16 */
  cache: Tensor;
  /** [slots, pagesPerSlot] */
  pageTable: Tensor;
  /** [rows, 2]: slot and position of each row. */
  rowPlace: Tensor;
  live: Tensor;
  pagesPerSlot: number;
}

/** Positions in one page of the key-value cache. */
export const PAGE = 16;

export interface RopeOptions extends Heads {
  /** [rows, (Q + 2 K) headDim] */
  qkv: Tensor;
  /** Training: [rows, (Q + K) headDim]; with `paged`: [rows, Q headDim]. */
  qk: Tensor;
  /** [rows]; in training only. */
  positions?: Tensor | undefined;
  /** From `ropeTable`. */
  table: Tensor;
  /** [2, normStride(headDim)] q and k norm weights (Qwen3). */
  norms?: Tensor | undefined;
  /** [rows, Q + K], kept for the backward; with `norms`, in training only. */
  rstd?: Tensor | undefined;
  paged?: PagedCache | undefined;
  rows: Value;
  eps: number;
}

/** Rotates (and normalises) q and k; with `paged` also stores k and v in the cache. */
export function rope(record: Recorder, options: RopeOptions): void {
  const { qkv, qk, positions, table, norms, rstd, paged, rows, eps, qHeads, kvHeads, headDim } = options;
  const bindings: Record<string, Tensor> = { qkv, qk, table };
  const params: Record<string, Value> = { rows, q_heads: qHeads, kv_heads: kvHeads, eps };
  if (norms) bindings.norms = norms;
  if (paged) {
    const { cache, pageTable, rowPlace, live, pagesPerSlot } = paged;
    Object.assign(bindings, { cache, page_table: pageTable, row_place: rowPlace, live });
    params.pages_per_slot = pagesPerSlot;
  } else {
    bindings.positions = positions!;
    if (norms) bindings.rstd = rstd!;
  }
  const heads = qHeads + (paged ? 2 : 1) * kvHeads;
  record.dispatch(ropeKernel, {
    bindings,
    params,
    constants: {
      HEAD_DIM: headDim,
      QK_NORM: Number(!!norms),
      NORM_STRIDE: normStride(headDim),
      CACHE: Number(!!paged),
      HALF_CACHE: Number(paged?.cache.dtype === 'f16'),
      PAGE,
    },
    workgroups: () => grid1d(tiles(valueOf(rows) * heads, 64)),
    // Of the cache only what is written: the rows' own keys and values.
    ...(paged && {
      bytes: () => valueOf(rows) * headDim * (4 * (heads + qHeads + 1) + kvHeads * bytesOf(2, paged.cache.dtype)),
    }),
  });
}

export interface RopeBackwardOptions extends Heads {
  /** [rows, (Q + K) headDim]; with `norms` it ends as the gradient of the normalised heads. */
  dqk: Tensor;
  /** [rows, (Q + 2 K) headDim]: q and k parts are written. */
  dqkv: Tensor;
  positions: Tensor;
  table: Tensor;
  norms?: Tensor | undefined;
  qkv: Tensor;
  rstd?: Tensor | undefined;
  rows: Value;
}

/** Gradient of `rope` in its training layout. */
export function ropeBackward(record: Recorder, options: RopeBackwardOptions): void {
  const { dqk, dqkv, positions, table, norms, qkv, rstd, rows, qHeads, kvHeads, headDim } = options;
  const bindings: Record<string, Tensor> = { dqk, dqkv, positions, table };
  if (norms) Object.assign(bindings, { norms, qkv, rstd: rstd! });
  record.dispatch(backwardKernel, {
    bindings,
    params: { rows, q_heads: qHeads, kv_heads: kvHeads },
    constants: { HEAD_DIM: headDim, QK_NORM: Number(!!norms), NORM_STRIDE: normStride(headDim) },
    workgroups: () => grid1d(tiles(valueOf(rows) * (qHeads + kvHeads), 64)),
  });
}
