/**
 * @file Strategies of Kuhn poker: how often to bet or call in each of the twelve situations, what two of them are worth
 * against each other, and how much the best answer to one wins.
 */
import { CARDS, DEALS, SEATS, legalActions, payoffToFirst } from './game';
import type { Action, Card, SeatName } from './game';

/** What a player knows: its card and the actions so far (`K`, `K check`, `K check bet`). */
export type Situation = string;

/** Probability of the bold action, to bet or to call, by situation. */
export type Strategy = Readonly<Record<Situation, number>>;

export function situationOf(card: Card, history: readonly Action[]): Situation {
  return [card, ...history].join(' ');
}

const HISTORIES: Readonly<Record<SeatName, readonly (readonly Action[])[]>> = {
  first: [[], ['check', 'bet']],
  second: [['check'], ['bet']],
};

/** The situations in which a seat moves, six each. */
export function situationsOf(seat: SeatName): readonly Situation[] {
  return CARDS.flatMap((card) => HISTORIES[seat].map((history) => situationOf(card, history)));
}

/** Every situation alike. */
export function everywhere(bold: number): Strategy {
  return Object.fromEntries(SEATS.flatMap(situationsOf).map((situation) => [situation, bold]));
}

/**
 * One of Kuhn's equilibria: nobody wins more against it than the rules give them.
 * @param bluff how often the first seat bets on a jack, 0 to 1/3
 */
export function equilibrium(bluff = 1 / 3): Strategy {
  return {
    ...everywhere(0),
    J: bluff,
    K: 3 * bluff,
    'Q check bet': bluff + 1 / 3,
    'K check bet': 1,
    'J check': 1 / 3,
    'K check': 1,
    'Q bet': 1 / 3,
    'K bet': 1,
  };
}

/** Chips per hand that the first seat wins on average. */
export function valueToFirst(first: Strategy, second: Strategy): number {
  const value = (deal: (typeof DEALS)[number], history: readonly Action[]): number => {
    const legal = legalActions(history);
    if (legal.length === 0) return payoffToFirst(deal, history);
    const mover = history.length % 2;
    const bold = (mover === 0 ? first : second)[situationOf(deal[mover]!, history)]!;
    const [meek, brave] = legal.map((action) => value(deal, [...history, action]));
    return (1 - bold) * meek! + bold * brave!;
  };
  return DEALS.reduce((sum, deal) => sum + value(deal, []), 0) / DEALS.length;
}

/** Chips per hand that the best answer to a strategy wins, the seats taken in turn; 0 for an equilibrium. */
export function exploitability(strategy: Strategy): number {
  const asFirst = Math.max(...pureStrategies('first').map((pure) => valueToFirst(pure, strategy)));
  const asSecond = Math.max(...pureStrategies('second').map((pure) => -valueToFirst(strategy, pure)));
  return (asFirst + asSecond) / 2;
}

/** All 64 ways in which a seat may always do the same in the same situation. */
function pureStrategies(seat: SeatName): Strategy[] {
  const situations = situationsOf(seat);
  return Array.from({ length: 2 ** situations.length }, (_, choice) =>
    Object.fromEntries(situations.map((situation, i) => [situation, (choice >> i) & 1])),
  );
}
