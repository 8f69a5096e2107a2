/** @file Learning rates over a run. */

/** Linear warm-up to `lr` over `warmupSteps`, then constant. Steps count from 1. */
export function learningRate(lr: number, step: number, warmupSteps: number): number {
  return lr * Math.min(1, step / Math.max(1, warmupSteps));
}
