/** @file Players of Kuhn poker that follow a strategy: opponents and demonstrators. */
import { Random, subKey } from '../../../random';
import { functionModel } from '../../eval/function_model';
import type { ChatModel, Message } from '../../types';
import { legalActions } from './game';
import type { Action, Card } from './game';
import { equilibrium, everywhere, situationOf } from './strategy';
import type { Strategy } from './strategy';

/** Opponents by name. */
export const STRATEGIES = {
  random: everywhere(0.5),
  bold: everywhere(1),
  meek: everywhere(0),
  equilibrium: equilibrium(),
} as const satisfies Record<string, Strategy>;

export type StrategyName = keyof typeof STRATEGIES;

/** An action by the dice of a strategy. */
export function act(strategy: Strategy, card: Card, history: readonly Action[], random: Random): Action {
  const [meek, bold] = legalActions(history);
  return random.next() < strategy[situationOf(card, history)]! ? bold! : meek!;
}

/** A strategy as somebody to play against: it reads what a seat is told. */
export function strategyPlayer(name: string, strategy: Strategy): ChatModel {
  return functionModel(name, ({ messages, key }) => {
    const [card, ...history] = wordsOf(messages);
    return act(strategy, card as Card, history as Action[], new Random(subKey(key, messages.length)));
  });
}

/** Card and actions of a conversation, in order. */
function wordsOf(messages: readonly Message[]): string[] {
  return messages.filter(({ role }) => role !== 'system').flatMap(({ content }) => content.split(' '));
}
