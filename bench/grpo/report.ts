/** @file What GRPO steps came to. */
import { formatBytes } from '../../src/kernels';
import { median } from '../statistics';
import { textTable } from '../table';

/** Seconds of one step. */
export interface StepTime {
  /** Sampling, whatever scoring goes on meanwhile left out. */
  rollout: number;
  /** At least one reply was being scored. */
  reward: number;
  /** Advantages, forward, backward, optimizer. */
  update: number;
  /** The GPU had nothing to do. */
  idle: number;
  /** All of the step. */
  seconds: number;
  /** Computed by sampler and trainer. */
  tokens: number;
  sampledTokens: number;
}

export interface GrpoSeries {
  groups: number;
  rollouts: number;
  steps: StepTime[];
  /** What the run said it would take, and the most that was alive at once. */
  plannedBytes: number;
  peakBytes: number;
}

export interface GrpoReport {
  series: (GrpoSeries & { median: StepTime; tokensPerSecond: number })[];
  /** Tokens per second with the most groups over those with the fewest. */
  scaling: number;
}

export function makeGrpoReport(series: readonly GrpoSeries[]): GrpoReport {
  const full = series.map((each) => {
    const of = (figure: keyof StepTime) => median(each.steps.map((step) => step[figure]));
    const middle: StepTime = {
      rollout: of('rollout'),
      reward: of('reward'),
      update: of('update'),
      idle: of('idle'),
      seconds: of('seconds'),
      tokens: of('tokens'),
      sampledTokens: of('sampledTokens'),
    };
    const tokensPerSecond = median(each.steps.map(({ tokens, seconds }) => tokens / seconds));
    return { ...each, median: middle, tokensPerSecond };
  });
  return { series: full, scaling: full.at(-1)!.tokensPerSecond / full[0]!.tokensPerSecond };
}

export function formatGrpo({ series, scaling }: GrpoReport): string {
  const head = [
    '',
    'rollouts',
    's/step',
    'rollout',
    'reward',
    'update',
    'GPU idle',
    'tokens',
    'tokens/s',
    'plan',
    'peak',
  ];
  const rows = series.map(({ groups, rollouts, median: m, tokensPerSecond, plannedBytes, peakBytes }) => {
    const share = (seconds: number) => `${((100 * seconds) / m.seconds).toFixed(0)}%`;
    return [
      `${groups} groups`,
      `${rollouts}`,
      m.seconds.toFixed(3),
      ...[m.rollout, m.reward, m.update, m.idle].map(share),
      m.tokens.toFixed(0),
      tokensPerSecond.toFixed(0),
      formatBytes(plannedBytes),
      formatBytes(peakBytes),
    ];
  });
  return (
    `reverse-text from random weights; medians of ${series[0]!.steps.length} steps, runs in turns\n${textTable(head, rows)}` +
    `tokens per second with ${series.at(-1)!.groups} groups over those with ${series[0]!.groups}: ${scaling.toFixed(2)}\n`
  );
}
