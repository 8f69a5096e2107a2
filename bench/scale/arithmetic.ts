/**
 * @file What a GRPO step computes and moves, counted from the model's shape. A multiply-add is two operations. Norms,
 * rotations, softmax and AdamW are left out of the operations: together they are under 2% at these widths.
 */
import { countParameters } from '../../src/model';
import type { ModelConfig } from '../../src/model';
import { BYTES_PER_ELEMENT, CACHE_BYTES_PER_ELEMENT, LORA_RANK } from './methods';
import type { Method } from './methods';

/** One step: prompts, rollouts of each, and how long they are. */
export interface Workload {
  groups: number;
  groupSize: number;
  promptTokens: number;
  completionTokens: number;
}

/** Elements of the layers' matrices, which every token is multiplied with; the output projection is none of them. */
export function layerElements(model: ModelConfig): number {
  const { hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, layers } = model;
  return layers * ((2 * heads + 2 * kvHeads) * headDim * d + 3 * f * d);
}

/** Elements of adapters on all seven matrices of every layer: rank x (inputs + outputs) of each. */
export function adapterElements(model: ModelConfig, rank = LORA_RANK): number {
  const { hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, layers } = model;
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  return layers * rank * (3 * d + q + 2 * kv + (q + d) + 2 * (d + f) + (f + d));
}

/** Operations of attention over so many pairs of a token and one that it sees: two products, q k^T and the mean of v. */
function attentionFlops({ heads, headDim, layers }: ModelConfig, pairs: number): number {
  return 4 * layers * heads * headDim * pairs;
}

/** Its backward has five: the weights again, and the gradients of v, of the weights, of q and of k. */
const ATTENTION_BACKWARD = 2.5;

/** Pairs of a token and one that it sees, itself included, of the tokens from one position up to another. */
export function causalPairs(begin: number, end: number): number {
  return ((end - begin) * (begin + end + 1)) / 2;
}

export interface StepFlops {
  /** Prompts, once per group. */
  prefill: number;
  decode: number;
  forward: number;
  backward: number;
  total: number;
}

/**
 * Operations of one GRPO step. The output projection is computed where a token is sampled or carries loss, in the update
 * twice, so that logits need not be kept. Backward through a matrix costs as much as its forward for the input, and as much
 * again for a weight that is trained. Activations that are computed again are another forward of the layers.
 */
export function stepFlops(model: ModelConfig, work: Workload, method: Method, recompute: boolean): StepFlops {
  const { groups, groupSize, promptTokens: p, completionTokens: c } = work;
  const rollouts = groups * groupSize;
  const adapter = method === 'lora' ? 2 * adapterElements(model) : 0;
  const matrices = 2 * layerElements(model);
  const perToken = matrices + adapter;
  const head = 2 * model.hiddenSize * model.vocabSize;

  const prefill = groups * (p * perToken + head + attentionFlops(model, causalPairs(0, p)));
  const decode = rollouts * (c * (perToken + head) + attentionFlops(model, causalPairs(p, p + c)));
  const tokens = rollouts * (p + c);
  const heads = rollouts * c * head;
  const attention = rollouts * attentionFlops(model, causalPairs(0, p + c));
  const forward = (recompute ? 2 : 1) * (tokens * perToken + attention) + 2 * heads;
  const trained = method === 'full' ? tokens * matrices + heads : tokens * adapter;
  const backward = tokens * perToken + heads + trained + ATTENTION_BACKWARD * attention;
  return { prefill, decode, forward, backward, total: prefill + decode + forward + backward };
}

/** Bytes of keys and values of one token. */
export function cacheBytesPerToken({ kvHeads, headDim, layers }: ModelConfig): number {
  return 2 * layers * kvHeads * headDim * CACHE_BYTES_PER_ELEMENT;
}

/** Rollouts that a cache of so many bytes holds at once, of those that there are. */
export function rolloutsAtOnce(model: ModelConfig, work: Workload, cacheBytes: number): number {
  const { groups, groupSize, promptTokens, completionTokens } = work;
  const tokens = Math.floor(cacheBytes / cacheBytesPerToken(model));
  return Math.min(groups * groupSize, Math.floor(tokens / (promptTokens + completionTokens)));
}

/**
 * Bytes that sampling a step's completions reads: all weights once per position of every batch of rollouts that runs
 * together, and every rollout's cache at every position.
 */
export function decodeBytes(model: ModelConfig, work: Workload, method: Method, atOnce: number): number {
  const { groups, groupSize, promptTokens: p, completionTokens: c } = work;
  const rollouts = groups * groupSize;
  const weights = countParameters(model) * BYTES_PER_ELEMENT[method]; // the head is read whole
  return (rollouts / atOnce) * c * weights + rollouts * cacheBytesPerToken(model) * causalPairs(p, p + c);
}

/** Bytes that AdamW moves: it reads parameter, gradient and both moments, and writes all but the gradient. */
export function optimizerBytes(model: ModelConfig, method: Method): number {
  return 7 * 4 * (method === 'full' ? countParameters(model) : adapterElements(model));
}
