/** @file What rules look at: everything a run has reported so far, and averages over parts of it. */
import { mean } from '../advantages';
import type { TrainConfig } from '../config';
import type { StepReport } from '../report';
import type { EvalResult } from '../rollouts';

export interface EvalRecord {
  step: number;
  result: EvalResult;
}

export class History {
  readonly steps: StepReport[] = [];
  readonly evals: EvalRecord[] = [];

  /** @param metrics names of metrics that nothing is rewarded for */
  constructor(
    readonly config: TrainConfig,
    readonly metrics: readonly string[],
  ) {}

  get newest(): StepReport {
    return this.steps.at(-1)!;
  }

  /** The latest eval; undefined before there is one. */
  get eval(): EvalRecord | undefined {
    return this.evals.at(-1);
  }

  /** The last `count` steps, or the `count` that end `before` steps ago. */
  recent(count: number, before = 0): StepReport[] {
    const end = this.steps.length - before;
    return this.steps.slice(Math.max(0, end - count), Math.max(0, end));
  }

  first(count: number): StepReport[] {
    return this.steps.slice(0, count);
  }

  /** Whether what one rollout wins another loses, as in a game against oneself: then no mean says how well it is played. */
  get isZeroSum(): boolean {
    return this.steps.every(({ reward }) => reward.mean === 0) && this.steps.some(({ reward }) => reward.max > 0);
  }

  /** Lowest and highest reward that any rollout had: rewards need not lie between 0 and 1. */
  rewardRange(): { low: number; high: number } {
    return {
      low: Math.min(...this.steps.map(({ reward }) => reward.min)),
      high: Math.max(...this.steps.map(({ reward }) => reward.max)),
    };
  }
}

/** Mean of a figure over steps; steps where there is none (null) do not count. Undefined when all have none. */
export function average(
  steps: readonly StepReport[],
  figure: (step: StepReport) => number | null | undefined,
): number | undefined {
  const values = steps.map(figure).filter((value) => value !== null && value !== undefined);
  return values.length === 0 ? undefined : mean(values);
}

/** The figure's mean over every `width` consecutive steps, oldest first. */
export function movingMeans(
  steps: readonly StepReport[],
  width: number,
  figure: (step: StepReport) => number,
): number[] {
  const values = steps.map(figure);
  return Array.from({ length: Math.max(0, values.length - width + 1) }, (_, i) => mean(values.slice(i, i + width)));
}

/** The middle value; of an even number of them the lower middle. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;
}

/** A number as a person would set it: one significant digit. */
export function round(value: number): number {
  return Number(value.toPrecision(1));
}
