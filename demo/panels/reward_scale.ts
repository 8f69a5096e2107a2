/** @file How rewards are drawn. Most lie between 0 and 1, and nothing says that they must. */

/** Of the rewards of one step. */
export interface RewardSummary {
  mean: number;
  std: number;
  min: number;
  max: number;
}

/** One standard deviation around the mean, as far as there were rewards: a share of successes is never above 1. */
export function spreadOf({ mean, std, min, max }: RewardSummary): { low: number; high: number } {
  return { low: Math.max(mean - std, min), high: Math.min(mean + std, max) };
}

/**
 * The axis for values between `low` and `high` (null: there are none): 0 to 1 with a little air above, and further where
 * values lie outside.
 */
export function rewardAxis(low: number | null, high: number | null): [number, number] {
  const from = Math.min(0, low ?? 0);
  const to = Math.max(1, high ?? 1);
  const air = 0.02 * (to - from);
  return [from < 0 ? from - air : 0, to + air];
}
