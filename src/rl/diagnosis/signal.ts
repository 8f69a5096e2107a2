/** @file Groups whose rollouts all earn the same teach nothing: because the tasks are too hard, too easy, or sampled alike. */
import type { StepReport } from '../report';
import { libraryEntry, LIBRARY } from '../../envs';
import type { TrainConfig } from '../config';
import type { SettingAdvice } from './finding';
import { average } from './history';
import type { History } from './history';
import type { Rule, Verdict } from './rule';

/** Steps that a share of groups is averaged over: with 8 groups a step, one step alone is too coarse. */
const WINDOW = 3;

/**
 * Three of four groups silent leaves a quarter of each batch to learn from; a healthy run begins with fewer than half of
 * them silent. Over when more than half have a signal.
 */
const SILENT = 0.75;
const AUDIBLE = 0.5;

/** Groups of either kind that make a mixture: fewer are the odd exception among groups of the other kind. */
const BOTH = 0.15;

/** Solving more than this at any time shows that the tasks are within reach: then something else went wrong. */
const WITHIN_REACH = 0.2;

const tooHard = (step: StepReport) => step.groupsTooHard / step.groups;
const tooEasy = (step: StepReport) => step.groupsTooEasy / step.groups;
const silent = (step: StepReport) => 1 - step.groupsWithSignal / step.groups;

/** Silent groups from the first steps on. A run that ends in silence has learned what there was to learn. */
function silentFromTheStart(history: History): Verdict | undefined {
  if (history.steps.length < WINDOW) return 'unclear';
  const now = average(history.recent(WINDOW), silent)!;
  if (now < AUDIBLE) return 'well';
  return now < SILENT || average(history.first(WINDOW), silent)! < SILENT ? 'unclear' : undefined;
}

export const TOO_HARD: Rule = {
  kind: 'too-hard',
  confirm: 1,
  look(history) {
    const early = silentFromTheStart(history);
    if (early) return early;
    const hard = average(history.recent(WINDOW), tooHard)!;
    const best = Math.max(...history.steps.map(({ solveRate }) => solveRate));
    if (hard < SILENT || best > WITHIN_REACH) return 'unclear';
    const { config, newest } = history;
    const { grpo } = config;
    return {
      message:
        `In ${percent(hard)} of the groups no rollout reaches the pass threshold and all earn the same, since the first step. ` +
        'Reinforcement learning strengthens what the model sometimes does; what it never does it cannot find this way.',
      settings: [
        ...easierTasks(config),
        // More tries per prompt find a success of rate p with 1 - (1 - p)^n.
        ...(grpo.group_size * 4 <= grpo.batch_size
          ? [{ key: 'grpo.group_size', now: grpo.group_size, to: grpo.group_size * 4 }]
          : []),
      ],
      remedy:
        'Or start from a model that can do it now and then: a supervised warm-up (sft.steps), or a partial reward.',
      evidence: { tooHardShare: hard, threshold: SILENT, solveRate: newest.solveRate, bestSolveRate: best },
      since: history.steps[0]!.step,
    };
  },
};

export const TOO_EASY: Rule = {
  kind: 'too-easy',
  confirm: 1,
  look(history) {
    const early = silentFromTheStart(history);
    if (early) return early;
    const easy = average(history.recent(WINDOW), tooEasy)!;
    if (easy < SILENT || average(history.first(WINDOW), tooEasy)! < SILENT) return 'unclear';
    const { config } = history;
    return {
      message:
        `In ${percent(easy)} of the groups every rollout solves the task, since the first step: no rollout is better than ` +
        'the others of its group, so there is nothing to strengthen.',
      settings: [...warmer(config), ...removable(config, 'max')],
      remedy: 'Or give it harder tasks, by the options of the environment, or another environment.',
      evidence: { tooEasyShare: easy, threshold: SILENT, solveRate: history.newest.solveRate },
      since: history.steps[0]!.step,
    };
  },
};

export const TOO_ALIKE: Rule = {
  kind: 'too-alike',
  confirm: 1,
  look(history) {
    const early = silentFromTheStart(history);
    if (early) return early;
    const steps = history.recent(WINDOW);
    const [hard, easy] = [average(steps, tooHard)!, average(steps, tooEasy)!];
    if (Math.min(hard, easy) < BOTH) return 'unclear';
    const { config } = history;
    const { grpo } = config;
    return {
      message:
        `${percent(hard + easy)} of the groups have no signal since the first step, some solved by every rollout and some by ` +
        'none: the rollouts of one prompt hardly differ.',
      settings: [
        ...warmer(config),
        ...(grpo.group_size * 2 <= grpo.batch_size
          ? [{ key: 'grpo.group_size', now: grpo.group_size, to: grpo.group_size * 2 }]
          : []),
      ],
      evidence: { tooHardShare: hard, tooEasyShare: easy, threshold: SILENT, temperature: config.sampling.temperature },
      since: history.steps[0]!.step,
    };
  },
};

/** A cold model says the same again and again. */
function warmer({ sampling }: TrainConfig): SettingAdvice[] {
  return sampling.temperature < 1 ? [{ key: 'sampling.temperature', now: sampling.temperature, to: 1 }] : [];
}

/** Options that make tasks larger than they are by default. */
function easierTasks(config: TrainConfig): SettingAdvice[] {
  return removable(config, 'min').concat(removable(config, 'max'));
}

/** Numeric options of the environment that name an extreme and differ from their default. */
function removable({ env, env_args: given }: TrainConfig, extreme: 'min' | 'max'): SettingAdvice[] {
  if (!LIBRARY.some(({ name }) => name === env)) return [];
  const known = Object.keys(libraryEntry(env).options.shape);
  const camelCase = (key: string) => key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.entries(given)
    .filter(([key]) => known.includes(camelCase(key)) && camelCase(key).startsWith(extreme))
    .map(([key, now]) => ({ key: `env_args.${key}`, now, to: null }));
}

export function percent(share: number): string {
  return `${Math.round(100 * share)}%`;
}
