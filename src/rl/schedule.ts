/** @file Learning rates over a run. */

export const SCHEDULES = ['constant', 'linear', 'cosine'] as const;

export interface Schedule {
  /** The highest rate. */
  lr: number;
  /** What comes after the warm-up: it stays, falls in a straight line, or as half a cosine (arXiv:1608.03983). */
  kind: (typeof SCHEDULES)[number];
  /** Steps of linear warm-up. */
  warmupSteps: number;
  /** Steps from the end of the warm-up to the lowest rate, which then stays. */
  decaySteps: number;
  /** The lowest rate as a share of the highest. */
  minRatio: number;
}

/** The rate of a step; steps count from 1. */
export function learningRate(step: number, { lr, kind, warmupSteps, decaySteps, minRatio }: Schedule): number {
  if (step < warmupSteps) return lr * (step / warmupSteps);
  if (kind === 'constant' || decaySteps <= 0) return lr;
  // The last step of the run still moves: the rate of step s is that at the beginning of its interval.
  const done = Math.min(1, Math.max(0, step - 1 - warmupSteps) / decaySteps);
  const share = kind === 'linear' ? 1 - done : (1 + Math.cos(Math.PI * done)) / 2;
  return lr * (minRatio + (1 - minRatio) * share);
}

/** Linear warm-up, then constant. */
export function warmedUp(lr: number, warmupSteps: number): Schedule {
  return { lr, kind: 'constant', warmupSteps, decaySteps: 0, minRatio: 1 };
}
