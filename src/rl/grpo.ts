/**
 * @file The GRPO step, top to bottom: sample groups, score them, turn rewards into advantages, update the policy.
 * (Shao et al. 2024, arXiv:2402.03300; losses and advantages are in losses.ts and advantages.ts.)
 */
import { tokenSamples } from '../envs';
import type { Environment, TokenSample, Trace } from '../envs';
import type { TrainingSequence } from '../model';
import { advantages, hasSignal } from './advantages';
import { rewardsOf, scoredOf } from './batch';
import type { Batch } from './batch';
import type { TrainConfig } from './config';
import { CustomFunctionError, NonFiniteUpdateError } from './errors';
import { lossSettings } from './losses';
import { RolloutPipeline } from './pipeline';
import type { Policy, UpdateResult } from './policy';
import type { Reference } from './reference';
import { reportStep } from './report';
import type { StepReport } from './report';
import type { Group } from './rollouts';
import { learningRate } from './schedule';

/** What a run can be given as code, in place of settings. */
export interface GrpoFunctions {
  /**
   * Advantages of the rollouts that could be scored, group by group, in place of `grpo.advantage`. Groups whose advantages
   * are all 0 count as without signal.
   */
  advantage?: ((groups: readonly (readonly Trace[])[]) => readonly (readonly number[])[]) | undefined;
  /** A factor of each token's advantage, one per token of the sample; those that the model did not sample are not read. */
  tokenWeight?: ((trace: Trace, sample: TokenSample) => ArrayLike<number>) | undefined;
}

