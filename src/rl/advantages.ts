/**
 * @file Advantages: how much better than its group's other rollouts a rollout did.
 *
 *   none     r - mean                                              (Dr. GRPO, prime-rl, verifiers; TRL's "none")
 *   group    (r - mean) / (std + 1e-4), std with ddof 1            (GRPO, arXiv:2402.03300; TRL's "group")
 *   batch    (r - group mean) / (std of the batch + 1e-4)          (TRL's "batch")
 *   max_rl   (r - mean) / mean, 0 where mean <= 0                  (prime-rl)
 */

export const ADVANTAGE_NAMES = ['none', 'group', 'batch', 'max_rl'] as const;

export type AdvantageName = (typeof ADVANTAGE_NAMES)[number];

const EPSILON = 1e-4;

/**
 * Advantages of every rollout, group by group.
 * @param groups rewards of the rollouts that count, per prompt; groups may differ in size and be empty
 */
export function advantages(name: AdvantageName, groups: readonly (readonly number[])[]): number[][] {
  const batchStd = standardDeviation(groups.flat());
  return groups.map((rewards) => {
    const centre = mean(rewards);
    switch (name) {
      case 'none':
        return rewards.map((reward) => reward - centre);
      case 'group': {
        const std = standardDeviation(rewards);
        return rewards.map((reward) => (reward - centre) / (std + EPSILON));
      }
      case 'batch':
        return rewards.map((reward) => (reward - centre) / (batchStd + EPSILON));
      case 'max_rl':
        return rewards.map((reward) => (centre > 0 ? (reward - centre) / centre : 0));
    }
  });
}

/** True where a group's rewards differ: only such a group says which rollouts to make likelier. */
export function hasSignal(rewards: readonly number[]): boolean {
  return rewards.length > 1 && Math.max(...rewards) - Math.min(...rewards) > 1e-6;
}

/** Arithmetic mean; 0 of nothing. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Standard deviation with ddof 1; 0 of fewer than two values. */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}
