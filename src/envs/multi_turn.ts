/** @file Environments that talk with the model: for one turn, or until a stop condition holds. */
import { Environment, inOrder } from './environment';
import type { EnvironmentOptions, RolloutOptions } from './environment';
import { RubricGroup, Rubric } from './rubric';
import type { RewardFunction } from './rubric';
import type { State } from './state';
import { completionTokens, now } from './trace';
import type { ChatModel, Message } from './types';

export interface MultiTurnOptions extends EnvironmentOptions {
  /** Replies of the model at most; -1 = no limit. */
  maxTurns?: number;
  /** Sampled tokens of a whole rollout; it ends with the turn that reaches them. */
  maxTotalCompletionTokens?: number;
}

type StopCondition = (state: State) => boolean | Promise<boolean>;

/** Checked before all others: a rollout that failed is over. */
const ERROR_PRIORITY = 100;

/**
 * Before every request to the model the stop conditions are asked, higher priorities first and equal ones by name; the
 * first that holds ends the rollout and names it. Built in: `has_error`, `has_final_env_response`, `max_seq_len_reached`,
 * `max_total_completion_tokens_reached`, `max_turns_reached`, `prompt_too_long`; the time limit ends a rollout as
 * `timeout_reached`. Subclasses add their own with `addStop` and say in `envResponse` what the environment answers.
 */
export abstract class MultiTurnEnv extends Environment {
  readonly maxTurns: number;
  readonly #stops: { name: string; priority: number; holds: StopCondition }[] = [];

  constructor(options: MultiTurnOptions) {
    super({ ...options, rubric: withMonitors(options.rubric, { num_turns: ({ state }) => state.turns.length }) });
    const { maxTurns = -1, maxTotalCompletionTokens = Infinity } = options;
    this.maxTurns = maxTurns;
    this.addStop('has_error', (state) => state.error !== null, ERROR_PRIORITY);
    this.addStop('has_final_env_response', (state) => state.finalEnvResponse !== null);
    this.addStop('max_seq_len_reached', (state) => sequenceLength(state) >= this.maxSeqLen);
    this.addStop('max_total_completion_tokens_reached', (state) => completionTokens(state) >= maxTotalCompletionTokens);
    this.addStop('max_turns_reached', (state) => maxTurns >= 0 && state.turns.length >= maxTurns);
    this.addStop('prompt_too_long', (state) => state.promptTooLong);
  }

  /** Adds a stop condition; its name is what the trace will say. */
  protected addStop(name: string, holds: StopCondition, priority = 0): void {
    this.#stops.push({ name, priority, holds });
  }

  /**
   * The environment's messages after a reply of the model. Setting `state.finalEnvResponse` to them makes them the last
   * word.
   */
  protected abstract envResponse(state: State): Message[] | Promise<Message[]>;

  protected override async play(state: State, model: ChatModel, options: RolloutOptions): Promise<void> {
    const stops = inOrder(this.#stops);
    for (;;) {
      for (const { name, holds } of stops) {
        if (!(await holds(state))) continue;
        state.stopCondition = name;
        return;
      }
      const read = state.completion.length;
      if (state.turns.length > 0) {
        const start = now();
        state.completion.push(...(await this.envResponse(state)));
        state.timing.environment.push({ start, end: now() });
        if (state.finalEnvResponse || state.error) continue;
      }
      await this.takeTurn(state, model, options);
      if (state.promptTooLong) state.completion.splice(read); // an answer that the model never read
    }
  }
}

/** Tokens of the conversation so far, as far as the model says them. */
function sequenceLength({ turns }: State): number {
  const tokens = turns.at(-1)?.tokens;
  return tokens ? tokens.promptIds.length + tokens.completionIds.length : 0;
}

/** A rubric with metrics beside it that an environment of this kind always shows. */
export function withMonitors(rubric: Rubric | undefined, metrics: Record<string, RewardFunction>): RubricGroup {
  const weights = Object.fromEntries(Object.keys(metrics).map((name) => [name, 0]));
  return new RubricGroup([rubric ?? new Rubric(), new Rubric(metrics, { weights })]);
}

/** One question, one answer. */
export class SingleTurnEnv extends MultiTurnEnv {
  constructor(options: EnvironmentOptions) {
    super({ ...options, maxTurns: 1 });
  }

  protected override envResponse(): Message[] {
    throw new Error('a single-turn environment does not answer');
  }
}
