/**
 * @file The GRPO step, top to bottom: sample groups, score them, turn rewards into advantages, update the policy.
 * (Shao et al. 2024, arXiv:2402.03300; losses and advantages are in losses.ts and advantages.ts.)
 */
import { completionTokens, tokenSamples } from '../envs';
import type { Environment, Trace } from '../envs';
import type { TrainingSequence } from '../model';
import { PURPOSE } from '../random';
import { advantages, hasSignal, mean, standardDeviation } from './advantages';
import type { TrainConfig } from './config';
import { NonFiniteUpdateError } from './errors';
import { lossSettings } from './losses';
import type { Policy, UpdateResult } from './policy';
import { requireModel, rolloutGroups } from './rollouts';
import type { Group } from './rollouts';
import { learningRate } from './schedule';

/** What one step did. */
export interface StepReport {
  /** Counts from 1. */
  step: number;
  /** Of the rollouts that could be scored. */
  reward: { mean: number; std: number; min: number; max: number };
  /** Mean of every metric, reward functions of weight 0 included. */
  metrics: Record<string, number>;
  rollouts: number;
  /** Rollouts that failed; they are shown, and never trained on. */
  errors: number;
  truncated: number;
  /** Sampled tokens per rollout. */
  completionLength: number;
  groups: number;
  /** Groups whose rewards differ. */
  groupsWithSignal: number;
  lr: number;
  /** Last update of the step; null when no group had a signal and nothing was changed. */
  update: UpdateResult | null;
  rolloutSeconds: number;
  updateSeconds: number;
  /** Tokens computed by sampler and trainer together, per second. */
  tokensPerSecond: number;
}

export interface StepOptions {
  step: number;
  config: TrainConfig;
  signal?: AbortSignal | undefined;
  /** Rollouts scored so far, of `total`. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export async function grpoStep(
  policy: Policy,
  env: Environment,
  { step, config, signal, onProgress }: StepOptions,
): Promise<{ report: StepReport; groups: Group[] }> {
  const { grpo, seed } = config;
  const started = performance.now();
  const prefilled = policy.generator.stats.prefillTokens;

  // 1. Sample and score: every prompt `group_size` times, all rollouts in flight together.
  const prompts = grpo.batch_size / grpo.group_size;
  let scoredCount = 0;
  const groups = await rolloutGroups(env, policy.chatModel(), {
    split: 'train',
    firstTask: (step - 1) * prompts,
    tasks: prompts,
    groupSize: grpo.group_size,
    seed,
    purpose: PURPOSE.sampling,
    sampling: samplingArgs(config),
    signal,
    onTrace: () => onProgress?.(++scoredCount, grpo.batch_size),
  });
  policy.gpu.check(); // a lost device is no failed rollout
  requireModel(groups.flatMap(({ traces }) => traces));
  const sampledAt = performance.now();

  // 2. Advantages: how much better than the rest of its group each rollout did. Failed rollouts have no reward; they
  //    leave their group.
  const scored = groups.map(({ traces }) => traces.filter((trace) => trace.reward !== null));
  const rewards = scored.map((traces) => traces.map((trace) => trace.reward!));
  advantages(grpo.advantage, rewards).forEach((values, g) => {
    values.forEach((value, i) => (scored[g]![i]!.advantage = value));
  });

  // 3. A group whose rewards are all equal says nothing; it is left out of the update and of its normaliser.
  const learned = scored.filter((_, g) => hasSignal(rewards[g]!) || !grpo.filter_zero_advantages).flat();
  const sequences = learned.flatMap(trainingSequences);

  // 4. Update. Without any signal nothing moves: not the weights, not the moments, not the step count.
  const lr = learningRate(grpo.lr, step, grpo.warmup_steps);
  let update: UpdateResult | null = null;
  if (rewards.some(hasSignal) && sequences.some(({ mask }) => (mask as number[]).includes(1))) {
    for (let i = 0; i < grpo.updates_per_batch; i++) {
      update = await policy.update(sequences, objectiveOf(config, env, policy, sequences.length), lr);
      if (!update.finite) {
        const good = i === 0 ? `step ${step - 1}` : `update ${i} of this step`;
        throw new NonFiniteUpdateError(
          `step ${step}: the gradient is not finite; the weights are those of ${good}. ` +
            'A lower grpo.lr or a smaller optimizer.max_norm may help.',
        );
      }
    }
  }

  const seconds = (performance.now() - started) / 1000;
  const rolloutSeconds = (sampledAt - started) / 1000;
  const traces = groups.flatMap((group) => group.traces);
  const all = rewards.flat();
  const sampled = traces.reduce((sum, trace) => sum + completionTokens(trace), 0);
  const computed = sampled + policy.generator.stats.prefillTokens - prefilled + (update?.tokens ?? 0);
  const report: StepReport = {
    step,
    reward: {
      mean: mean(all),
      std: standardDeviation(all),
      min: all.length > 0 ? Math.min(...all) : 0,
      max: all.length > 0 ? Math.max(...all) : 0,
    },
    metrics: Object.fromEntries(
      env.rubric.names.map((name) => [name, mean(scored.flat().map((trace) => trace.metrics[name] ?? 0))]),
    ),
    rollouts: traces.length,
    errors: traces.filter((trace) => trace.error).length,
    truncated: traces.filter((trace) => trace.isTruncated).length,
    completionLength: sampled / traces.length,
    groups: groups.length,
    groupsWithSignal: rewards.filter(hasSignal).length,
    lr,
    update,
    rolloutSeconds,
    updateSeconds: seconds - rolloutSeconds,
    tokensPerSecond: computed / seconds,
  };
  return { report, groups };
}

/** The rollout's tokens with the advantage on each of them. */
function trainingSequences(trace: Trace): TrainingSequence[] {
  return tokenSamples(trace).map(({ ids, mask, logprobs, advantages }) => ({
    ids,
    mask,
    oldLogprobs: logprobs,
    advantage: advantages,
  }));
}

/** Settings of every sample of a run, over the environment's own. */
export function samplingArgs({ sampling }: TrainConfig) {
  const { temperature, max_tokens: maxTokens } = sampling;
  return { temperature, ...(maxTokens !== undefined && { maxTokens }) };
}

function objectiveOf(config: TrainConfig, env: Environment, policy: Policy, sequences: number) {
  const { grpo, sampling } = config;
  return {
    loss: grpo.loss,
    settings: lossSettings(grpo.loss, {
      ...(grpo.epsilon_low !== undefined && { epsilonLow: grpo.epsilon_low }),
      ...(grpo.epsilon_high !== undefined && { epsilonHigh: grpo.epsilon_high }),
      entropyCoefficient: grpo.entropy_coefficient,
    }),
    temperature: sampling.temperature,
    sequences,
    maxCompletionLength: sampling.max_tokens ?? env.sampling.maxTokens ?? policy.config.maxPositions,
  };
}
