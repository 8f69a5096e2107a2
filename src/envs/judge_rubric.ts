/**
 * @file A rubric whose scores are a model's opinion.
 *
 *     new JudgeRubric({ judge: model })                                  // judge_reward: yes or no
 *     new JudgeRubric({ judge: model, prompt: RATE, functions: { rating: verdict(outOfTen) } })
 */
import { Judge } from './judge';
import type { JudgeOptions } from './judge';
import { Rubric } from './rubric';
import type { RewardArgs, RewardValue, RubricOptions } from './rubric';
import type { ChatModel } from './types';

/** A reward function that may ask the judge; what it says is the same for all functions that ask the same. */
export type JudgedReward = (args: RewardArgs, ask: () => Promise<string>) => RewardValue | Promise<RewardValue>;

export interface JudgeRubricOptions extends RubricOptions, JudgeOptions {
  judge: ChatModel;
  /** By name; `judge_reward` unless given: 1 for yes, 0 for no. */
  functions?: Readonly<Record<string, JudgedReward>>;
}

/** A judge that did not say what it was asked for. */
export class VerdictError extends Error {
  override name = 'VerdictError';
}

/** Adds the metric `judge_calls`: requests to the judge, which is what it costs. */
export class JudgeRubric extends Rubric {
  readonly judge: Judge;

  constructor({ judge: model, functions = { judge_reward: verdict(yesOrNo) }, ...options }: JudgeRubricOptions) {
    const judge = new Judge(model, options);
    const rewards = Object.entries(functions).map(
      ([name, score]) => [name, (args: RewardArgs) => score(args, () => judge.ask(args))] as const,
    );
    super(Object.fromEntries(rewards), options);
    this.judge = judge;
    this.addMetric('judge_calls', ({ state }) => judge.calls(state));
  }
}

/**
 * The judge's verdict as a reward.
 * @param read the score in a reply; null where there is none, which is an error of the reward and never a 0
 * @throws VerdictError with the judge's words
 */
export function verdict(read: (text: string) => number | null): JudgedReward {
  return async (_, ask) => {
    const text = await ask();
    const score = read(text);
    if (score === null) throw new VerdictError(`the judge gave no verdict, but said ${excerpt(text)}`);
    return score;
  };
}

/** 1 for a reply whose first yes or no is a yes, in capitals or not. */
export function yesOrNo(text: string): number | null {
  const [word] = /\b(?:yes|no)\b/i.exec(text) ?? [];
  return word === undefined ? null : Number(word.toLowerCase() === 'yes');
}

/** The first number from 0 to 10 that stands by itself, as a share of 10. */
export function outOfTen(text: string): number | null {
  const [number] = /(?<![\p{L}\p{N}_.-])(?:10|\d)(?![\p{L}\p{N}_]|\.\d)/u.exec(text) ?? [];
  return number === undefined ? null : Number(number) / 10;
}

/** What a grade in the last pair of `grade` tags is worth, with or without plus and minus. */
export function letterGrade(text: string): number | null {
  const [, letter] = [...text.matchAll(/<grade>\s*([A-Fa-f])\s*[+-]?\s*<\/grade>/g)].at(-1) ?? [];
  return letter === undefined ? null : (GRADES[letter.toUpperCase()] ?? null);
}

const GRADES: Readonly<Record<string, number>> = { A: 1, B: 0.75, C: 0.5, D: 0.25, F: 0 };

const LONGEST_EXCERPT = 200;

function excerpt(text: string): string {
  const { length } = text;
  const cut = length > LONGEST_EXCERPT ? `${text.slice(0, LONGEST_EXCERPT)}` : text;
  return (
    JSON.stringify(cut) + (length > LONGEST_EXCERPT ? `... (the first ${LONGEST_EXCERPT} of ${length} characters)` : '')
  );
}
