/**
 * @file What an evaluation says over many rollouts: pass@k and pass^k per example, and plain means.
 *
 * From n rollouts of which c are correct, without bias (Chen et al. 2021, arXiv:2107.03374, section 2.1, for the first):
 *
 *   pass@k = 1 - C(n-c, k) / C(n, k)    at least one of k is correct
 *   pass^k = C(c, k) / C(n, k)          all of k are correct
 *
 * Both are computed as products of ratios, so that no binomial coefficient overflows.
 */

/** Chance that at least one of k rollouts, drawn from n with c correct ones, is correct. */
export function passAtK(n: number, c: number, k: number): number {
  check(n, c, k);
  return 1 - drawAll(n, n - c, k);
}

/** Chance that all of k rollouts, drawn from n with c correct ones, are correct. */
export function passHatK(n: number, c: number, k: number): number {
  check(n, c, k);
  return drawAll(n, c, k);
}

/** C(m, k) / C(n, k): the chance that k draws without replacement from n all fall on m given ones. */
function drawAll(n: number, m: number, k: number): number {
  if (k > m) return 0;
  let chance = 1;
  // The same by symmetry: the n-m others all fall on the n-k that were not drawn. The shorter product is taken.
  const [draws, wanted] = k <= n - m ? [k, m] : [n - m, n - k];
  for (let i = 0; i < draws; i++) chance *= (wanted - i) / (n - i);
  return chance;
}

/** @throws RangeError unless they are whole numbers with 0 <= c <= n and 1 <= k <= n */
function check(n: number, c: number, k: number): void {
  const whole = Number.isInteger(n) && Number.isInteger(c) && Number.isInteger(k);
  if (!whole || c < 0 || c > n || k < 1 || k > n) throw new RangeError(`pass@${k} of ${c} correct among ${n}`);
}

/** One rollout of an evaluation, under the names of results.jsonl. */
export interface RolloutOutput {
  example_id: number | string;
  /** Missing counts as 0. Null says that it was not scored: its example is then incomplete. */
  reward?: number | null;
  metrics?: Readonly<Record<string, unknown>> | null;
  /** Anything but null and undefined counts as an error. */
  error?: unknown;
  token_usage?: Readonly<Record<string, number>> | null;
}

/** By k as text, as metadata.json has it. */
export interface PassRates {
  passAtK: Record<string, number>;
  passAllK: Record<string, number>;
}

/**
 * pass@k and pass^k for k = 1, 2, 4, ... up to n, each the mean over the examples with n scored rollouts; the rollouts of
 * an example beyond n are ignored, and so are examples with fewer. Nothing for n <= 1.
 * @param rolloutsPerExample n
 * @param threshold a rollout is correct when its reward is at least this
 * @throws TypeError for an output without example_id
 */
export function passRates(
  outputs: readonly RolloutOutput[],
  { rolloutsPerExample, threshold = 0.5 }: { rolloutsPerExample: number; threshold?: number },
): PassRates {
  const correct = new Map<number | string, boolean[]>();
  for (const { example_id: id, reward = 0 } of outputs) {
    if (id == null) throw new TypeError("output['example_id'] is required.");
    const list = correct.get(id) ?? [];
    if (reward !== null && list.length < rolloutsPerExample) list.push(reward >= threshold);
    correct.set(id, list);
  }
  const complete = [...correct.values()].filter((list) => list.length === rolloutsPerExample);
  const rates: PassRates = { passAtK: {}, passAllK: {} };
  if (rolloutsPerExample <= 1 || complete.length === 0) return rates;
  const counts = complete.map((list) => list.filter(Boolean).length);
  for (let k = 1; k <= rolloutsPerExample; k *= 2) {
    rates.passAtK[k] = mean(counts.map((c) => passAtK(rolloutsPerExample, c, k))).mean;
    rates.passAllK[k] = mean(counts.map((c) => passHatK(rolloutsPerExample, c, k))).mean;
  }
  return rates;
}

/** A mean and how many values went into it; 0 of none. */
export interface Mean {
  mean: number;
  count: number;
}

export interface OutputMeans {
  /** Over all outputs but the unscored (null). */
  reward: Mean;
  /** Share of outputs with an error. */
  errorRate: Mean;
  /** Per output that has them. */
  inputTokens: Mean;
  outputTokens: Mean;
  /** By name, each over the outputs that have it as a number or a truth value. */
  metrics: Record<string, Mean>;
}

/** Means over the outputs of an evaluation. */
export function outputMeans(outputs: readonly RolloutOutput[]): OutputMeans {
  const metrics = new Map<string, number[]>();
  for (const output of outputs) {
    for (const [name, value] of Object.entries(output.metrics ?? {})) {
      if (typeof value !== 'number' && typeof value !== 'boolean') continue;
      const values = metrics.get(name);
      if (values) values.push(Number(value));
      else metrics.set(name, [Number(value)]);
    }
  }
  const tokens = (name: string) =>
    mean(outputs.map(({ token_usage: usage }) => usage?.[name]).filter((count) => count !== undefined));
  return {
    reward: mean(outputs.map(({ reward = 0 }) => reward).filter((reward) => reward !== null)),
    errorRate: mean(outputs.map(({ error }) => (error == null ? 0 : 1))),
    inputTokens: tokens('input_tokens'),
    outputTokens: tokens('output_tokens'),
    metrics: Object.fromEntries([...metrics].map(([name, values]) => [name, mean(values)])),
  };
}

function mean(values: readonly number[]): Mean {
  const count = values.length;
  return { mean: count === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / count, count };
}
