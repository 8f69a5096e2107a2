/** @file Causal grouped-query attention: packed sequences for training, the paged cache for generation. */
import backwardKvSource from './attention_backward_kv.wgsl?raw';
import backwardQSource from './attention_backward_q.wgsl?raw';
import pagedSource from './attention_paged.wgsl?raw';
import pagedShortSource from './attention_paged_short.wgsl?raw';
import source from './attention.wgsl?raw';
import sharedSource from './attention_shared.wgsl?raw';
import headSource from './head_vector.wgsl?raw';
import { kernel } from './kernel';
import type { Recorder, Value } from './program';
import { tiles, valueOf } from './program';
import type { Heads, PagedCache } from './rope';
import { PAGE } from './rope';
import { isSoftware } from './software';
import { bytesOf } from './tensor';
import type { Tensor } from './tensor';

const attentionKernel = kernel('attention', headSource, sharedSource, source);
const backwardQKernel = kernel('attention_backward_q', headSource, sharedSource, backwardQSource);
const backwardKvKernel = kernel('attention_backward_kv', headSource, sharedSource, backwardKvSource);
const pagedKernel = kernel('attention_paged', pagedSource);
const pagedShortKernel = kernel('attention_paged_short', headSource, pagedShortSource);

/** Contexts up to this many tokens are short: a thread walks over all keys of its row. */
const SHORT_CONTEXT = 256;

export interface AttentionOptions extends Heads {
  /** [tokens, (Q + K) headDim], rotated. */
  qk: Tensor;
  /** [tokens, (Q + 2 K) headDim]; the v part is read. */
  qkv: Tensor;
  /** [tokens]: index of the first token of the token's sequence. */
  sequenceBegin: Tensor;
  /** [tokens, Q headDim] */
  out: Tensor;
  /** [tokens, Q] */
  lse: Tensor;
  tokens: Value;
  /** Sum over tokens of (position + 1): the query-key pairs, for the cost estimate. */
  pairs: () => number;
}

/** What head_vector.wgsl asks for. */
const vector = ({ gpu }: Recorder, headDim: number) => ({
  HEAD_DIM: headDim,
  VEC: Number(headDim % 4 === 0),
  ROLLED: Number(isSoftware(gpu.adapterName)),
});

const common = (record: Recorder, { tokens, qHeads, kvHeads, headDim }: Heads & { tokens: Value }) => ({
  params: { tokens, q_heads: qHeads, kv_heads: kvHeads, scale: headDim ** -0.5 },
  constants: vector(record, headDim),
});

/** out = softmax(q k^T / sqrt(headDim)) v within each sequence, causal. */
export function attention(record: Recorder, options: AttentionOptions): void {
  const { qk, qkv, sequenceBegin, out, lse, tokens, pairs, qHeads, headDim } = options;
  record.dispatch(attentionKernel, {
    ...common(record, options),
    bindings: { qk, qkv, sequence_begin: sequenceBegin, out, lse },
    workgroups: () => [tiles(valueOf(tokens), 64), qHeads],
    flops: () => 4 * pairs() * qHeads * headDim,
  });
}

export interface AttentionBackwardOptions extends AttentionOptions {
  /** [tokens]: one past the last token of the token's sequence. */
  sequenceEnd: Tensor;
  /** [tokens, Q headDim] */
  dout: Tensor;
  /** [tokens, (Q + K) headDim], written. */
  dqk: Tensor;
  /** [tokens, (Q + 2 K) headDim], its v part written. */
  dqkv: Tensor;
  /** [tokens, Q], scratch. */
  delta: Tensor;
}

/** Gradients of `attention`: dqk gets those of the rotated q and k, dqkv that of v. */
export function attentionBackward(record: Recorder, options: AttentionBackwardOptions): void {
  const { qk, qkv, sequenceBegin, sequenceEnd, out, lse, dout, dqk, dqkv, delta } = options;
  const { tokens, pairs, qHeads, kvHeads, headDim } = options;
  record.dispatch(backwardQKernel, {
    ...common(record, options),
    bindings: { qk, qkv, sequence_begin: sequenceBegin, out, lse, dout, dqk, delta },
    workgroups: () => [tiles(valueOf(tokens), 64), qHeads],
    flops: () => 6 * pairs() * qHeads * headDim,
  });
  record.dispatch(backwardKvKernel, {
    ...common(record, options),
    bindings: { qk, qkv, sequence_end: sequenceEnd, lse, delta, dout, dqk, dqkv },
    workgroups: () => [tiles(valueOf(tokens), 64), kvHeads],
    flops: () => 8 * pairs() * qHeads * headDim,
  });
}

export interface PagedAttentionOptions extends Heads, PagedCache {
  /** [rows, Q headDim], rotated. */
  q: Tensor;
  /** [rows, Q headDim] */
  out: Tensor;
  rows: Value;
}

/**
 * out[r] = attention of row r over positions 0 .. its own of its slot in the cache. Which kernel does it depends on the
 * context alone, so a row's bits are the same in every program of a model.
 */
export function pagedAttention(record: Recorder, options: PagedAttentionOptions): void {
  const { q, out, rows, qHeads, kvHeads, headDim } = options;
  const { cache, pageTable, rowPlace, live, pagesPerSlot } = options;
  const isShort = pagesPerSlot * PAGE <= SHORT_CONTEXT;
  record.dispatch(isShort ? pagedShortKernel : pagedKernel, {
    bindings: { live, q, cache, row_place: rowPlace, page_table: pageTable, out },
    params: { rows, q_heads: qHeads, kv_heads: kvHeads, pages_per_slot: pagesPerSlot, scale: headDim ** -0.5 },
    constants: {
      PAGE,
      HALF_CACHE: Number(cache.dtype === 'f16'),
      ...(isShort ? vector(record, headDim) : { HEAD_DIM: headDim }),
    },
    workgroups: () => [isShort ? tiles(valueOf(rows), 64) : valueOf(rows), qHeads],
    // How long each row's context is only the GPU knows: at most all that its slot may hold.
    bytes: () => {
      const context = bytesOf(pagesPerSlot * PAGE * 2 * kvHeads * headDim, cache.dtype);
      return valueOf(rows) * 4 * 2 * qHeads * headDim + Math.min(cache.byteLength, valueOf(rows) * context);
    },
  });
}
