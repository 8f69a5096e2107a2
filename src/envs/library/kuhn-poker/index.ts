/** @file kuhn-poker: the smallest poker, against oneself. */
import { z } from 'zod';
import { PURPOSE, Random, deriveKey } from '../../../random';
import type { Example, TaskRow } from '../../dataset';
import { generated } from '../../dataset';
import { MultiAgentEnv } from '../../multi_agent';
import type { MultiAgentOptions, Seating } from '../../multi_agent';
import type { State } from '../../state';
import type { Message } from '../../types';
import { libraryEntryOf, seedOption } from '../entry';
import { CARDS, DEALS, KuhnGame, MOST_CHIPS, SEATS, ACTIONS } from './game';
import type { Action, Card } from './game';
import { STRATEGIES, act, strategyPlayer } from './players';
import { everywhere } from './strategy';

export { KuhnGame } from './game';
export { strategyOfModel } from './measure';
export { strategyPlayer } from './players';
export { equilibrium, exploitability, everywhere, situationsOf, valueToFirst } from './strategy';
export type { Situation, Strategy } from './strategy';

const OPPONENTS = ['self', ...(Object.keys(STRATEGIES) as (keyof typeof STRATEGIES)[])] as const;

/** A row's `info`. */
const kuhnInfo = z.looseObject({
  /** The cards of the first and of the second seat. */
  deal: z.tuple([z.enum(CARDS), z.enum(CARDS)]),
  /** Whose view the question and the demonstration are; the policy's seat where it does not play itself. */
  seat: z.enum(SEATS),
  opponent: z.enum(OPPONENTS),
});

type KuhnInfo = z.output<typeof kuhnInfo>;

/** Every deal from both seats. */
const TABLES = DEALS.flatMap((deal) => SEATS.map((seat) => ({ deal, seat })));
const EVAL_ROWS = 80 * TABLES.length;

export class KuhnPokerEnv extends MultiAgentEnv {
  constructor(options: Omit<MultiAgentOptions, 'seats'>) {
    super({ ...options, seats: SEATS });
  }

  protected override begin({ info }: State): KuhnGame {
    return new KuhnGame(kuhnInfo.parse(info).deal);
  }

  protected override seating({ info }: Example): Seating {
    const { seat, opponent } = kuhnInfo.parse(info);
    if (opponent === 'self') return { players: {}, trains: SEATS };
    const other = seat === 'first' ? 'second' : 'first';
    return { players: { [other]: strategyPlayer(opponent, STRATEGIES[opponent]) }, trains: [seat] };
  }
}

const opponent = z.enum(OPPONENTS);

const options = z.object({
  seed: seedOption,
  opponent: opponent.default('self').describe('In training: the policy itself, or a player with a fixed strategy'),
  evalOpponent: opponent.exclude(['self']).default('random').describe('On held-out hands'),
});

export function loadEnvironment({ seed, opponent: trained, evalOpponent }: z.output<typeof options>): KuhnPokerEnv {
  return new KuhnPokerEnv({
    name: 'kuhn-poker',
    dataset: generated((index) => rowOf(seed, 0, index, trained)),
    evalDataset: generated((index) => rowOf(seed, 1, index, evalOpponent), EVAL_ROWS),
    sampling: { maxTokens: 3 },
    passThreshold: 0.5,
    demonstrate: ({ question, info }, random, { careless }) => {
      const strategy = random.next() < careless ? everywhere(0.5) : STRATEGIES.equilibrium;
      return demonstration(question!, kuhnInfo.parse(info), strategy, random);
    },
  });
}

/** A hand: each block of twelve has every deal from both seats, so that luck evens out. */
function rowOf(seed: number, split: number, index: number, other: KuhnInfo['opponent']): TaskRow {
  const block = new Random(deriveKey(seed, PURPOSE.dataset, split, Math.floor(index / TABLES.length)));
  const { deal, seat } = block.shuffle(TABLES)[index % TABLES.length]!;
  const random = new Random(deriveKey(seed, PURPOSE.dataset, split, index, 1));
  const opening = seat === 'first' ? [] : [act(everywhere(0.5), deal[0], [], random)];
  const card = deal[SEATS.indexOf(seat)]!;
  return { question: [card, ...opening].join(' '), answer: deal.join(' '), info: { deal, seat, opponent: other } };
}

/** A hand from one seat's view, from its question on; the other player acts at random. */
function demonstration(
  question: string,
  { deal, seat }: KuhnInfo,
  strategy: typeof STRATEGIES.equilibrium,
  random: Random,
): Message[] {
  const game = new KuhnGame(deal);
  const [card, ...opening] = question.split(' ') as [Card, ...Action[]];
  for (const action of opening) game.move(action);
  game.tell(seat);
  const messages: Message[] = [];
  while (game.toMove) {
    if (game.toMove === seat) {
      const content = act(strategy, card, game.history, random);
      game.move(content);
      messages.push({ role: 'assistant', content });
    } else {
      game.move(act(everywhere(0.5), deal[1 - SEATS.indexOf(seat)]!, game.history, random));
    }
    const told = game.toMove === seat || game.toMove === null ? game.tell(seat) : '';
    if (told) messages.push({ role: 'user', content: told });
  }
  return messages;
}

export const kuhnPoker = libraryEntryOf({
  name: 'kuhn-poker',
  title: 'Kuhn poker',
  summary: `Play the smallest poker against yourself: three cards, one bet, up to ${MOST_CHIPS} chips.`,
  tags: ['game', 'self-play', 'multi-agent', 'multi-turn'],
  examplePrompts: ['K', 'J', 'Q bet', 'J check'],
  tiny: { vocabulary: [...CARDS, ...ACTIONS, ' '], context: 11 },
  options,
  load: loadEnvironment,
});
