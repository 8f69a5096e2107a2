/**
 * @file A reward that is worth less the more it cost: tokens written, tokens read, turns taken, each measured against the
 * longest rollout of its group (prime-rl's efficiency penalty).
 *
 *   s = r - mean(r) (w_out out / max out + w_in in / max in + w_turns turns / max turns),   each maximum at least 1
 *
 * The penalty is scaled by the group's mean reward: as long as nothing is solved, length does not count. A negative mean
 * turns it round, here as upstream: rewards are meant to be at least 0.
 */
import { completionTokens, tokenSamples } from '../envs';
import type { Trace } from '../envs';
import { mean } from './advantages';

/** What a rollout cost. */
export interface Cost {
  /** Tokens sampled. */
  outputTokens: number;
  /** Tokens of prompt and environment. */
  inputTokens: number;
  turns: number;
}

/** How much of the group's mean reward the longest rollout loses, per kind of cost. */
export type LengthPenalty = Cost;

const COSTS = ['outputTokens', 'inputTokens', 'turns'] as const;

/** Rewards of a group after the penalty. Weights of 0 leave them as they are, bit for bit. */
export function penalized(rewards: readonly number[], costs: readonly Cost[], weights: LengthPenalty): number[] {
  const longest = (kind: keyof Cost) => Math.max(1, ...costs.map((cost) => cost[kind]));
  const used = COSTS.filter((kind) => weights[kind] > 0).map((kind) => ({
    kind,
    scale: weights[kind] / longest(kind),
  }));
  if (used.length === 0) return [...rewards];
  const centre = mean(rewards);
  return rewards.map((reward, i) => {
    const share = used.reduce((sum, { kind, scale }) => sum + scale * costs[i]![kind], 0);
    return reward - centre * share;
  });
}

/** What a rollout cost, by its tokens; those that are part of several samples count once per sample. */
export function costOf(trace: Trace): Cost {
  const outputTokens = completionTokens(trace);
  const total = tokenSamples(trace).reduce((sum, { ids }) => sum + ids.length, 0);
  return { outputTokens, inputTokens: Math.max(0, total - outputTokens), turns: trace.turns.length };
}
