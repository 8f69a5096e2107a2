/**
 * @file The losses by name: what each one computes, its settings, and the float64 reference that tests hold the kernel to.
 *
 * Notation: rho = exp(new - old), m = mask of tokens that count, T_i = tokens of sequence i (at least 1), N = tokens of
 * the whole optimizer step (at least 1), B = its sequences, A = advantage. A token's loss l is
 *   clip      l = -min(min(rho, delta) A, clip(rho, 1 - epsLow, 1 + epsHigh) A)         (PPO, arXiv:1707.06347)
 *   gspo      as clip, with the sequence's rho_i = exp(mean over its tokens of (new - old))      (arXiv:2507.18071)
 *   cispo     -stopgrad(min(rho, epsHigh)) A new                                                 (arXiv:2506.13585)
 *   prime     -rho A unless the probability moved too far, + klTau (new - old)^2          (prime-rl's default loss)
 *   ipo       as prime, dropping |p - q| > threshold whatever the sign of A                             (prime-rl)
 *   distill   as prime with A = stopgrad(reference - new)                                     (prime-rl's ref_kl)
 *   sft       -new
 * plus beta (exp(ref - new) - (ref - new) - 1) where beta > 0, minus entropyCoefficient * H.
 */
import { LOSS_KINDS } from '../kernels';
import type { LossParameters } from '../kernels';

/** Which tokens or sequences a loss divides by. */
type Normalizer = 'tokens' | 'sequences' | 'length';

interface LossDefinition {
  kind: keyof typeof LOSS_KINDS;
  normalizer: Normalizer;
  defaults: Partial<LossSettings>;
}

/** Settings; those that a loss does not read have no effect on it. */
export type LossSettings = Omit<LossParameters, 'kind' | 'perSequence' | 'normalizer'>;

const NEVER = 1e30;

const DEFAULTS: LossSettings = {
  epsilonLow: 0.2,
  epsilonHigh: 0.2,
  delta: 0,
  beta: 0,
  maskLow: 0.2,
  maskHigh: 0.2,
  klTau: 1e-3,
  entropyCoefficient: 0,
};

/**
 * Normalisers: `sequences` is the mean over sequences of each one's mean over tokens (TRL's grpo); `tokens` divides by N
 * (bnpo, dapo: arXiv:2503.14476; the two differ where a step is cut into micro-batches, and there ours are both the whole
 * step's); `length` divides by B times the longest completion allowed (Dr. GRPO, arXiv:2503.20783).
 */
const DEFINITIONS = {
  sft: { kind: 'sft', normalizer: 'tokens', defaults: {} },
  grpo: { kind: 'clip', normalizer: 'sequences', defaults: {} },
  bnpo: { kind: 'clip', normalizer: 'tokens', defaults: {} },
  dr_grpo: { kind: 'clip', normalizer: 'length', defaults: {} },
  dapo: { kind: 'clip', normalizer: 'tokens', defaults: { epsilonHigh: 0.28 } },
  gspo: { kind: 'gspo', normalizer: 'sequences', defaults: { epsilonLow: 3e-4, epsilonHigh: 4e-4 } },
  cispo: { kind: 'cispo', normalizer: 'tokens', defaults: { epsilonHigh: 5 } },
  prime: { kind: 'prime', normalizer: 'tokens', defaults: {} },
  ipo: { kind: 'ipo', normalizer: 'tokens', defaults: { maskLow: 0.1, maskHigh: 0.1 } },
  distill: { kind: 'distill', normalizer: 'tokens', defaults: { maskHigh: NEVER } },
} as const satisfies Record<string, LossDefinition>;

export type LossName = keyof typeof DEFINITIONS;

export const LOSS_NAMES = Object.keys(DEFINITIONS) as LossName[];

/** Losses of rollouts: what a run can be set to. */
export const POLICY_LOSS_NAMES = LOSS_NAMES.filter((name) => name !== 'sft');

/** What a loss divides by, over the whole optimizer step, micro-batches together. */
export interface StepTotals {
  /** Tokens that carry loss. */
  tokens: number;
  /** Sequences, empty ones included. */
  sequences: number;
  /** Longest completion allowed: max_tokens times turns. */
  maxCompletionLength: number;
}

/** A loss's settings with its own defaults filled in. */
export function lossSettings(name: LossName, given: Partial<LossSettings> = {}): LossSettings {
  return { ...DEFAULTS, ...DEFINITIONS[name].defaults, ...given };
}

