/** @file Rewards that fail, that reward the wrong thing, or that are earned by heart. */
import type { TrainConfig } from '../config';
import type { SettingAdvice } from './finding';
import { average, movingMeans } from './history';
import type { History } from './history';
import type { Rule } from './rule';
import { percent } from './signal';

/** A rollout in fifty without a reward is worth knowing about: failing ones are dropped, and seldom at random. */
const FAILING = 0.02;

export const REWARD_ERRORS: Rule = {
  kind: 'reward-errors',
  confirm: 1,
  look({ newest, config }) {
    const failures = Object.entries(newest.rewardErrors).sort(([, a], [, b]) => b - a);
    const failed = failures.reduce((sum, [, count]) => sum + count, 0);
    if (failed === 0) return 'well';
    if (failed < FAILING * newest.rollouts) return 'unclear';
    const names = failures.map(([name, count]) => `${name} on ${count}`).join(', ');
    return {
      message:
        `Reward functions fail: ${names} of ${newest.rollouts} rollouts. Those rollouts are not trained on, and where the ` +
        'failures have a pattern the rest teaches the wrong thing.',
      settings: options(config, 'reward_failures', 0),
      remedy: 'The rollouts that failed say what was thrown: mend that reward function.',
      evidence: { failed, rollouts: newest.rollouts, threshold: FAILING },
    };
  },
};

/** Averaged over, for noise. */
const WINDOW = 3;

/** Of a measure between 0 and 1: more than the noise of 128 rollouts over three steps (a standard error of 0.025). */
const LOST = 0.2;

/**
 * Metrics with such a name measure what the task is about. Others do not: how often a tool is called goes up and down with
 * the tasks that happen to be drawn.
 */
const GOAL = /exact|match|correct|similar|solved|success|accuracy/i;

export const MISLEADING_REWARD: Rule = {
  kind: 'misleading-reward',
  confirm: 2,
  look(history) {
    if (history.steps.length < 2 * WINDOW) return 'unclear';
    const rewards = movingMeans(history.steps, WINDOW, ({ reward }) => reward.mean);
    let verdict: 'well' | 'unclear' = 'well';
    for (const name of goals(history)) {
      const values = movingMeans(history.steps, WINDOW, ({ metrics }) => metrics[name]!);
      const peak = values.indexOf(Math.max(...values));
      const [before, now] = [values[peak]!, values.at(-1)!];
      const gained = rewards.at(-1)! - rewards[peak]!;
      if (before - now < LOST / 2) continue;
      verdict = 'unclear';
      if (before - now < LOST || gained < 0) continue;
      return {
        message:
          `The reward is ${signed(gained)} while ${name} fell from ${before.toFixed(2)} to ${now.toFixed(2)}: the policy has ` +
          'found a way to be rewarded that is not the task. It optimises exactly what it is paid for.',
        settings: options(history.config, 'reward', 'exact'),
        remedy: `Reward ${name} itself, or take from the reward what can be had without solving the task.`,
        evidence: { metricAtBest: before, metricNow: now, rewardGained: gained, threshold: LOST },
      };
    }
    return verdict;
  },
};

/** Shares that say how well the task is done and that nothing is rewarded for. */
export function goals({ steps, metrics }: History): string[] {
  return metrics.filter(
    (name) =>
      GOAL.test(name) &&
      steps.every(({ metrics: values }) => values[name] !== undefined && values[name] >= 0 && values[name] <= 1),
  );
}

function signed(change: number): string {
  return change < 0.005 ? 'as high as it was' : `up by ${change.toFixed(2)}`;
}

/**
 * A quarter of the tasks: a healthy run's training and held-out shares differ by less than 0.1 (400 held-out tasks have a
 * standard error of 0.025).
 */
const GAP = 0.25;

export const MEMORISATION: Rule = {
  kind: 'memorisation',
  confirm: 2,
  look({ eval: evaluation, steps, config }) {
    // At another temperature the two are not the same measure.
    if (!evaluation || config.sampling.temperature !== 1) return 'unclear';
    // The policy of the eval is the one that sampled the step after it; the three before it are nearest where there is none.
    const around = steps.filter(({ step }) => step > evaluation.step - WINDOW && step <= evaluation.step + 1);
    const train = average(around, ({ solveRate }) => solveRate);
    if (train === undefined) return 'unclear';
    const { t1, examples, errors } = evaluation.result;
    const heldOut = errors < examples ? (t1 * examples) / (examples - errors) : 0;
    const gap = train - heldOut;
    if (gap < GAP / 2) return 'well';
    if (gap < GAP) return 'unclear';
    return {
      message:
        `It solves ${percent(train)} of the tasks it trains on and ${percent(heldOut)} of held-out ones: it knows these tasks ` +
        'by heart and has not learned the skill.',
      settings: options(config, 'training_tasks', 0),
      remedy: 'More and other training tasks; fewer steps on these.',
      evidence: { train, heldOut, gap, threshold: GAP },
    };
  },
};

/** An option of the environment that was set to something else, in whichever spelling. */
function options({ env_args: given }: TrainConfig, name: string, to: unknown): SettingAdvice[] {
  const camelCase = name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return [name, camelCase]
    .filter((key, i, all) => all.indexOf(key) === i && key in given && given[key] !== to)
    .map((key) => ({ key: `env_args.${key}`, now: given[key], to }));
}
