/** @file What a model could have said instead: for each token of a sequence, how likely it was and which others were likelier. */
import type { Generator } from './generator';

export interface TokenAlternatives {
  /** Of the token that is there, in nats. */
  logprob: number;
  /** Tokens that are likelier than it. */
  rank: number;
  /** The likeliest tokens, the first of equal ones first. */
  top: { id: number; logprob: number }[];
}

export interface AlternativesRequest {
  /** A whole sequence, prompt and reply. */
  ids: readonly number[];
  /** Index of the first token that is asked about, at least 1. */
  first: number;
  /** How many likeliest tokens. */
  count: number;
  /** Of the softmax; 0 is taken as 1, as log-probabilities of greedy replies are. */
  temperature: number;
  signal?: AbortSignal | undefined;
}

/**
 * One forward pass over the sequence, on the kernels that sampled it: the log-probabilities are those it was sampled with, up
 * to the rounding of the last sum.
 * @returns one for each token from `first` on
 * @throws RangeError, ContextLengthError; the signal's reason
 */
export async function alternatives(
  generator: Generator,
  { ids, first, count, temperature, signal }: AlternativesRequest,
): Promise<TokenAlternatives[]> {
  const found: TokenAlternatives[] = [];
  await generator.generate({
    promptIds: ids.slice(0, -1), // nothing is asked about what comes after the last
    sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens: 1, stopTokens: [] },
    key: [0, 0],
    logits: {
      from: first - 1,
      onLogits: (position, logits) => found.push(readLogits(logits, ids[position + 1]!, count, temperature || 1)),
    },
    signal,
  });
  return found;
}

/** What logits say of one token, in float64. */
export function readLogits(logits: Float32Array, token: number, count: number, temperature: number): TokenAlternatives {
  let most = -Infinity;
  for (const logit of logits) most = Math.max(most, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp((logit - most) / temperature);
  const normalizer = Math.log(sum);
  const logprobOf = (id: number) => (logits[id]! - most) / temperature - normalizer;
  const own = logits[token]!;
  let rank = 0;
  const top: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit > own) rank++;
    if (top.length === count && logit <= logits[top.at(-1)!]!) continue;
    const at = top.findLastIndex((other) => logits[other]! >= logit) + 1;
    top.splice(at, 0, id);
    if (top.length > count) top.pop();
  }
  return { logprob: logprobOf(token), rank, top: top.map((id) => ({ id, logprob: logprobOf(id) })) };
}
