/**
 * @file Environments with several seats: games that models play with each other, or one model with itself.
 *
 * Each seat has its own conversation: what it was told and what it replied, nothing of what the others see. A seat is
 * played by the policy, or by any other model (`players`); a seat that is trained has a trace of its own, with its own
 * tokens and its own reward, and is compared with the same seat of the group's other rollouts.
 *
 * How a game ends, and what its trace says:
 * - `game_over`: by its own rules;
 * - `seat_forfeited`: a seat made `maxIllegalMoves` illegal moves (an empty reply is one) in a row, or its conversation no
 *   longer fits its model, and what the game's rules do about that ended it;
 * - `max_turns_reached`: after `maxTurns` replies of all seats together; payoffs are as the game then stands;
 * - `timeout_reached`: the same, after the time limit;
 * - `has_error`: a model or the game's code failed. No seat has a reward then: nobody is to blame.
 */
import { PURPOSE, subKey } from '../random';
import type { Example, TaskRow } from './dataset';
import { Environment } from './environment';
import type { EnvironmentOptions, RolloutOptions } from './environment';
import { withMonitors } from './multi_turn';
import { Rubric } from './rubric';
import type { State } from './state';
import { now } from './trace';
import type { ChatModel, Message } from './types';

/** The rules of a game and one play of it. Seats go by their names. */
export interface SeatGame {
  /** The seat whose move it is; null once the game is over. */
  readonly toMove: string | null;
  /** What a seat may know of what has happened since it was last told; '' = nothing. Asked before each of its moves and at the end. */
  tell(seat: string): string;
  /**
   * The move of the seat whose turn it is.
   * @param action as the environment's parser read it; null where it found none
   * @throws IllegalMoveError whose words the seat is told
   */
  move(action: string | null): void;
  /** The seat whose turn it is will make no legal move any more: the game must end, or go on without it. */
  forfeit(): void;
  /** What a seat has won so far. */
  payoff(seat: string): number;
}

/** A move that the rules do not allow. */
export class IllegalMoveError extends Error {
  override name = 'IllegalMoveError';
}

export interface MultiAgentOptions extends EnvironmentOptions {
  /** Names, in order. */
  seats: readonly string[];
  /** Who plays which seat; the policy plays the others. */
  players?: Readonly<Record<string, ChatModel>>;
  /** Seats whose tokens are trained on; all that the policy plays unless given. */
  trains?: readonly string[];
  /** Replies of all seats together at most; -1 = no limit. */
  maxTurns?: number;
  /** Illegal moves in a row with which a seat forfeits. */
  maxIllegalMoves?: number;
}

/** Who sits where in one task. */
export interface Seating {
  players: Readonly<Record<string, ChatModel>>;
  trains: readonly string[];
}

/** A game with its seats, in the notes of the rollout. */
interface Table {
  game: SeatGame;
  trains: readonly string[];
  seats: readonly Seat[];
}

interface Seat {
  name: string;
  /** Undefined: the policy. */
  player: ChatModel | undefined;
  state: State;
  illegalMoves: number;
}

const DEFAULT_MAX_ILLEGAL_MOVES = 2;

export abstract class MultiAgentEnv extends Environment {
  readonly seats: readonly string[];
  readonly maxTurns: number;
  readonly maxIllegalMoves: number;
  readonly #players: Readonly<Record<string, ChatModel>>;
  readonly #trains: readonly string[] | undefined;

  /** @throws TypeError for seats that repeat, or a seat that there is not */
  constructor(options: MultiAgentOptions) {
    const { seats, players = {}, trains, rubric = new Rubric({ payoff: payoffOf }) } = options;
    super({
      ...options,
      rubric: withMonitors(rubric, {
        num_turns: ({ state }) => state.turns.length,
        illegal_moves: ({ state }) => seatOf(state).illegalMoves,
      }),
    });
    this.seats = seats;
    this.maxTurns = options.maxTurns ?? -1;
    this.maxIllegalMoves = options.maxIllegalMoves ?? DEFAULT_MAX_ILLEGAL_MOVES;
    this.#players = players;
    this.#trains = trains;
    if (seats.length === 0 || new Set(seats).size < seats.length) {
      throw new TypeError(`${this.name}: the seats ${seats.join(', ') || '(none)'} are not names that differ`);
    }
    this.#check({ players, trains: trains ?? seats });
  }

  /** Begins a game about a task. */
  protected abstract begin(table: State): SeatGame;

