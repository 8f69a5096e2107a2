/** @file Replies that are cut off, and replies that grow without getting better. */
import type { SettingAdvice } from './finding';
import { average } from './history';
import type { History } from './history';
import { goals } from './reward';
import type { Rule } from './rule';
import { percent } from './signal';

const WINDOW = 3;

/** A quarter of the rollouts: fewer are usual where a model that has not learned yet rambles now and then. */
const CUT_OFF = 0.25;

/** Being cut off costs that share of the range of rewards: where it costs nothing (a task that fills its limit) all is well. */
const COST = 0.25;

export const TRUNCATION: Rule = {
  kind: 'truncation',
  confirm: 2,
  look(history) {
    const steps = history.recent(WINDOW);
    const share = average(steps, (step) => step.truncated / step.rollouts)!;
    if (share < CUT_OFF / 2) return 'well';
    const { low, high } = history.rewardRange();
    const cost = lostByEnding(steps, high - low);
    if (share < CUT_OFF || cost < COST) return cost < COST / 2 ? 'well' : 'unclear';
    const limit = history.config.sampling.max_tokens;
    const length = history.newest.completionLength;
    return {
      message:
        `${percent(share)} of the rollouts are cut off before they end, and earn ${percent(cost)} of the range of rewards less ` +
        'than those that end: what is punished is the limit, not the answer.',
      settings: [
        ...(limit === undefined
          ? [{ key: 'sampling.max_tokens', now: null, to: 2 * Math.ceil(length) }]
          : [{ key: 'sampling.max_tokens', now: limit, to: enough(limit, length) }]),
      ],
      evidence: { truncatedShare: share, cost, threshold: CUT_OFF, completionLength: length },
    };
  },
};

/** Twice the limit or a limit with room for four times the mean reply, whichever is less. */
function enough(limit: number, length: number): number {
  return Math.max(limit + 1, Math.min(4 * limit, Math.ceil(4 * length)));
}

/** How much less the rollouts that were cut off earn, as a share of the range of rewards. */
function lostByEnding(steps: History['steps'], range: number): number {
  let [cut, ended, cutCount, endedCount] = [0, 0, 0, 0];
  for (const { rewardByEnding, truncated, rollouts } of steps) {
    cut += truncated * (rewardByEnding.truncated ?? 0);
    ended += (rollouts - truncated) * (rewardByEnding.complete ?? 0);
    cutCount += truncated;
    endedCount += rollouts - truncated;
  }
  // Where every one is cut off and none ever earned more than another, the limit is what they have in common.
  if (endedCount === 0) return range === 0 ? 1 : 0;
  if (cutCount === 0 || range === 0) return 0;
  return (ended / endedCount - cut / cutCount) / range;
}

/**
 * Three quarters longer than at the start. A healthy run grows as much only where it learns to use its tools or to say more
 * of the answer, and then it gets better.
 */
const GROWTH = 1.75;
const CALM = 1.4;

export const LENGTH: Rule = {
  kind: 'length',
  confirm: 2,
  look(history) {
    if (history.steps.length < 2 * WINDOW) return 'unclear';
    const [first, now] = [history.first(WINDOW), history.recent(WINDOW)];
    const [short, long] = [average(first, lengthOf)!, average(now, lengthOf)!];
    if (long < CALM * short) return 'well';
    if (long < GROWTH * short || isBetter(history)) return 'unclear';
    const { length_penalty: penalty, sampling } = history.config;
    const limit = sampling.max_tokens;
    const settings: SettingAdvice[] = [
      // prime-rl's default: the longest reply of a group loses a quarter of the group's mean reward.
      {
        key: 'length_penalty.output_tokens',
        now: penalty.output_tokens,
        to: Math.max(0.25, 2 * penalty.output_tokens),
      },
      ...(limit !== undefined && limit > 2 * short
        ? [{ key: 'sampling.max_tokens', now: limit, to: Math.ceil(2 * short) }]
        : []),
    ];
    return {
      message:
        `Replies grew from ${short.toFixed(1)} to ${long.toFixed(1)} tokens and solve no more than before: the reward pays for ` +
        'saying more.',
      settings,
      remedy: 'Or reward the answer as a whole, so that what is added to it counts against it.',
      evidence: { lengthAtFirst: short, lengthNow: long, growth: long / short, threshold: GROWTH },
    };
  },
};

const lengthOf = (step: { completionLength: number }) => step.completionLength;

/** Whether what the run is after has got better since its first steps: the unrewarded shares, or the share of tasks solved. */
function isBetter(history: History): boolean {
  const [first, now] = [history.first(WINDOW), history.recent(WINDOW)];
  const names = goals(history);
  const measures = names.map((name) => (step: History['newest']) => step.metrics[name]!);
  if (measures.length === 0) measures.push(({ solveRate }) => solveRate);
  return measures.some((measure) => average(now, measure)! > average(first, measure)! + 0.05);
}
