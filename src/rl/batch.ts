/** @file A step's rollouts: sampled, scored, and where asked for with other prompts in place of groups that say nothing. */
import type { Environment, Trace } from '../envs';
import type { NativeModel } from '../model';
import { PURPOSE } from '../random';
import { hasSignal } from './advantages';
import type { TrainConfig } from './config';
import { costOf, penalized } from './length_penalty';
import { requireModel, rolloutGroups } from './rollouts';
import type { Group } from './rollouts';
import type { Task } from './tasks';

export interface Batch {
  step: number;
  groups: Group[];
  /** Groups without signal for which other prompts were asked. */
  replaced: number;
  /** Updates between the weights that sampled it and those it is about to change. */
  staleness: number;
  /** Prompt tokens computed. */
  prefillTokens: number;
}

export interface BatchPlan {
  step: number;
  tasks: readonly Task[];
  staleness: number;
  config: TrainConfig;
  /** Other prompts, as many as there are groups without signal. */
  replacements?: ((round: number, count: number, asked: readonly Task[]) => Task[]) | undefined;
  signal?: AbortSignal | undefined;
  /** Rollouts scored so far, of `total`. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Samples and scores every prompt `group_size` times, all rollouts in flight together.
 * @throws ModelFailedError when not one rollout could be played
 */
export async function sampleBatch(env: Environment, model: NativeModel, plan: BatchPlan): Promise<Batch> {
  const { step, config, signal, onProgress } = plan;
  const { grpo, seed } = config;
  const { stats, weights } = model.generator;
  const prefilled = stats.prefillTokens;
  let done = 0;
  let total = 0;
  const play = async (tasks: readonly Task[]) => {
    total += tasks.length * grpo.group_size;
    const groups = await rolloutGroups(env, model, {
      split: 'train',
      tasks,
      groupSize: grpo.group_size,
      seed,
      purpose: PURPOSE.sampling,
      sampling: samplingArgs(config),
      signal,
      onTrace: () => onProgress?.(++done, total),
    });
    weights.gpu.check(); // a lost device is no failed rollout
    requireModel(groups.flatMap(({ traces }) => traces));
    return groups;
  };

  const groups = await play(plan.tasks);
  const asked: Task[] = [...plan.tasks];
  let replaced = 0;
  let newest = groups;
  for (let round = 1; round <= grpo.replacement_rounds && plan.replacements; round++) {
    const silent = newest.filter(({ traces }) => !hasSignal(rewardsOf(traces, config))).length;
    const tasks = silent > 0 ? plan.replacements(round, silent, asked) : [];
    if (tasks.length === 0) break;
    asked.push(...tasks);
    replaced += tasks.length;
    groups.push(...(newest = await play(tasks)));
  }
  return { step, groups, replaced, staleness: plan.staleness, prefillTokens: stats.prefillTokens - prefilled };
}

/** Rollouts that could be scored; failed ones have no reward and leave their group. */
export function scoredOf(traces: readonly Trace[]): Trace[] {
  return traces.filter((trace) => trace.reward !== null);
}

/** Rewards that the update goes by, of the rollouts that could be scored. */
export function rewardsOf(traces: readonly Trace[], config: TrainConfig): number[] {
  const scored = scoredOf(traces);
  const { output_tokens: outputTokens, input_tokens: inputTokens, turns } = config.length_penalty;
  return penalized(
    scored.map((trace) => trace.reward!),
    scored.map(costOf),
    { outputTokens, inputTokens, turns },
  );
}

/** Settings of every sample of a run, over the environment's own. */
export function samplingArgs({ sampling }: TrainConfig) {
  const { temperature, max_tokens: maxTokens } = sampling;
  return { temperature, ...(maxTokens !== undefined && { maxTokens }) };
}