  /** Who sits where in a task; a subclass may let its rows decide. */
  protected seating(_example: Example): Seating {
    const players = this.#players;
    return { players, trains: this.#trains ?? this.seats.filter((seat) => !players[seat]) };
  }

  /** The messages that a seat's conversation begins with. */
  protected seatPrompt(_row: TaskRow, _seat: string, told: string): Message[] {
    const system: Message[] = this.systemPrompt === undefined ? [] : [{ role: 'system', content: this.systemPrompt }];
    return [...system, ...this.fewShot, { role: 'user', content: told }];
  }

  protected override async play(state: State, model: ChatModel, options: RolloutOptions): Promise<void> {
    const { players, trains } = this.#check(this.seating(state.example));
    const game = this.begin(state);
    const seats = this.seats.map((name): Seat => {
      return { name, player: players[name], state: seatState(state, name), illegalMoves: 0 };
    });
    const table: Table = { game, trains, seats };
    state.scratch.table = table;
    state.stopCondition = await this.#playOut(table, state, model, options);
    for (const { name, state: own } of seats) {
      if (own.turns.length > 0 && !state.error) hear(own, game.tell(name));
    }
  }

  /** @returns why the game ended */
  async #playOut({ game, seats }: Table, state: State, model: ChatModel, options: RolloutOptions): Promise<string> {
    let forfeited = false;
    for (;;) {
      const { toMove } = game;
      if (toMove === null) return forfeited ? 'seat_forfeited' : 'game_over';
      const seat = seats.find(({ name }) => name === toMove);
      if (!seat) throw new Error(`${this.name} has no seat ${toMove}; its seats are ${this.seats.join(', ')}`);
      let told = game.tell(toMove);
      for (let illegal = 0; ; illegal++) {
        const replies = seats.reduce((sum, { state: own }) => sum + own.turns.length, 0);
        if (this.maxTurns >= 0 && replies >= this.maxTurns) return 'max_turns_reached';
        const stuck = illegal >= this.maxIllegalMoves || !(await this.#ask(seat, told, model, options));
        if (seat.state.error) {
          state.error = { ...seat.state.error, where: `seat ${toMove}` };
          return 'has_error';
        }
        if (stuck) {
          game.forfeit();
          if (game.toMove === toMove) throw new Error(`${this.name}: seat ${toMove} is to move after it forfeited`);
          forfeited = true;
          break;
        }
        const objection = this.#objectionTo(seat, game);
        if (objection === null) break;
        told = objection;
      }
    }
  }

  /**
   * Tells a seat what is new and waits for its reply.
   * @returns false where the conversation no longer fits its model
   */
  async #ask(seat: Seat, told: string, policy: ChatModel, options: RolloutOptions): Promise<boolean> {
    const { name, player, state } = seat;
    const start = now();
    if (state.turns.length === 0) state.prompt = this.seatPrompt(state.example, name, told);
    else hear(state, told);
    state.timing.environment.push({ start, end: now() });
    const index = this.seats.indexOf(name);
    const { sampling = {} } = options;
    await this.takeTurn(state, player ?? policy, {
      ...options,
      key: index === 0 ? options.key : subKey(options.key, PURPOSE.seat, index),
      // How the caller samples the policy is nothing to other players.
      sampling: player ? {} : sampling,
    });
    state.signal.throwIfAborted(); // a player that did not heed it moves no more
    return !state.promptTooLong;
  }

  /** Makes the move of a seat's last reply: null, or what is wrong with it. */
  #objectionTo(seat: Seat, game: SeatGame): string | null {
    try {
      game.move(this.parser.parseAnswer(seat.state.completion.slice(-1)));
      return null;
    } catch (error) {
      if (!(error instanceof IllegalMoveError)) throw error;
      seat.illegalMoves++;
      return error.message;
    }
  }

  /** The views of the seats that are trained, each with the fate of the whole game. */
  protected override scoredStates(rollout: State): readonly State[] {
    const { table } = rollout.scratch as { table?: Table };
    const { error, stopCondition, timing, signal } = rollout;
    if (!table) return [{ ...rollout, seat: this.seats[0]! }]; // it failed before it began
    return table.seats
      .filter(({ name }) => table.trains.includes(name))
      .map(({ state }) => {
        // A game that was left behind may still be going on: what is scored is a copy.
        const { prompt, completion, turns, isTruncated } = structuredClone({ ...view(state) });
        const spans = { ...timing, environment: state.timing.environment };
        return {
          ...state,
          ...{ prompt, completion, turns, error, stopCondition, signal },
          timing: structuredClone(spans),
          isTruncated: isTruncated || rollout.isTruncated,
        };
      });
  }

  #check(seating: Seating): Seating {
    const stray = [...Object.keys(seating.players), ...seating.trains].find((seat) => !this.seats.includes(seat));
    if (stray !== undefined) {
      throw new TypeError(`${this.name} has no seat ${stray}; its seats are ${this.seats.join(', ')}`);
    }
    if (seating.trains.length === 0) throw new TypeError(`${this.name}: no seat is trained`);
    return seating;
  }
}

/** The reward of a seat unless the environment has others: what it has won. */
export function payoffOf({ state }: { state: State }): number {
  return tableOf(state).game.payoff(state.seat!);
}

function tableOf({ scratch }: State): Table {
  return scratch.table as Table;
}

function seatOf(state: State): Seat {
  return tableOf(state).seats.find(({ name }) => name === state.seat)!;
}

/** A seat before its first turn: the same rollout, nothing said yet. Dice and notes are the game's. */
function seatState(table: State, seat: string): State {
  return {
    ...table,
    seat,
    prompt: [],
    completion: [],
    turns: [],
    metrics: {},
    timing: { ...table.timing, environment: [] },
  };
}

function view({ prompt, completion, turns, isTruncated }: State) {
  return { prompt, completion, turns, isTruncated };
}

function hear({ completion }: State, text: string): void {
  if (text !== '') completion.push({ role: 'user', content: text });
}
