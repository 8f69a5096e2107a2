/** @file Every rule. Their order is of no importance: FINDING_KINDS says which of several findings comes first. */
import { ENTROPY_BONUS, ENTROPY_COLLAPSE } from './entropy';
import { LENGTH, TRUNCATION } from './length';
import { GRADIENT_SPIKES, MISMATCH_RISING, REFERENCE_KL, REWARD_COLLAPSE } from './policy';
import { MEMORISATION, MISLEADING_REWARD, REWARD_ERRORS } from './reward';
import type { Rule } from './rule';
import { TOO_ALIKE, TOO_EASY, TOO_HARD } from './signal';

export const RULES: readonly Rule[] = [
  REWARD_ERRORS,
  TRUNCATION,
  LENGTH,
  MISLEADING_REWARD,
  MISMATCH_RISING,
  REFERENCE_KL,
  GRADIENT_SPIKES,
  REWARD_COLLAPSE,
  ENTROPY_COLLAPSE,
  ENTROPY_BONUS,
  MEMORISATION,
  TOO_EASY,
  TOO_HARD,
  TOO_ALIKE,
];
