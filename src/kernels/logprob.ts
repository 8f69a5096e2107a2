/** @file Log-probability and entropy over the vocabulary, and the gradient back to the logits, chunk by chunk. */
import { kernel } from './kernel';
import backwardSource from './logits_backward.wgsl?raw';
import source from './logprob.wgsl?raw';
import type { Recorder, Value } from './program';
import { grid1d, tiles, valueOf } from './program';
import { lanesFor } from './rmsnorm';
import type { Tensor } from './tensor';

const logprobKernel = kernel('logprob', source);
const backwardKernel = kernel('logits_backward', backwardSource);

interface Chunk {
  /** [chunk rows, vocabulary] */
  logits: Tensor;
  /** [rows] u32: the token whose log-probability is wanted. */
  targets: Tensor;
  /** [rows, 2]: largest scaled logit, and log of the sum of exponentials relative to it. */
  lse: Tensor;
  /** [rows], nats. */
  entropy: Tensor;
  /** Rows of this chunk. */
  rows: Value;
  /** Index of the chunk's first row in targets and results. */
  offset: number;
  vocabulary: number;
  temperature: Value;
}

const parameters = ({ rows, vocabulary, offset, temperature }: Chunk) => ({
  rows,
  vocabulary,
  offset,
  inverse_temperature: () => 1 / valueOf(temperature),
});

/** Per row of the chunk: log softmax(logits / temperature) at the target, its entropy, its log-sum-exp. */
export function logprob(record: Recorder, chunk: Chunk & { logprob: Tensor }): void {
  const { logits, targets, lse, entropy, rows, vocabulary } = chunk;
  const lanes = lanesFor(vocabulary);
  record.dispatch(logprobKernel, {
    bindings: { logits, targets, logprob: chunk.logprob, entropy, lse },
    params: parameters(chunk),
    constants: { LANES: lanes },
    workgroups: () => grid1d(tiles(valueOf(rows), 64 / lanes)),
  });
}

/**
 * Replaces the chunk's logits by the loss's gradient with respect to them.
 * @param chunk.dlogprob [rows, 2]: derivative by the log-probability, and weight of the entropy bonus
 */
export function logitsBackward(record: Recorder, chunk: Chunk & { dlogprob: Tensor }): void {
  const { logits, targets, lse, entropy, dlogprob, rows, vocabulary } = chunk;
  record.dispatch(backwardKernel, {
    bindings: { logits, targets, lse, entropy, dlogprob },
    params: parameters(chunk),
    workgroups: () => grid1d(tiles(valueOf(rows) * vocabulary, 64)),
  });
}
