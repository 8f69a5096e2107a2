/** @file A policy that is moved too far: past its rollouts, away from its reference, by spikes, or over a cliff. */
import { resolveConfig } from '../config';
import type { TrainConfig } from '../config';
import type { StepReport } from '../report';
import { PRESETS } from '../presets';
import type { SettingAdvice } from './finding';
import { average, median, movingMeans, round } from './history';
import type { Rule } from './rule';
import { percent } from './signal';

/**
 * Mean of rho - log rho - 1, in nats per token. One update per batch gives 1e-8, its rounding. At 0.05 a token's
 * probability is off by a factor of 1.4, which the usual clips (0.8 to 1.28) no longer let through.
 */
const MISMATCH = 0.05;

export const MISMATCH_RISING: Rule = {
  kind: 'mismatch',
  confirm: 2,
  look({ newest: { update }, config }) {
    if (!update) return 'unclear';
    if (update.mismatchKl < MISMATCH / 3) return 'well';
    if (update.mismatchKl < MISMATCH) return 'unclear';
    const { grpo } = config;
    const several = grpo.updates_per_batch > 1;
    return {
      message:
        `At the last update of the step the policy is ${update.mismatchKl.toFixed(2)} nats per token away from the one that ` +
        `sampled the rollouts, and ${percent(update.clipFraction)} of the tokens are clipped or left out: it is being taught ` +
        'by what it would no longer say.',
      settings: [
        ...(several ? [{ key: 'grpo.updates_per_batch', now: grpo.updates_per_batch, to: 1 }] : []),
        { key: 'grpo.lr', now: grpo.lr, to: gentler(config) },
      ],
      remedy: several ? '' : 'With one update per batch sampler and trainer should agree: if they do not, report it.',
      evidence: {
        mismatchKl: update.mismatchKl,
        clipFraction: update.clipFraction,
        maxLogRatio: update.maxLogRatio,
        threshold: MISMATCH,
      },
    };
  },
};

/** Nats per token from the reference: by then a reply of ten tokens is e^5 times likelier than it was, or less so. */
const REFERENCE = 0.5;

export const REFERENCE_KL: Rule = {
  kind: 'reference-kl',
  confirm: 2,
  look({ newest: { update }, config }) {
    const { beta } = config.grpo;
    // Nobody who asks for no KL wants to hear of it.
    if (!update || beta === 0) return 'unclear';
    if (update.referenceKl < REFERENCE / 2) return 'well';
    if (update.referenceKl < REFERENCE) return 'unclear';
    return {
      message:
        `The policy is ${update.referenceKl.toFixed(2)} nats per token away from its reference in spite of the KL term, whose ` +
        'pull then outweighs the rewards or is too weak to hold it.',
      settings: [
        { key: 'grpo.lr', now: config.grpo.lr, to: gentler(config) },
        { key: 'grpo.beta', now: beta, to: round(beta * 3) },
      ],
      evidence: { referenceKl: update.referenceKl, threshold: REFERENCE, beta },
    };
  },
};

/** Earlier updates that a norm is compared with. */
const NORMS = 4;

/**
 * Five times the median of the updates before. Healthy runs stay below three: their norms rise slowly as fewer groups have
 * a signal.
 */
const SPIKE = 5;

/** Clipped to max_norm, a spike moves the weights no more than any update does; only those that get through count. */
export const GRADIENT_SPIKES: Rule = {
  kind: 'gradient-spikes',
  confirm: 1,
  look({ steps, config }) {
    const norms = steps.flatMap(({ update }) => (update ? [update.gradNorm] : []));
    const newest = steps.at(-1)!.update?.gradNorm;
    if (newest === undefined || norms.length <= NORMS) return 'unclear';
    const usual = median(norms.slice(0, -1));
    const { max_norm: maxNorm } = config.optimizer;
    const through = maxNorm === 0 ? newest : Math.min(newest, maxNorm);
    if (newest < 2 * usual || through < 2 * usual) return 'well';
    if (through < SPIKE * usual || newest < 1) return 'unclear';
    return {
      message:
        `The gradient's norm is ${newest.toPrecision(2)}, ${Math.round(newest / usual)} times the usual ` +
        `${usual.toPrecision(2)}, and nothing clips it: one odd batch outweighs many, and AdamW's moments remember it.`,
      settings: [{ key: 'optimizer.max_norm', now: maxNorm, to: round(usual) }],
      remedy: 'Larger batches (grpo.batch_size) have smaller spikes.',
      evidence: { gradNorm: newest, usual, times: newest / usual, threshold: SPIKE },
    };
  },
};

/** Two steps: a policy that falls apart does so within two. */
const WINDOW = 2;

/** Lost of the best reward so far, counted from the lowest that any rollout had. */
const FALL = 0.5;

/** Share of the first step's entropy. A policy with less has settled on one reply: the fall is that one's doing. */
const SETTLED = 0.2;

/** Standard errors that the fall must exceed, too: with few groups a mean jumps by itself. */
const ERRORS = 3;

export const REWARD_COLLAPSE: Rule = {
  kind: 'reward-collapse',
  confirm: 1,
  look(history) {
    const { steps, config } = history;
    if (steps.length < WINDOW) return 'unclear';
    const means = movingMeans(steps, WINDOW, ({ reward }) => reward.mean);
    const now = means.at(-1)!;
    const best = Math.max(steps[0]!.reward.mean, ...means);
    const { low } = history.rewardRange();
    const error = average(steps, standardError)! * Math.SQRT2;
    const fall = best - now;
    if (fall <= (FALL / 2) * (best - low)) return 'well';
    if (fall < FALL * (best - low) || fall < ERRORS * error) return 'unclear';
    if (average(history.recent(WINDOW), entropyOf)! < SETTLED * entropyOf(steps[0]!)) return 'unclear';
    return {
      message:
        `The mean reward fell from ${best.toFixed(3)} to ${now.toFixed(3)}: the updates are so large that they broke what the ` +
        'model could do. Without that there is no signal, and it does not come back.',
      settings: slower(config),
      remedy: 'Start again: this model does not recover.',
      evidence: { best, now, lost: fall / (best - low), threshold: FALL },
    };
  },
};

/** Of all rollouts, in nats per token: also known where a step has no update. */
export const entropyOf = (step: StepReport) => step.sampledEntropy;

/** Of a step's mean reward: rollouts of one group are much alike, so groups are what counts. */
function standardError({ reward, groups }: StepReport): number {
  return reward.std / Math.sqrt(Math.max(1, groups));
}

/** A rate that moves the policy less: that of the environment's preset where it is lower, else a third. */
export function gentler({ env, grpo }: TrainConfig): number {
  const usual = env in PRESETS ? resolveConfig({ env }).grpo.lr : Infinity;
  return usual < grpo.lr ? usual : round(grpo.lr / 3);
}

/** What makes updates smaller. */
export function slower(config: TrainConfig): SettingAdvice[] {
  const { grpo, optimizer } = config;
  return [
    { key: 'grpo.lr', now: grpo.lr, to: gentler(config) },
    ...(grpo.warmup_steps === 0 && grpo.steps >= 3 ? [{ key: 'grpo.warmup_steps', now: 0, to: 3 }] : []),
    ...(optimizer.max_norm === 0 || optimizer.max_norm > 1
      ? [{ key: 'optimizer.max_norm', now: optimizer.max_norm, to: 1 }]
      : []),
    ...(grpo.updates_per_batch > 1 ? [{ key: 'grpo.updates_per_batch', now: grpo.updates_per_batch, to: 1 }] : []),
  ];
}
