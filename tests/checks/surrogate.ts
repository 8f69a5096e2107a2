/**
 * @file The losses once more, as functions whose ordinary derivative is the gradient that training uses: whatever a loss
 * holds fixed (stop-gradients, masks) is computed once and given to it. In float64, for central differences.
 */
import type { LossName, LossSettings, StepTotals } from '../../src/rl';
import { logprobs } from './reference';

/** Tokens that count, of one sequence. */
export interface SurrogateSequence {
  old: readonly number[];
  reference: readonly number[];
  advantage: number;
}

/** Per sequence and token: the factor of a term that the gradient does not go through. */
export type Frozen = number[][];

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** What stays fixed while the policy moves, at the log-probabilities that it has now. */
export function freeze(
  name: LossName,
  settings: LossSettings,
  sequences: readonly SurrogateSequence[],
  now: readonly (readonly number[])[],
): Frozen {
  return sequences.map(({ old, reference, advantage }, s) =>
    now[s]!.map((value, t) => {
      const gap = Math.exp(value) - Math.exp(old[t]!);
      const outside = gap > settings.maskHigh ? 'rose' : gap < -settings.maskLow ? 'fell' : null;
      if (name === 'cispo') return Math.min(Math.exp(value - old[t]!), settings.epsilonHigh) * advantage;
      if (name === 'distill') return outside ? 0 : reference[t]! - value;
      if (name === 'ipo') return outside ? 0 : advantage;
      if (name === 'prime') return outside === (advantage > 0 ? 'rose' : 'fell') ? 0 : advantage;
      return NaN;
    }),
  );
}

/** The loss of a step without its entropy bonus, as a function of the policy's log-probabilities. */
export function surrogate(
  name: LossName,
  settings: LossSettings,
  totals: StepTotals,
  sequences: readonly SurrogateSequence[],
  now: readonly (readonly number[])[],
  frozen: Frozen,
): number {
  let loss = 0;
  sequences.forEach(({ old, reference, advantage }, s) => {
    const values = now[s]!;
    const weight = tokenWeight(name, totals, values.length);
    const sequenceRatio = Math.exp(sum(values.map((value, t) => value - old[t]!)) / values.length);
    values.forEach((value, t) => {
      const logRatio = value - old[t]!;
      const factor = frozen[s]![t]!;
      const ratio = name === 'gspo' ? sequenceRatio : Math.exp(logRatio);
      const unclipped = settings.delta > 0 ? Math.min(ratio, settings.delta) : ratio;
      const clipped = Math.max(1 - settings.epsilonLow, Math.min(1 + settings.epsilonHigh, ratio));
      const gap = reference[t]! - value;
      const policy =
        name === 'sft'
          ? -value
          : name === 'cispo'
            ? -factor * value
            : name === 'prime' || name === 'ipo' || name === 'distill'
              ? -ratio * factor + settings.klTau * logRatio ** 2
              : -Math.min(unclipped * advantage, clipped * advantage);
      loss += weight * (policy + settings.beta * (Math.exp(gap) - gap - 1));
    });
  });
  return loss;
}

/** What one token counts in the step. */
export function tokenWeight(name: LossName, totals: StepTotals, length: number): number {
  if (name === 'grpo' || name === 'gspo') return 1 / (totals.sequences * length);
  if (name === 'dr_grpo') return 1 / (totals.sequences * totals.maxCompletionLength);
  return 1 / totals.tokens;
}

/** The whole loss, entropy bonus and all, as a function of the logits of the rows that count. */
export function surrogateOfLogits(
  name: LossName,
  settings: LossSettings,
  totals: StepTotals,
  sequences: readonly SurrogateSequence[],
  { targets, vocabulary, temperature }: { targets: readonly number[]; vocabulary: number; temperature: number },
  frozen: Frozen,
): (logits: Float64Array) => number {
  return (logits) => {
    const { logprob, entropy } = logprobs(logits, targets, vocabulary, temperature);
    const now = split(logprob, sequences);
    const bonus = split(entropy, sequences).map(
      (values) => tokenWeight(name, totals, Math.max(1, values.length)) * sum(values),
    );
    return surrogate(name, settings, totals, sequences, now, frozen) - settings.entropyCoefficient * sum(bonus);
  };
}

/** Values of all rows, by sequence. */
export function split<T>(values: readonly T[], sequences: readonly SurrogateSequence[]): T[][] {
  let from = 0;
  return sequences.map(({ old }) => values.slice(from, (from += old.length)));
}
