/** @file Reports made by hand, and a diagnostician as a run's own. */
import { libraryEntry } from '../../src/envs';
import { Diagnostician } from '../../src/rl';
import type { Observed, StepReport, TrainConfig, UpdateResult } from '../../src/rl';

/** As the command line and the page make it. */
export function diagnosticianFor(config: TrainConfig): Diagnostician {
  const env = libraryEntry(config.env).load(config.env_args);
  return new Diagnostician(config, { metrics: env.rubric.metricNames });
}

const UPDATE: UpdateResult = {
  loss: 0,
  entropy: 0.5,
  clipFraction: 0,
  mismatchKl: 1e-8,
  referenceKl: 0,
  maxLogRatio: 1e-6,
  gradNorm: 0.8,
  finite: true,
  tokens: 1000,
  lossTokens: 500,
};

/** A step of a run that is well, but for the changes. */
export function stepEvent(
  step: number,
  { update = {}, ...changes }: Partial<Omit<StepReport, 'update'>> & { update?: Partial<UpdateResult> | null } = {},
): Observed {
  const report: StepReport = {
    step,
    reward: { mean: 0.5, std: 0.4, min: 0, max: 1 },
    solveRate: 0.5,
    metrics: { exactMatch: 0.5 },
    rollouts: 128,
    errors: 0,
    rewardErrors: {},
    truncated: 0,
    overlong: 0,
    completionLength: 6,
    groups: 16,
    groupsWithSignal: 12,
    groupsTooEasy: 2,
    groupsTooHard: 2,
    groupsReplaced: 0,
    prefixBreaks: 0,
    staleness: 0,
    lr: 1e-3,
    update: update && { ...UPDATE, ...update },
    rolloutSeconds: 1,
    updateSeconds: 1,
    idleSeconds: 0,
    tokensPerSecond: 1000,
    rewardByEnding: { truncated: null, complete: 0.5 },
    sampledEntropy: 0.5,
    ...changes,
  };
  return { event: 'step', ...report };
}
