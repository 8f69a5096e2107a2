/** @file Environments that talk with the model: for one turn, or until somebody says stop. */
import { Environment } from './environment';
import type { EnvironmentOptions, RolloutOptions } from './environment';
import type { Trace } from './trace';
import type { ChatModel, Message } from './types';

export interface MultiTurnOptions extends EnvironmentOptions {
  /** Replies of the model at most; -1 = no limit. */
  maxTurns?: number;
}

/** Subclasses say when it is over and what the environment answers. */
export abstract class MultiTurnEnv extends Environment {
  readonly maxTurns: number;

  constructor(options: MultiTurnOptions) {
    super(options);
    this.maxTurns = options.maxTurns ?? -1;
  }

  /** The name of the condition under which the rollout is over now, or null. Asked after every reply of the model. */
  protected stopCondition(_trace: Trace): string | null | Promise<string | null> {
    return null;
  }

  /** The environment's messages after a reply of the model. */
  protected abstract envResponse(trace: Trace): Message[] | Promise<Message[]>;

  protected override async play(trace: Trace, model: ChatModel, options: RolloutOptions): Promise<void> {
    while (await this.takeTurn(trace, model, options)) {
      trace.stopCondition = await this.stopCondition(trace);
      if (trace.stopCondition !== null) return;
      if (this.maxTurns >= 0 && trace.turns.length >= this.maxTurns) {
        trace.stopCondition = 'max_turns_reached';
        return;
      }
      trace.completion.push(...(await this.envResponse(trace)));
    }
  }
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