/** What the kernel reads. */
export function lossParameters(name: LossName, settings: LossSettings, totals: StepTotals): LossParameters {
  const { kind, normalizer } = DEFINITIONS[name];
  return {
    kind: LOSS_KINDS[kind],
    perSequence: normalizer === 'sequences',
    normalizer:
      normalizer === 'tokens'
        ? Math.max(1, totals.tokens)
        : normalizer === 'sequences'
          ? totals.sequences
          : totals.sequences * totals.maxCompletionLength,
    ...settings,
  };
}

/** One sequence for the reference: only tokens that count. */
export interface ReferenceSequence {
  new: readonly number[];
  old: readonly number[];
  reference: readonly number[];
  advantage: number;
}

export interface ReferenceResult {
  loss: number;
  /** d loss / d new, per sequence and token. */
  gradient: number[][];
}

/** The loss and its derivative in float64, written from the formulas above and independent of the kernel. */
export function referenceLoss(
  name: LossName,
  settings: LossSettings,
  totals: StepTotals,
  sequences: readonly ReferenceSequence[],
): ReferenceResult {
  const { normalizer, perSequence } = lossParameters(name, settings, totals);
  const kind = DEFINITIONS[name].kind;
  let loss = 0;
  const gradient = sequences.map((sequence) => {
    const count = Math.max(1, sequence.new.length);
    const weight = 1 / (normalizer * (perSequence ? count : 1));
    const meanLogRatio = sequence.new.reduce((sum, value, i) => sum + value - sequence.old[i]!, 0) / count;
    return sequence.new.map((value, i) => {
      const token = tokenLoss(kind, settings, {
        new: value,
        old: sequence.old[i]!,
        reference: sequence.reference[i]!,
        advantage: sequence.advantage,
        sequenceRatio: Math.exp(meanLogRatio),
      });
      loss += token.loss * weight;
      return token.derivative * weight;
    });
  });
  return { loss, gradient };
}

interface TokenInputs {
  new: number;
  old: number;
  reference: number;
  advantage: number;
  sequenceRatio: number;
}

function tokenLoss(
  kind: LossDefinition['kind'],
  settings: LossSettings,
  token: TokenInputs,
): { loss: number; derivative: number } {
  const { loss, derivative } = policyTerm(kind, settings, token);
  if (settings.beta === 0) return { loss, derivative };
  const gap = token.reference - token.new;
  return {
    loss: loss + settings.beta * (Math.exp(gap) - gap - 1),
    derivative: derivative + settings.beta * (1 - Math.exp(gap)),
  };
}

function policyTerm(
  kind: LossDefinition['kind'],
  settings: LossSettings,
  token: TokenInputs,
): { loss: number; derivative: number } {
  const { advantage: A } = token;
  const logRatio = token.new - token.old;
  switch (kind) {
    case 'sft':
      return { loss: -token.new, derivative: -1 };
    case 'clip':
    case 'gspo': {
      const ratio = kind === 'gspo' ? token.sequenceRatio : Math.exp(logRatio);
      const low = 1 - settings.epsilonLow;
      const high = 1 + settings.epsilonHigh;
      const capped = settings.delta > 0 ? Math.min(ratio, settings.delta) : ratio;
      const clipped = Math.min(Math.max(ratio, low), high);
      const takesFirst = capped * A <= clipped * A;
      const moves = takesFirst ? capped === ratio : ratio >= low && ratio <= high;
      return { loss: -Math.min(capped * A, clipped * A), derivative: moves ? -ratio * A : 0 };
    }
    case 'cispo': {
      const scale = Math.min(Math.exp(logRatio), settings.epsilonHigh) * A;
      return { loss: -scale * token.new, derivative: -scale };
    }
    case 'prime':
    case 'ipo':
    case 'distill': {
      const advantage = kind === 'distill' ? token.reference - token.new : A;
      const moved = Math.exp(token.new) - Math.exp(token.old);
      const rose = moved > settings.maskHigh && (kind !== 'prime' || advantage > 0);
      const fell = moved < -settings.maskLow && (kind !== 'prime' || advantage <= 0);
      const kept = rose || fell ? 0 : -Math.exp(logRatio) * advantage;
      return { loss: kept + settings.klTau * logRatio ** 2, derivative: kept + 2 * settings.klTau * logRatio };
    }
  }
}
