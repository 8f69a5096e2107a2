/** @file What an evaluation says: means with intervals, pass@k and pass^k, how rollouts ended, what failed, tokens. */
import { prefixBreaks } from '../trace';
import type { Trace } from '../trace';
import { estimate } from './interval';
import type { Estimate } from './interval';
import { passRates } from './pass_at_k';
import { tokenUsage } from './usage';
import type { TokenUsage } from './usage';

export interface Summary {
  rollouts: number;
  examples: number;
  /** Over the rollouts that have a reward: a failed one is not one of 0. */
  reward: Estimate | null;
  /** Every reward function and metric by name, over the rollouts that have it. */
  metrics: Record<string, Estimate>;
  /** Chance that one of k rollouts of an example solves it, for k = 1, 2, 4, ...; see pass_at_k.ts. */
  passAtK: Record<string, number>;
  /** Chance that all of k rollouts of an example solve it. */
  passAllK: Record<string, number>;
  passThreshold: number;
  /** How many rollouts ended how. */
  stopConditions: Record<string, number>;
  /** Replies cut off, or prompts that did not fit. */
  truncated: number;
  /** Turns whose prompt does not extend the tokens before it: earlier turns were rendered anew. */
  prefixBreaks: number;
  /** Failed rollouts. */
  failed: number;
  /** Errors by `source: name`. */
  errors: Record<string, number>;
  /** Tokens per rollout, over those whose model counts them; null where none does. */
  usage: TokenUsage | null;
  /** Sampled tokens of all rollouts. */
  outputTokens: number;
}

export interface SummaryOptions {
  /** Rollouts that each example should have; the largest number that one has, unless given. */
  rolloutsPerExample?: number;
  /** A reward from here on counts as solved. */
  passThreshold?: number;
}

/** Sums up rollouts. */
export function summarize(traces: readonly Trace[], options: SummaryOptions = {}): Summary {
  const { passThreshold = 0.5 } = options;
  const groups = groupTraces(traces, ({ exampleId }) => String(exampleId));
  const { rolloutsPerExample = Math.max(0, ...[...groups.values()].map(({ length }) => length)) } = options;
  const outputs = traces.map((trace) => ({ example_id: trace.exampleId, reward: rewardOf(trace) }));
  const usages = traces.flatMap((trace) => tokenUsage(trace) ?? []);
  const failed = traces.filter(({ error }) => error);
  return {
    rollouts: traces.length,
    examples: groups.size,
    reward: estimateOf(traces, rewardOf),
    metrics: estimateMetrics(traces),
    ...passRates(outputs, { rolloutsPerExample, threshold: passThreshold }),
    passThreshold,
    stopConditions: count(traces.map(({ stopCondition }) => stopCondition ?? 'unknown')),
    truncated: traces.filter(({ isTruncated }) => isTruncated).length,
    prefixBreaks: traces.reduce((sum, { turns }) => sum + prefixBreaks(turns), 0),
    failed: failed.length,
    errors: count(failed.map(({ error }) => `${error!.source}: ${error!.name}`)),
    usage: usages.length === 0 ? null : meanUsage(usages),
    outputTokens: usages.reduce((sum, { output_tokens: tokens }) => sum + tokens, 0),
  };
}

/** The reward of a rollout that did not fail; null for others. */
export function rewardOf({ reward, error }: Trace): number | null {
  return error ? null : reward;
}

function estimateOf(traces: readonly Trace[], value: (trace: Trace) => number | null | undefined): Estimate | null {
  return estimate(
    traces.flatMap((trace) => {
      const score = value(trace);
      return score == null ? [] : [{ example: trace.exampleId, value: score }];
    }),
  );
}

function estimateMetrics(traces: readonly Trace[]): Record<string, Estimate> {
  const whole = traces.filter(({ error }) => !error);
  const names = [...new Set(whole.flatMap(({ metrics }) => Object.keys(metrics)))];
  return Object.fromEntries(names.map((name) => [name, estimateOf(whole, ({ metrics }) => metrics[name])!]));
}

function meanUsage(usages: readonly TokenUsage[]): TokenUsage {
  const mean = (name: keyof TokenUsage) => usages.reduce((sum, usage) => sum + usage[name], 0) / usages.length;
  return {
    input_tokens: mean('input_tokens'),
    output_tokens: mean('output_tokens'),
    final_input_tokens: mean('final_input_tokens'),
    final_output_tokens: mean('final_output_tokens'),
  };
}

function count(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Rollouts by a name, in the order in which the names come: by task, by stop condition, by example. */
export function groupTraces<T extends Trace>(traces: readonly T[], nameOf: (trace: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const trace of traces) {
    const name = nameOf(trace);
    const group = groups.get(name);
    if (group) group.push(trace);
    else groups.set(name, [trace]);
  }
  return groups;
}

/** One summary per group: `summarizeBy(traces, ({ task }) => task)`. */
export function summarizeBy(
  traces: readonly Trace[],
  nameOf: (trace: Trace) => string,
  options: SummaryOptions = {},
): Map<string, Summary> {
  return new Map([...groupTraces(traces, nameOf)].map(([name, group]) => [name, summarize(group, options)]));
}

/** Which rollouts to look at; all conditions that are given must hold. */
export interface TraceFilter {
  task?: string;
  exampleId?: number;
  stopCondition?: string;
  isTruncated?: boolean;
  /** With an error or without; or the error's name. */
  error?: boolean | string;
  /** Of the reward; a rollout without one is outside of every range. */
  reward?: Range;
  /** By name; a rollout without the metric is outside of every range. */
  metrics?: Record<string, Range>;
}

/** Both ends belong to it. */
export interface Range {
  min?: number;
  max?: number;
}

/** The rollouts that a filter lets through. */
export function filterTraces<T extends Trace>(traces: readonly T[], filter: TraceFilter): T[] {
  const { task, exampleId, stopCondition, isTruncated, error, reward, metrics = {} } = filter;
  return traces.filter(
    (trace) =>
      (task === undefined || trace.task === task) &&
      (exampleId === undefined || trace.exampleId === exampleId) &&
      (stopCondition === undefined || trace.stopCondition === stopCondition) &&
      (isTruncated === undefined || trace.isTruncated === isTruncated) &&
      (error === undefined || (typeof error === 'string' ? trace.error?.name === error : !!trace.error === error)) &&
      (reward === undefined || within(rewardOf(trace), reward)) &&
      Object.entries(metrics).every(([name, range]) => within(trace.metrics[name], range)),
  );
}

function within(value: number | null | undefined, { min = -Infinity, max = Infinity }: Range): boolean {
  return value != null && value >= min && value <= max;
}
