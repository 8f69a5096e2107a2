/** @file The rollouts of an evaluation as a list: which of them, in which order, and how their rewards are spread. */
import { completionTokens, filterTraces, rewardOf, seconds } from '../../src/envs';
import type { Range, Trace, TraceFilter } from '../../src/envs';

/** A rollout that has begun. */
export interface RolloutRow {
  exampleId: number;
  rollout: number;
  /** What it is busy with. */
  phase: string;
  /** Once it is finished. */
  trace: Trace | null;
}

/** '' stands for: whatever. */
export interface RolloutQuery {
  status: '' | 'under way' | 'solved' | 'not solved' | 'failed';
  /** Name of an error. */
  error: string;
  stopCondition: string;
  reward: Range;
  metric: string;
  metricRange: Range;
  sort: SortName;
  descending: boolean;
}

/** By what a list can be sorted. Rollouts that have no such number come last, whatever the direction. */
const SORTS = {
  task: ({ exampleId, rollout }: RolloutRow) => exampleId + rollout / 1e6,
  reward: ({ trace }: RolloutRow) => trace && rewardOf(trace),
  turns: ({ trace }: RolloutRow) => trace?.turns.length ?? null,
  tokens: ({ trace }: RolloutRow) => trace && completionTokens(trace),
  seconds: ({ trace }: RolloutRow) => trace && seconds(trace.timing.generation),
} as const;

export type SortName = keyof typeof SORTS;
export const SORT_NAMES = Object.keys(SORTS) as SortName[];

export const EVERYTHING: Readonly<RolloutQuery> = {
  status: '',
  error: '',
  stopCondition: '',
  reward: {},
  metric: '',
  metricRange: {},
  sort: 'task',
  descending: false,
};

/** The rollouts that a query asks for, in its order. */
export function selectRollouts(rows: readonly RolloutRow[], query: RolloutQuery, passThreshold: number): RolloutRow[] {
  const key = SORTS[query.sort];
  const sign = query.descending ? -1 : 1;
  return filterRows(rows, query, passThreshold).sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null) || inTaskOrder(a, b);
    return sign * (x - y) || inTaskOrder(a, b);
  });
}

/** The rollouts after some have come to a phase, or to their end. */
export function withNews(
  rows: readonly RolloutRow[],
  phases: readonly Omit<RolloutRow, 'trace'>[],
  traces: readonly Trace[],
): RolloutRow[] {
  const nameOf = ({ exampleId, rollout }: Omit<RolloutRow, 'trace'>) => `${exampleId} ${rollout}`;
  const ended = traces.map((trace) => ({ exampleId: trace.exampleId, rollout: trace.rollout, phase: 'done', trace }));
  const news = [...rows, ...phases.map((phase) => ({ ...phase, trace: null })), ...ended];
  return [...new Map(news.map((row) => [nameOf(row), row])).values()].sort(inTaskOrder);
}

/** In the order of the dataset, whatever was finished first. */
export function inTaskOrder(a: RolloutRow, b: RolloutRow): number {
  return a.exampleId - b.exampleId || a.rollout - b.rollout;
}

function filterRows(rows: readonly RolloutRow[], query: RolloutQuery, passThreshold: number): RolloutRow[] {
  if (query.status === 'under way') return rows.filter(({ trace }) => !trace);
  const filter = traceFilter(query);
  const solved = ({ trace }: RolloutRow) => (rewardOf(trace!) ?? -Infinity) >= passThreshold;
  return rows.filter((row) => {
    const { trace } = row;
    // Of a rollout that is under way nothing is known by which it could be chosen.
    if (!trace) return query.status === '' && Object.keys(filter).length === 0;
    if (filterTraces([trace], filter).length === 0) return false;
    if (query.status === 'failed') return trace.error !== null;
    if (query.status === 'solved') return solved(row);
    return query.status === '' || (!trace.error && !solved(row));
  });
}

function traceFilter({ error, stopCondition, reward, metric, metricRange }: RolloutQuery): TraceFilter {
  return {
    ...(error !== '' && { error }),
    ...(stopCondition !== '' && { stopCondition }),
    ...(isRange(reward) && { reward }),
    ...(metric !== '' && isRange(metricRange) && { metrics: { [metric]: metricRange } }),
  };
}

const isRange = ({ min, max }: Range) => min !== undefined || max !== undefined;

/** How many rollouts are busy with what: `30 turn 2, 2 scoring`. */
export function busyWith(rows: readonly RolloutRow[]): string {
  const phases = rows.flatMap(({ trace, phase }) => (trace ? [] : phase));
  return [...new Set(phases)]
    .sort()
    .map((phase) => `${phases.filter((each) => each === phase).length} ${phase}`)
    .join(', ');
}

/** A stretch of values; the upper end belongs to the next one, but for the last. */
export interface Bin {
  from: number;
  to: number;
  count: number;
}

/** How values are spread from 0 to 1, and further where there are others. */
export function histogram(values: readonly number[], bins = 10): Bin[] {
  const from = values.reduce((low, value) => Math.min(low, value), 0);
  const to = values.reduce((high, value) => Math.max(high, value), 1);
  const edge = (i: number) => from + (i * (to - from)) / bins;
  const counts = Array.from({ length: bins }, () => 0);
  for (const value of values) counts[Math.min(bins - 1, Math.floor((bins * (value - from)) / (to - from)))]!++;
  return counts.map((count, i) => ({ from: edge(i), to: edge(i + 1), count }));
}

/** Names that occur in finished rollouts, for choosing among them. */
export function namesIn(rows: readonly RolloutRow[]): { errors: string[]; stops: string[]; metrics: string[] } {
  const traces = rows.flatMap(({ trace }) => trace ?? []);
  const distinct = (names: readonly string[]) => [...new Set(names)].sort();
  return {
    errors: distinct(traces.flatMap(({ error }) => error?.name ?? [])),
    stops: distinct(traces.flatMap(({ stopCondition }) => stopCondition ?? [])),
    metrics: distinct(traces.flatMap(({ metrics }) => Object.keys(metrics))),
  };
}
