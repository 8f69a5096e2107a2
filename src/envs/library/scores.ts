/** @file Reward functions that several environments share. */
import type { RewardArgs } from '../rubric';
import { sequenceRatio } from '../similarity';

/** 1 when the response is the answer, to the letter. */
export function exactMatch({ response, answer }: RewardArgs): number {
  return response === answer ? 1 : 0;
}

/** How alike answer and response are, by difflib's ratio. */
export function similarity({ response, answer }: RewardArgs): number {
  return sequenceRatio(response, answer);
}

/**
 * Share of the answer's letters that occur anywhere in the response. Saying more can only help, so what it teaches is to
 * say a lot: the example of a reward that misleads.
 */
export function letterRecall({ response, answer }: RewardArgs): number {
  const letters = [...answer];
  return letters.filter((letter) => response.includes(letter)).length / Math.max(1, letters.length);
}
