/** @file One fault as a rule, and the memory that keeps it from flickering. */
import type { FindingKind, Symptom } from './finding';
import type { History } from './history';

/**
 * What a rule says of the newest step: a symptom; 'well'; or 'unclear', between the threshold at which it is found and the
 * lower one at which it is over, or where the step has nothing to say.
 */
export type Verdict = Symptom | 'well' | 'unclear';

export interface Rule {
  kind: FindingKind;
  /** Steps in a row that must show it before it is told: one bad batch is chance. */
  confirm: number;
  look(history: History): Verdict;
}

/** Steps in a row that must be well before a finding is over. */
export const STEPS_UNTIL_OVER = 3;

/** Steps after its end within which a finding that comes back is kept quiet about until confirmed for that long. */
export const STEPS_OF_QUIET = 5;
