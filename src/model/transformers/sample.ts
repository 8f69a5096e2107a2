/**
 * @file The sampler of sample.wgsl on the host, for logits that another engine computed: temperature, top-k, top-p, min-p
 * in this order, each on the renormalised rest, then the inverse of the cumulative distribution at the uniform number of
 * key and position. The same logits give the same token in both, but for sums that float32 rounds across a boundary.
 */
import { uniform } from '../../random';
import type { RandomKey } from '../../random';
import { NonFiniteLogitsError } from '../generator';
import type { TokenSampling } from '../generator';

export interface SampledToken {
  id: number;
  /** Under softmax(logits / temperature), before the filters; at temperature 1 when greedy. */
  logprob: number;
}

/**
 * Samples one token.
 * @param position of the new token in its sequence: the random number's counter
 * @throws NonFiniteLogitsError
 */
export function sampleToken(
  logits: Float32Array,
  { temperature, topK, topP, minP }: Omit<TokenSampling, 'maxTokens' | 'stopTokens'>,
  key: RandomKey,
  position: number,
): SampledToken {
  const z = Float64Array.from(logits, (logit) => (temperature > 0 ? logit / temperature : logit));
  let best = 0;
  for (let v = 1; v < z.length; v++) if (z[v]! > z[best]!) best = v;
  const largest = z[best]!;
  const mass = z.map((value) => Math.exp(value - largest));
  const total = sum(mass);
  if (!Number.isFinite(total)) throw new NonFiniteLogitsError(`logits that are not finite at position ${position}`);
  const logprobOf = (id: number) => z[id]! - largest - Math.log(total);
  if (temperature === 0) return { id: best, logprob: logprobOf(best) };

  const kept = filter(mass, { topK, topP, minP });
  const wanted = uniform(key, position) * kept.reduce((all, v) => all + mass[v]!, 0);
  let before = 0;
  const id = kept.find((v) => wanted < (before += mass[v]!)) ?? kept.at(-1)!;
  return { id, logprob: logprobOf(id) };
}

/** Ids that the filters leave, in ascending order. Of equal logits the lower id is kept first. */
function filter(mass: Float64Array, { topK, topP, minP }: Pick<TokenSampling, 'topK' | 'topP' | 'minP'>): number[] {
  let kept = Array.from(mass, (_, v) => v);
  if (topK > 0 || topP < 1) kept.sort((a, b) => mass[b]! - mass[a]! || a - b);
  if (topK > 0) kept = kept.slice(0, topK);
  if (topP < 1) {
    const wanted = topP * kept.reduce((all, v) => all + mass[v]!, 0);
    let reached = 0;
    const last = kept.findIndex((v) => (reached += mass[v]!) >= wanted);
    kept = kept.slice(0, last < 0 ? kept.length : last + 1);
  }
  if (minP > 0) kept = kept.filter((v) => mass[v]! >= minP);
  return kept.sort((a, b) => a - b);
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
