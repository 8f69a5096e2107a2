/**
 * @file Kuhn poker (Kuhn 1950): three cards, two players, one chip each before the cards, one more for a bet. The smallest
 * poker in which bluffing is right.
 */
import { IllegalMoveError } from '../../multi_agent';
import type { SeatGame } from '../../multi_agent';

export const SEATS = ['first', 'second'] as const;
export type SeatName = (typeof SEATS)[number];

/** From the lowest. */
export const CARDS = ['J', 'Q', 'K'] as const;
export type Card = (typeof CARDS)[number];
export type Deal = readonly [first: Card, second: Card];

export const ACTIONS = ['check', 'bet', 'fold', 'call'] as const;
export type Action = (typeof ACTIONS)[number];

/** All six. */
export const DEALS: readonly Deal[] = CARDS.flatMap((first) =>
  CARDS.filter((second) => second !== first).map((second): Deal => [first, second]),
);

/** What a hand that is forfeited costs: the most that one can, so that nobody would rather not play. */
export const MOST_CHIPS = 2;

/** What may be done after these actions; nothing once the hand is over. */
export function legalActions(history: readonly Action[]): readonly Action[] {
  const last = history.at(-1);
  if (last === 'bet') return ['fold', 'call'];
  return last === undefined || (last === 'check' && history.length === 1) ? ['check', 'bet'] : [];
}

/** Chips that the first seat has won once the hand is over; the second has lost them. */
export function payoffToFirst([first, second]: Deal, history: readonly Action[]): number {
  const last = history.at(-1);
  const high = CARDS.indexOf(first) > CARDS.indexOf(second) ? 1 : -1;
  if (last === 'call') return 2 * high;
  // Who folds is who moved last: the second where the number of actions is even.
  if (last === 'fold') return history.length % 2 === 0 ? 1 : -1;
  return high;
}

export class KuhnGame implements SeatGame {
  readonly history: Action[] = [];
  readonly #told = { first: -1, second: -1 };
  #forfeited: SeatName | null = null;

  constructor(readonly deal: Deal) {}

  get toMove(): SeatName | null {
    if (this.#forfeited || legalActions(this.history).length === 0) return null;
    return SEATS[this.history.length % 2]!;
  }

  /** At first the card; then what the other did; at the end both cards, if they were shown. */
  tell(seat: SeatName): string {
    const mine = SEATS.indexOf(seat);
    const from = this.#told[seat];
    const lines: string[] = from < 0 ? [this.deal[mine]!] : [];
    this.history.forEach((action, at) => {
      if (at >= from && at % 2 !== mine) lines.push(action);
    });
    this.#told[seat] = this.history.length;
    return lines.join(' ');
  }

  move(action: string | null): void {
    const legal = legalActions(this.history);
    const chosen = legal.find((known) => known === action);
    if (!chosen) throw new IllegalMoveError(legal.join(' '));
    this.history.push(chosen);
  }

  forfeit(): void {
    this.#forfeited = this.toMove;
  }

  payoff(seat: SeatName): number {
    if (this.#forfeited) return seat === this.#forfeited ? -MOST_CHIPS : MOST_CHIPS;
    if (this.toMove) return 0; // nobody has won yet
    const won = payoffToFirst(this.deal, this.history);
    return seat === 'first' ? won : 0 - won;
  }
}
