/**
 * @file Conversations with a user who is a model too (or a script, as a `functionModel`): after each reply of the policy
 * the user answers, until the user says the last word.
 */
import { PURPOSE, subKey } from '../random';
import type { TaskRow } from './dataset';
import { MultiTurnEnv } from './multi_turn';
import type { MultiTurnOptions } from './multi_turn';
import type { State } from './state';
import { traceError } from './trace';
import type { ChatModel, Message, SamplingArgs } from './types';

export interface UserEnvOptions extends MultiTurnOptions {
  user: ChatModel;
  /** What the user is told about itself: who it is and what it wants. The policy does not see it. */
  userPrompt: string | ((row: TaskRow) => string);
  userSampling?: SamplingArgs;
  /** Whether the user's words end the conversation; where they hold `DONE` unless given. */
  ends?: (text: string) => boolean;
}

/** What a user says, unless told otherwise, when it has what it wants. */
export const DONE = '###DONE###';

const DEFAULT_MAX_TURNS = 10;

/**
 * Ends as `user_done` when the user does so, else by the stop conditions of every conversation. A user that fails is the
 * rollout's error, as that of a model (`where`: user), and no reward.
 */
export class UserEnv extends MultiTurnEnv {
  readonly #options: UserEnvOptions;

  constructor(options: UserEnvOptions) {
    super({ maxTurns: DEFAULT_MAX_TURNS, ...options });
    this.#options = options;
    this.addStop('user_done', ({ finalEnvResponse }) => finalEnvResponse !== null, 1);
  }

  protected override async envResponse(state: State): Promise<Message[]> {
    const { user, userSampling = {}, ends = (text) => text.includes(DONE) } = this.#options;
    try {
      const { message } = await user.complete(
        {
          messages: this.#userView(state),
          sampling: userSampling,
          key: subKey(state.random.key, PURPOSE.seat, state.turns.length),
        },
        { signal: state.signal },
      );
      const said: Message[] = [{ role: 'user', content: message.content }];
      if (ends(message.content)) state.finalEnvResponse = said;
      return said;
    } catch (error) {
      state.signal.throwIfAborted();
      state.error = traceError('model', error, 'user');
      return [];
    }
  }

  /** The conversation from the other side: the policy's words are told to the user, the user's are its own. */
  #userView({ example, prompt, completion }: State): Message[] {
    const { userPrompt } = this.#options;
    const instructions = typeof userPrompt === 'string' ? userPrompt : userPrompt(example);
    const spoken = [...prompt, ...completion].flatMap(({ role, content }): Message[] =>
      role === 'user' ? [{ role: 'assistant', content }] : role === 'assistant' ? [{ role: 'user', content }] : [],
    );
    return [{ role: 'system', content: instructions }, ...spoken];
  }
}
