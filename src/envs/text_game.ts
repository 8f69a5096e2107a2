/**
 * @file Games for one player in text: the model says an action, the game says what happened, until the game is done. Any
 * game that has a `step` can be played, such as one that was written for a gym.
 */
import { MultiTurnEnv } from './multi_turn';
import type { MultiTurnOptions } from './multi_turn';
import { Rubric } from './rubric';
import type { State } from './state';
import type { Message } from './types';

export interface TextStep {
  observation: string;
  /** Of this step alone; 0 where none is given. */
  reward?: number;
  /** The game is over: the observation is its last word. */
  done: boolean;
}

/** One play of a game. What the player knows at the start is the task's question. */
export interface TextGame {
  /** @param action what the reply says; null where it says none */
  step(action: string | null): TextStep | Promise<TextStep>;
}

export interface TextGameOptions extends Omit<MultiTurnOptions, 'maxTurns'> {
  /** Begins a game about a task. */
  start: (state: State) => TextGame | Promise<TextGame>;
  /** The action in what was said so far; unless given, what the parser finds in the newest reply. */
  read?: (state: State) => string | null;
  /** Actions at most; the last one is still played. */
  maxActions?: number;
}

const DEFAULT_MAX_ACTIONS = 100;

/**
 * Ends as `has_final_env_response` when the game is done. Rewarded is the sum of the steps' rewards (`game_return`) unless
 * a rubric is given; each turn keeps its own step's reward.
 */
export class TextGameEnv extends MultiTurnEnv {
  readonly #maxActions: number;
  readonly #read: (state: State) => string | null;

  constructor({ start, read, maxActions = DEFAULT_MAX_ACTIONS, ...options }: TextGameOptions) {
    super({ rubric: new Rubric({ game_return: gameReturn }), ...options });
    this.#maxActions = maxActions;
    this.#read = read ?? (({ completion }) => this.parser.parseAnswer(completion.slice(-1)));
    this.addSetup('game', async (state) => {
      state.scratch.game = await start(state);
    });
  }

  protected override async envResponse(state: State): Promise<Message[]> {
    const { game } = state.scratch as { game: TextGame };
    const { observation, reward, done } = await game.step(this.#read(state));
    if (reward !== undefined) state.turns.at(-1)!.reward = reward;
    const response: Message[] = [{ role: 'user', content: observation }];
    if (done || state.turns.length >= this.#maxActions) state.finalEnvResponse = response;
    return response;
  }
}

/** What all steps of a game were worth together. */
export function gameReturn({ state }: { state: State }): number {
  return state.turns.reduce((sum, { reward = 0 }) => sum + reward, 0);
}
