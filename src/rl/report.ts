/** @file What one step did, in numbers: rewards, lengths, signal, speed. */
import { completionTokens, prefixBreaks } from '../envs';
import type { Environment, Trace } from '../envs';
import { mean, standardDeviation } from './advantages';
import { scoredOf } from './batch';
import type { Batch } from './batch';
import type { Learned } from './grpo';
import type { UpdateResult } from './policy';

export interface StepReport {
  /** Counts from 1. */
  step: number;
  /** Of the rollouts that could be scored, as the environment gives it. */
  reward: { mean: number; std: number; min: number; max: number };
  /** Share of the scored rollouts whose reward reaches the environment's passThreshold. */
  solveRate: number;
  /** Mean of every metric, reward functions of weight 0 included. */
  metrics: Record<string, number>;
  rollouts: number;
  /** Rollouts that failed; they are shown, and never trained on. */
  errors: number;
  /** Failures of each reward function. */
  rewardErrors: Record<string, number>;
  truncated: number;
  /** Rollouts whose conversation did not fit the context. */
  overlong: number;
  /** Sampled tokens per rollout. */
  completionLength: number;
  groups: number;
  /** Groups whose rewards differ. */
  groupsWithSignal: number;
  /** Groups whose rewards are all equal, at the environment's passThreshold or above. */
  groupsTooEasy: number;
  /** Groups whose rewards are all equal, below it. */
  groupsTooHard: number;
  /** Groups that were asked in place of others without signal. */
  groupsReplaced: number;
  /** Turns whose prompt did not extend the tokens before it, of all rollouts: each is a sample of its own. */
  prefixBreaks: number;
  /** Updates between the weights that sampled the rollouts and those that were changed. */
  staleness: number;
  /** Tasks by their difficulty so far, where it counts. */
  pools?: { easy: number; normal: number; hard: number } | undefined;
  lr: number;
  /** Last update of the step; null when no group had a signal and nothing was changed. */
  update: UpdateResult | null;
  /** Waiting for the rollouts. */
  rolloutSeconds: number;
  updateSeconds: number;
  /** Of both together, those in which the GPU had nothing to do. */
  idleSeconds: number;
  /** Tokens computed by sampler and trainer together, per second. */
  tokensPerSecond: number;
  /** Mean reward of the scored rollouts that were cut off, and of those that ended by themselves; null where there are none. */
  rewardByEnding: { truncated: number | null; complete: number | null };
  /** Nats per sampled token, by the log-probabilities it was sampled with: known also where nothing is updated. */
  sampledEntropy: number;
}

/** Seconds of a phase, and those of them in which the GPU had something to do. */
export interface Phase {
  seconds: number;
  busySeconds: number;
}

/** @param timing of the wait for the batch and of the update */
export function reportStep(
  env: Environment,
  { step, groups, replaced, staleness, prefillTokens }: Batch,
  { lr, update, groupsWithSignal }: Learned,
  { sampled: waited, updated, pools }: { sampled: Phase; updated: Phase; pools: StepReport['pools'] },
): StepReport {
  const traces = groups.flatMap((group) => group.traces);
  const scored = scoredOf(traces);
  const rewards = scored.map((trace) => trace.reward!);
  const sampled = traces.reduce((sum, trace) => sum + completionTokens(trace), 0);
  const solved = (reward: number) => reward >= env.passThreshold;
  const silent = groups
    .map((group) => scoredOf(group.traces).map((trace) => trace.reward!))
    .filter((group) => group.length > 0 && Math.max(...group) - Math.min(...group) <= 1e-6);
  const rewardErrors: Record<string, number> = {};
  for (const { error } of traces) {
    if (error?.source === 'reward')
      rewardErrors[error.where ?? 'reward'] = (rewardErrors[error.where ?? 'reward'] ?? 0) + 1;
  }
  const seconds = waited.seconds + updated.seconds;
  return {
    step,
    reward: {
      mean: mean(rewards),
      std: standardDeviation(rewards),
      min: rewards.length > 0 ? Math.min(...rewards) : 0,
      max: rewards.length > 0 ? Math.max(...rewards) : 0,
    },
    solveRate: rewards.filter(solved).length / Math.max(1, rewards.length),
    metrics: Object.fromEntries(
      env.rubric.names.map((name) => [name, mean(scored.map((trace) => trace.metrics[name] ?? 0))]),
    ),
    rollouts: traces.length,
    errors: traces.filter((trace) => trace.error).length,
    rewardErrors,
    truncated: traces.filter((trace) => trace.isTruncated).length,
    overlong: traces.filter((trace) => trace.stopCondition === 'prompt_too_long').length,
    completionLength: sampled / traces.length,
    groups: groups.length,
    groupsWithSignal,
    groupsTooEasy: silent.filter((group) => solved(group[0]!)).length,
    groupsTooHard: silent.filter((group) => !solved(group[0]!)).length,
    groupsReplaced: replaced,
    prefixBreaks: traces.reduce((sum, { turns }) => sum + prefixBreaks(turns), 0),
    staleness,
    ...(pools && { pools }),
    lr,
    update,
    rolloutSeconds: waited.seconds,
    updateSeconds: updated.seconds,
    idleSeconds: seconds - waited.busySeconds - updated.busySeconds,
    tokensPerSecond: (sampled + prefillTokens + (update?.tokens ?? 0)) / seconds,
    rewardByEnding: { truncated: meanReward(scored, true), complete: meanReward(scored, false) },
    sampledEntropy: mean(traces.flatMap(({ turns }) => turns.flatMap(({ tokens }) => tokens?.logprobs ?? []))) * -1,
  };
}

function meanReward(scored: readonly Trace[], truncated: boolean): number | null {
  const rewards = scored.filter((trace) => trace.isTruncated === truncated).map((trace) => trace.reward!);
  return rewards.length === 0 ? null : mean(rewards);
}
