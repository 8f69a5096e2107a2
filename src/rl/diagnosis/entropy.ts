/** @file A policy that stopped exploring too early, or is paid so well for exploring that it never settles. */
import type { StepReport } from '../report';
import { average } from './history';
import { entropyOf, gentler } from './policy';
import type { Rule } from './rule';

const WINDOW = 5;

/** A run that solves this much may well be sure of itself. */
const SOLVED = 0.6;

/** Share of the first steps' entropy that is left. Healthy runs come this low only once they solve nearly all tasks. */
const LEFT = 0.25;

/** Of the reward, from one window to the next: less is standing still. */
const PROGRESS = 0.02;

export const ENTROPY_COLLAPSE: Rule = {
  kind: 'entropy-collapse',
  confirm: 2,
  look(history) {
    if (history.steps.length < 2 * WINDOW) return 'unclear';
    const [first, now] = [average(history.first(2), entropyOf)!, average(history.recent(WINDOW), entropyOf)!];
    const solved = average(history.recent(WINDOW), ({ solveRate }) => solveRate)!;
    if (now > 2 * LEFT * first || solved > SOLVED + 0.1) return 'well';
    if (now > LEFT * first || solved > SOLVED || progress(history) > PROGRESS) return 'unclear';
    const { config } = history;
    const { grpo } = config;
    // Worth a few percent of the reward while entropy is what it was at first.
    const bonus = { key: 'grpo.entropy_coefficient', now: grpo.entropy_coefficient, to: 0.02 };
    return {
      message:
        `Entropy fell from ${first.toFixed(3)} to ${now.toFixed(3)} nats per token while ${Math.round(100 * solved)}% of the ` +
        'tasks are solved: the policy settled on one way of answering before it found a good one, and tries no other.',
      settings: [
        ...(grpo.entropy_coefficient < 0 ? [bonus] : []),
        { key: 'grpo.lr', now: grpo.lr, to: gentler(config) },
        ...(grpo.entropy_coefficient === 0 ? [bonus] : []),
      ],
      remedy: 'A larger grpo.group_size tries more, too.',
      evidence: { entropyAtFirst: first, entropyNow: now, left: now / first, threshold: LEFT, solveRate: solved },
    };
  },
};

export const ENTROPY_BONUS: Rule = {
  kind: 'entropy-bonus',
  confirm: 2,
  look(history) {
    const { entropy_coefficient: coefficient } = history.config.grpo;
    if (coefficient <= 0 || history.steps.length < 2 * WINDOW || history.isZeroSum) return 'unclear';
    const [before, now] = [history.recent(WINDOW, WINDOW), history.recent(WINDOW)];
    const [was, is] = [average(before, entropyOf)!, average(now, entropyOf)!];
    const solved = average(now, ({ solveRate }) => solveRate)!;
    const greedy = history.eval?.result.greedy ?? 1;
    if (is < 0.9 * was || solved > 0.9) return 'well';
    // A greedy share as low says that the model cannot do it, not that it is kept from it.
    if (is < 0.97 * was || progress(history) > PROGRESS * 2 || greedy < solved) return 'unclear';
    return {
      message:
        `Entropy stays at ${is.toFixed(3)} nats per token and the reward stands still: the bonus of ${coefficient} per nat pays ` +
        'more for being undecided than the task pays for being right.',
      settings: [{ key: 'grpo.entropy_coefficient', now: coefficient, to: Number((coefficient / 10).toPrecision(1)) }],
      evidence: { entropyBefore: was, entropyNow: is, solveRate: solved, greedy, coefficient },
    };
  },
};

/** How much more reward the last steps had than those before them. */
function progress(history: Parameters<Rule['look']>[0]): number {
  const rewardOf = ({ reward }: StepReport) => reward.mean;
  return average(history.recent(WINDOW), rewardOf)! - average(history.recent(WINDOW, WINDOW), rewardOf)!;
}