export interface StepOptions {
  step: number;
  config: TrainConfig;
  /** Where the rollouts come from; by default the policy as it is. */
  rollouts?: RolloutPipeline | undefined;
  /** What a KL or a distillation is measured against. */
  reference?: Reference | undefined;
  functions?: GrpoFunctions | undefined;
  signal?: AbortSignal | undefined;
  /** Rollouts scored so far, of `total`. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** One step: a batch of scored rollouts, then the update. */
export async function grpoStep(
  policy: Policy,
  env: Environment,
  options: StepOptions,
): Promise<{ report: StepReport; groups: Group[] }> {
  const { step, config, rollouts = RolloutPipeline.onPolicy(policy, env, config) } = options;
  const clock = policy.gpu.clock();
  const batch = await rollouts.take(step, options);
  const sampled = clock.lap();
  const learned = await learn(policy, env, batch, options);
  const updated = clock.lap();
  const pools = rollouts.queue.pools();
  return { report: reportStep(env, batch, learned, { sampled, updated, pools }), groups: batch.groups };
}

/** What the update of a batch did. */
export interface Learned {
  /** Rewards that the update went by, group by group. */
  rewards: number[][];
  /** Groups whose rewards differ. */
  groupsWithSignal: number;
  lr: number;
  /** Last update of the step; null when no group had a signal and nothing was changed. */
  update: UpdateResult | null;
}

/**
 * Advantages and updates for a batch of scored rollouts. Writes the advantages into its traces.
 * @throws NonFiniteUpdateError when the gradient is not finite; the weights are those of the update before
 */
export async function learn(policy: Policy, env: Environment, batch: Batch, options: StepOptions): Promise<Learned> {
  const { config, functions = {}, reference } = options;
  const { grpo, sampling } = config;

  // 1. Advantages: how much better than the rest of its group each rollout did.
  const scored = batch.groups.map(({ traces }) => scoredOf(traces));
  const rewards = batch.groups.map(({ traces }) => rewardsOf(traces, config));
  const values = functions.advantage
    ? checked(functions.advantage(scored), scored)
    : advantages(grpo.advantage, rewards);
  values.forEach((group, g) => group.forEach((value, i) => (scored[g]![i]!.advantage = value)));

  // 2. A group whose rewards are all equal says nothing; it is left out of the update and of its normaliser. A teacher has
  //    something to say about every token.
  const isDistillation = grpo.loss === 'distill';
  const says = (g: number) =>
    isDistillation || (functions.advantage ? values[g]!.some((value) => value !== 0) : hasSignal(rewards[g]!));
  const learned = scored.filter((_, g) => says(g) || !grpo.filter_zero_advantages).flat();

  // 3. Tokens with the advantage on each of them. What was cut off at a limit may be left out here.
  const trained = learned.filter(({ isTruncated }) => !(grpo.mask_truncated && isTruncated));
  const sequences = trained.flatMap((trace) => trainingSequences(trace, functions));
  const referenceLogprobs = await reference?.logprobs(sequences, sampling.temperature);
  referenceLogprobs?.forEach((logprobs, i) => (sequences[i]!.referenceLogprobs = logprobs));

  // 4. Update. Without any signal nothing moves: not the weights, not the moments, not the step count.
  const lr = rateOf(config, batch.step);
  let update: UpdateResult | null = null;
  if (scored.some((_, g) => says(g)) && sequences.some(({ mask }) => (mask as number[]).includes(1))) {
    const objective = objectiveOf(config, env, policy, sequences.length, reference !== undefined);
    for (let i = 0; i < grpo.updates_per_batch; i++) {
      update = await policy.update(sequences, objective, lr);
      if (update.finite) continue;
      const good = i === 0 ? `step ${batch.step - 1}` : `update ${i} of this step`;
      throw new NonFiniteUpdateError(
        `step ${batch.step}: the gradient is not finite; the weights are those of ${good}. ` +
          'A lower grpo.lr or a smaller optimizer.max_norm may help.',
      );
    }
  }
  return {
    rewards,
    groupsWithSignal: scored.filter((_, g) => says(g)).length,
    lr,
    update,
  };
}

/** The rollout's tokens with the advantage on each of them. */
function trainingSequences(trace: Trace, { tokenWeight }: GrpoFunctions): TrainingSequence[] {
  return tokenSamples(trace).map((sample) => {
    const { ids, mask, logprobs, advantages: plain } = sample;
    const weights = tokenWeight?.(trace, sample);
    const weighted = weights ? plain.map((value, i) => value * weights[i]!) : plain;
    if (weighted.some((value, i) => mask[i] === 1 && !Number.isFinite(value))) {
      throw new CustomFunctionError(`tokenWeight gave no finite number for every token of example ${trace.exampleId}`);
    }
    return { ids, mask, oldLogprobs: logprobs, advantage: weighted };
  });
}

/** @throws CustomFunctionError when a custom advantage does not fit its rollouts */
function checked(values: readonly (readonly number[])[], groups: readonly (readonly Trace[])[]): number[][] {
  groups.forEach((traces, g) => {
    const group = values[g];
    if (group?.length !== traces.length || !group.every(Number.isFinite)) {
      throw new CustomFunctionError(
        `advantage gave ${JSON.stringify(group)} for group ${g} of ${traces.length} rollouts: one finite number each is needed`,
      );
    }
  });
  return values.map((group) => [...group]);
}

function rateOf({ grpo }: TrainConfig, step: number): number {
  const { lr, schedule: kind, warmup_steps: warmupSteps, min_lr_ratio: minRatio } = grpo;
  const decaySteps = grpo.decay_steps || grpo.steps - warmupSteps;
  return learningRate(step, { lr, kind, warmupSteps, decaySteps, minRatio });
}

function objectiveOf(config: TrainConfig, env: Environment, policy: Policy, sequences: number, hasReference: boolean) {
  const { grpo, sampling } = config;
  return {
    loss: grpo.loss,
    hasReference,
    settings: lossSettings(grpo.loss, {
      ...(grpo.epsilon_low !== undefined && { epsilonLow: grpo.epsilon_low }),
      ...(grpo.epsilon_high !== undefined && { epsilonHigh: grpo.epsilon_high }),
      ...(grpo.mask_low !== undefined && { maskLow: grpo.mask_low }),
      ...(grpo.mask_high !== undefined && { maskHigh: grpo.mask_high }),
      ...(grpo.kl_tau !== undefined && { klTau: grpo.kl_tau }),
      delta: grpo.delta,
      beta: grpo.beta,
      entropyCoefficient: grpo.entropy_coefficient,
    }),
    temperature: sampling.temperature,
    sequences,
    maxCompletionLength: sampling.max_tokens ?? env.sampling.maxTokens ?? policy.config.maxPositions,
  };
}
