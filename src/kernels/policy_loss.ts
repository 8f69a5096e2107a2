/** @file Records the policy-gradient losses; policy_loss.wgsl computes them, rl/losses.ts names and defines them. */
import { kernel } from './kernel';
import metricsSource from './loss_metrics.wgsl?raw';
import source from './policy_loss.wgsl?raw';
import type { Recorder, Value } from './program';
import { grid1d, valueOf } from './program';
import type { Tensor } from './tensor';

const lossKernel = kernel('policy_loss', source);
const metricsKernel = kernel('loss_metrics', metricsSource);

/** The formulas the kernel knows, by number. grpo, bnpo, dr_grpo and dapo are `clip` with different normalisers. */
export const LOSS_KINDS = { sft: 0, clip: 1, gspo: 2, cispo: 3, prime: 4, ipo: 5, distill: 6 } as const;

/** What the kernel sums over the step's tokens, in the order of its output. */
export const LOSS_METRICS = [
  'loss',
  'entropy',
  'clipLow',
  'clipHigh',
  'masked',
  'maskedLow',
  'maskedHigh',
  'mismatchKl',
  'referenceKl',
  'referenceLogRatio',
  'maxLogRatio',
  'tokens',
  'logprob',
] as const;

/** Per row: old log-probability, reference log-probability, advantage. */
export const BEHAVIOUR_FIELDS = 3;

/** Loss settings as the kernel reads them; all may change from step to step without recording anew. */
export interface LossParameters {
  kind: number;
  /** Weights are 1 / (normalizer * tokens of the sequence) when true, 1 / normalizer otherwise. */
  perSequence: boolean;
  normalizer: number;
  epsilonLow: number;
  epsilonHigh: number;
  /** Upper bound of the ratio where the advantage is negative (two-sided clipping); 0 = off. */
  delta: number;
  /** Weight of the KL to the reference model (k3 estimate). */
  beta: number;
  /** prime, ipo, distill: how far a token's probability may fall or rise before it is dropped. */
  maskLow: number;
  maskHigh: number;
  /** prime, ipo, distill: weight of the squared log-ratio. */
  klTau: number;
  entropyCoefficient: number;
}

export interface PolicyLossOptions {
  /** [sequences + 1] u32: first row of each sequence. */
  begin: Tensor;
  /** [rows] */
  logprob: Tensor;
  /** [rows] */
  entropy: Tensor;
  /** [rows, BEHAVIOUR_FIELDS] */
  behaviour: Tensor;
  /** [rows, 2]: derivative by the log-probability, weight of the entropy bonus. */
  dlogprob: Tensor;
  /** [sequences, LOSS_METRICS.length], scratch. */
  sequenceMetrics: Tensor;
  /** [LOSS_METRICS.length], added to. */
  metrics: Tensor;
  sequences: Value;
  parameters: LossParameters;
}

/** Loss and derivative per token; metrics summed over the sequences. */
export function policyLoss(record: Recorder, options: PolicyLossOptions): void {
  const { begin, logprob, entropy, behaviour, dlogprob, sequenceMetrics, metrics, sequences, parameters: p } = options;
  record.dispatch(lossKernel, {
    bindings: { begin, logprob, entropy, behaviour, dlogprob, metrics: sequenceMetrics },
    params: {
      sequences,
      kind: () => p.kind,
      per_sequence: () => Number(p.perSequence),
      normalizer: () => p.normalizer,
      epsilon_low: () => p.epsilonLow,
      epsilon_high: () => p.epsilonHigh,
      delta: () => p.delta,
      beta: () => p.beta,
      mask_low: () => p.maskLow,
      mask_high: () => p.maskHigh,
      kl_tau: () => p.klTau,
      entropy_coefficient: () => p.entropyCoefficient,
    },
    workgroups: () => grid1d(valueOf(sequences)),
  });
  record.dispatch(metricsKernel, {
    bindings: { metrics: sequenceMetrics, total: metrics },
    params: { sequences },
    workgroups: () => [LOSS_METRICS.length],
  });
}
