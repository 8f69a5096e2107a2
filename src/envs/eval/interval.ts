/**
 * @file Means with 95% intervals.
 *
 * Rollouts of one example are not independent: what counts as drawn is the example. With scores s_ij of rollout j of
 * example i, G examples, n rollouts in all and mean m:
 *
 *     SE^2 = G / (G - 1) * 1 / n^2 * sum_i (sum_j (s_ij - m))^2
 *     interval = m -+ t(0.975, G - 1) * SE
 *
 * The clustered standard error of Miller 2024, "Adding Error Bars to Evals" (arXiv:2411.00640), with the two corrections
 * for few clusters, G / (G - 1) and Student's t, of Cameron and Miller 2015, "A Practitioner's Guide to Cluster-Robust
 * Inference". With one rollout per example it is the textbook's t interval. Where every score is the same its width is 0:
 * it cannot know what it has not seen.
 */

/** A score and the example it belongs to. */
export interface Score {
  example: number | string;
  value: number;
}

/** A mean and how sure it is. */
export interface Estimate {
  mean: number;
  /** Low and high end of the 95% interval; null where one example is all there is. */
  interval: [low: number, high: number] | null;
  rollouts: number;
  examples: number;
}

/** Mean of scores with its interval, clustered by example; null of none. */
export function estimate(scores: readonly Score[]): Estimate | null {
  const rollouts = scores.length;
  if (rollouts === 0) return null;
  const mean = scores.reduce((sum, { value }) => sum + value, 0) / rollouts;
  const deviations = new Map<number | string, number>();
  for (const { example, value } of scores) deviations.set(example, (deviations.get(example) ?? 0) + value - mean);
  const examples = deviations.size;
  if (examples < 2) return { mean, interval: null, rollouts, examples };
  const squares = [...deviations.values()].reduce((sum, deviation) => sum + deviation ** 2, 0);
  const half = (studentT975(examples - 1) * Math.sqrt((examples / (examples - 1)) * squares)) / rollouts;
  return { mean, interval: [mean - half, mean + half], rollouts, examples };
}

/**
 * The 97.5% quantile of Student's t.
 * @param df degrees of freedom, a whole number of at least 1
 */
export function studentT975(df: number): number {
  if (df > 1000) return Z + (Z ** 3 + Z) / (4 * df); // the first terms in 1 / df, exact to 1e-5
  let [low, high] = [Z, 12.8];
  while (high - low > 1e-12 * high) {
    const middle = (low + high) / 2;
    if (studentTwoSided(middle, df) < 0.95) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The normal distribution's. */
const Z = 1.959963984540054;

/** P(|T| < t): the finite sums for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4). */
function studentTwoSided(t: number, df: number): number {
  const angle = Math.atan(t / Math.sqrt(df));
  const cos2 = Math.cos(angle) ** 2;
  const odd = df % 2 === 1;
  let term = odd ? Math.cos(angle) : 1;
  let sum = df === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k <= df - 2; k += 2) {
    term *= (cos2 * (k - 1)) / k;
    sum += term;
  }
  return odd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}
