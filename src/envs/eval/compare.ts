/**
 * @file Two runs beside each other. Examples are hard or easy for both, so differences are taken per example: their
 * spread is smaller than that of the two means apart.
 *
 *     d_i = (mean of b's rollouts of example i) - (mean of a's)
 *     interval = mean(d) -+ t(0.975, G - 1) * sd(d) / sqrt(G)     over the G examples that both have
 */
import type { Trace } from '../trace';
import { estimate } from './interval';
import { rewardOf } from './summary';

export interface PairedDifference {
  /** Means over the common examples, each example counting once. */
  a: number;
  b: number;
  /** b - a */
  difference: number;
  /** 95%; null with fewer than two common examples. */
  interval: [low: number, high: number] | null;
  /** Common examples. */
  examples: number;
  /** Of these: where b is better, where it is worse. */
  better: number;
  worse: number;
}

export interface Comparison {
  /** Null without common examples. */
  reward: PairedDifference | null;
  /** Metrics that both runs have. */
  metrics: Record<string, PairedDifference>;
  /** Examples that could be paired. */
  paired: number;
  /** Examples that only one run has a reward for. */
  onlyA: number;
  onlyB: number;
  /** Examples of the same number that are other tasks: the dataset has changed. They are not paired. */
  different: number;
}

/** Compares two runs on the examples that both have finished; failed rollouts are left out. */
export function compareRuns(a: readonly Trace[], b: readonly Trace[]): Comparison {
  const [left, right] = [byExample(a), byExample(b)];
  const common: [Trace[], Trace[]][] = [];
  let different = 0;
  for (const [example, traces] of left) {
    const others = right.get(example);
    if (!others) continue;
    if (sameTask(traces[0]!, others[0]!)) common.push([traces, others]);
    else different++;
  }
  const names = new Set(common.flatMap(([traces]) => traces.flatMap(({ metrics }) => Object.keys(metrics))));
  const metrics: Record<string, PairedDifference> = {};
  for (const name of names) {
    const paired = difference(common, (trace) => trace.metrics[name] ?? null);
    if (paired) metrics[name] = paired;
  }
  return {
    reward: difference(common, rewardOf),
    metrics,
    paired: common.length,
    onlyA: left.size - common.length - different,
    onlyB: right.size - common.length - different,
    different,
  };
}

/** Scored rollouts by example. */
function byExample(traces: readonly Trace[]): Map<number, Trace[]> {
  const groups = new Map<number, Trace[]>();
  for (const trace of traces) {
    if (rewardOf(trace) !== null) groups.set(trace.exampleId, [...(groups.get(trace.exampleId) ?? []), trace]);
  }
  return groups;
}

/** Older files know no task keys: there the number has to do. */
function sameTask({ taskKey: a }: Trace, { taskKey: b }: Trace): boolean {
  return a === '' || b === '' || a === b;
}

function difference(
  pairs: readonly [Trace[], Trace[]][],
  value: (trace: Trace) => number | null,
): PairedDifference | null {
  const means = pairs.flatMap((pair) => {
    const [a, b] = pair.map((traces) => mean(traces.flatMap((trace) => value(trace) ?? [])));
    return a == null || b == null ? [] : [{ a, b }];
  });
  const result = estimate(means.map(({ a, b }, example) => ({ example, value: b - a })));
  if (!result) return null;
  return {
    a: mean(means.map(({ a }) => a))!,
    b: mean(means.map(({ b }) => b))!,
    difference: result.mean,
    interval: result.interval,
    examples: result.examples,
    better: means.filter(({ a, b }) => b > a).length,
    worse: means.filter(({ a, b }) => b < a).length,
  };
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
