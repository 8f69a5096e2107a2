/**
 * @file A rubric turns a finished rollout into a reward: the weighted sum of its reward functions' scores. A function of
 * weight 0 is a metric: computed and shown, never rewarded.
 *
 *     const rubric = new Rubric({ exactMatch, similarity }, { weights: { similarity: 0 } });
 *
 * Functions are named by their keys, not by `Function.name`, which a minifier changes.
 */
import { Parser } from './parser';
import type { Trace, TraceError } from './trace';
import type { Message } from './types';

/** What a reward function may look at. */
export interface RewardArgs {
  prompt: readonly Message[];
  completion: readonly Message[];
  answer: string;
  info: Record<string, unknown>;
  /** The whole rollout so far. */
  state: Trace;
  parser: Parser;
  /** `parser.parseAnswer(completion)`: what most rewards want; '' when there is no answer. */
  response: string;
}

/** Scores one rollout. */
export type RewardFunction = (args: RewardArgs) => number | Promise<number>;

export interface RubricOptions {
  /** By name; 1 where none is given. */
  weights?: Readonly<Record<string, number>>;
  parser?: Parser;
}

export class Rubric {
  readonly parser: Parser;
  /** In the order of scoring. */
  readonly names: readonly string[];
  readonly weights: Readonly<Record<string, number>>;

  /** @throws RangeError for a weight without a function, or one that is not a finite number */
  constructor(
    readonly functions: Readonly<Record<string, RewardFunction>>,
    { weights = {}, parser = new Parser() }: RubricOptions = {},
  ) {
    this.parser = parser;
    this.names = Object.keys(functions);
    for (const [name, weight] of Object.entries(weights)) {
      if (!(name in functions)) throw new RangeError(`a weight for ${name}, but no reward function of that name`);
      if (!Number.isFinite(weight)) throw new RangeError(`the weight of ${name} is ${weight}`);
    }
    this.weights = Object.fromEntries(this.names.map((name) => [name, weights[name] ?? 1]));
  }

  /**
   * Scores a rollout in place: `metrics` and `reward`. A function that throws, or returns something that is not a finite
   * number, leaves the reward null and says so in `error`; the other functions still run.
   */
  async score(trace: Trace): Promise<void> {
    const args: RewardArgs = {
      prompt: trace.prompt,
      completion: trace.completion,
      answer: trace.answer,
      info: trace.info,
      state: trace,
      parser: this.parser,
      response: this.parser.parseAnswer(trace.completion) ?? '',
    };
    let reward = 0;
    for (const [name, score] of Object.entries(this.functions)) {
      try {
        const value: unknown = await score(args);
        if (typeof value !== 'number' || !Number.isFinite(value)) {
          throw new TypeError(`returned ${String(value)}, not a finite number`);
        }
        trace.metrics[name] = value;
        reward += this.weights[name]! * value;
      } catch (error) {
        trace.error ??= rewardError(name, error);
      }
    }
    trace.reward = trace.error ? null : reward;
  }
}

function rewardError(where: string, error: unknown): TraceError {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { source: 'reward', where, name, message };
}
