/** @file How a model plays Kuhn poker: it is asked in each of the twelve situations. */
import { deriveKey } from '../../../random';
import type { ChatModel, Completion, Message } from '../../types';
import { SEATS, legalActions } from './game';
import type { Action } from './game';
import { situationsOf } from './strategy';
import type { Strategy } from './strategy';

/**
 * The strategy of a model at temperature 1, illegal replies left out. What it was seen to say counts with its probability
 * where the model says its log-probabilities, else as often as it was said.
 * @param samples replies in each situation
 */
export async function strategyOfModel(model: ChatModel, { samples = 48, seed = 0 } = {}): Promise<Strategy> {
  const situations = SEATS.flatMap(situationsOf);
  const entries = situations.map(async (situation, at) => {
    const [card, ...history] = situation.split(' ') as [string, ...Action[]];
    // Whoever moves for the second time remembers its own move.
    const spoken = history.length === 2 ? [card, ...history] : [situation];
    const messages = spoken.map((content, i): Message => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }));
    const replies = await Promise.all(
      Array.from({ length: samples }, (_, i) =>
        model.complete({ messages, sampling: { temperature: 1, maxTokens: 3 }, key: deriveKey(seed, at, i) }),
      ),
    );
    const [meek, bold] = legalActions(history).map((action) => chanceOf(action, replies));
    return [situation, bold! / Math.max(Number.MIN_VALUE, meek! + bold!)] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function chanceOf(action: Action, replies: readonly Completion[]): number {
  const said = replies.filter(({ message }) => message.content === action);
  const tokens = said[0]?.tokens;
  if (!tokens) return said.length / replies.length;
  return Math.exp(tokens.logprobs.reduce((sum, value) => sum + value, 0));
}
