/** @file What is made of many measurements. */

/** @throws RangeError for no values at all */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('the median of nothing');
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The mean of ratios: 2 and 1/2 make 1. */
export function geometricMean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('the mean of nothing');
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** How many times one thing is another, from measurements that took turns. */
export interface Ratio {
  /** Median over median. */
  ofMedians: number;
  /** One per turn, so that what the machine did meanwhile hit both sides: their spread says what the ratio is worth. */
  rounds: number[];
}

/** @param over one measurement per turn; @param under of the same turns */
export function ratioOf(over: readonly number[], under: readonly number[]): Ratio {
  if (over.length !== under.length) throw new RangeError(`${over.length} rounds against ${under.length}`);
  return { ofMedians: median(over) / median(under), rounds: over.map((value, i) => value / under[i]!) };
}

/** `1.82 (1.75 to 2.06)` */
export function describeRatio({ ofMedians, rounds }: Ratio): string {
  return `${ofMedians.toFixed(2)} (${Math.min(...rounds).toFixed(2)} to ${Math.max(...rounds).toFixed(2)})`;
}

/** Largest difference of two series, relative to the second. NaN where either has one. */
export function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new RangeError(`${a.length} values against ${b.length}`);
  return a.reduce((worst, value, i) => {
    const difference = value === b[i] ? 0 : Math.abs(value - b[i]!) / Math.abs(b[i]!);
    return Number.isNaN(difference) ? NaN : Math.max(worst, difference);
  }, 0);
}
