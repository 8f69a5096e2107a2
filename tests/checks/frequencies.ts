/** @file Whether drawn tokens follow a distribution: none that it forbids, the others about as often as it says. */
import type { CheckCase } from './report';

/** Cells that expect fewer draws than this are taken together: Pearson's statistic is no chi-square there. */
const LEAST_EXPECTED = 5;

/** Standard deviations that a test may be off: p = 1e-6, so that hundreds of cases do not fail by chance. */
const DEVIATIONS = 4.75;

/**
 * Upper bound of chi-square / df at p = 1e-6. Wilson and Hilferty (1931): the cube root of chi-square / df is nearly
 * normal, with mean 1 - 2 / (9 df) and variance 2 / (9 df), down to df = 1.
 */
function chiSquareBound(df: number): number {
  const variance = 2 / (9 * df);
  return (1 - variance + DEVIATIONS * Math.sqrt(variance)) ** 3;
}

/**
 * @param counts draws of each token
 * @param probabilities of each token; 0 = may never be drawn
 */
export function frequencyCases(
  name: string,
  counts: readonly number[],
  probabilities: readonly number[],
): [forbidden: CheckCase, frequencies: CheckCase] {
  const draws = counts.reduce((a, b) => a + b, 0);
  const cells: { expected: number; drawn: number }[] = [];
  const rest = { expected: 0, drawn: 0 };
  let forbidden = 0;
  probabilities.forEach((p, token) => {
    const drawn = counts[token]!;
    if (p === 0) forbidden += drawn;
    else if (p * draws >= LEAST_EXPECTED) cells.push({ expected: p * draws, drawn });
    else {
      rest.expected += p * draws;
      rest.drawn += drawn;
    }
  });
  // What is too rare by itself is one cell together, or part of the rarest one: expectations must add up to the draws.
  if (rest.expected >= LEAST_EXPECTED || cells.length === 0) cells.push(rest);
  else {
    const rarest = cells.reduce((a, b) => (b.expected < a.expected ? b : a));
    rarest.expected += rest.expected;
    rarest.drawn += rest.drawn;
  }
  const df = Math.max(1, cells.length - 1);
  const statistic = cells.reduce((sum, { expected, drawn }) => sum + (drawn - expected) ** 2 / expected, 0);
  return [
    { name: `${name}: draws that the filters exclude`, error: forbidden, tolerance: 0 },
    { name: `${name}: frequencies`, error: statistic / df, tolerance: chiSquareBound(df) },
  ];
}

/**
 * How far a log-probability in float32 may be off: a fixed part, and the rounding of logits / temperature, which are
 * subtracted from each other. The second counts where logits are large or the temperature is small.
 * @param scaled logits / temperature
 */
export function logprobTolerance(scaled: Iterable<number>): number {
  let largest = 0;
  for (const z of scaled) largest = Math.max(largest, Math.abs(z));
  return 1e-4 + 4 * largest * 2 ** -24;
}
