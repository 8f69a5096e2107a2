/** @file A reward function as unreliable as one that asks another service: now and then it throws. */
import { PURPOSE, deriveKey, uniform } from '../../../random';
import type { RewardFunction } from '../../rubric';

/** The same function, but it throws for that share of the rollouts. Which ones is a matter of the seed. */
export function unreliable(score: RewardFunction, share: number, seed: number): RewardFunction {
  if (share === 0) return score;
  return (args) => {
    const { exampleId, draw, rollout } = args.state;
    const key = deriveKey(seed, PURPOSE.environment, exampleId, draw, rollout);
    if (uniform(key, 0) < share) throw new Error('the judge did not answer');
    return score(args);
  };
}
