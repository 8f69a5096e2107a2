/** @file The conversation of alphabet-sort: one question, follow-ups, and one reply to each. */
import { z } from 'zod';
import { DatasetError } from '../../dataset';
import { MultiTurnEnv } from '../../multi_turn';
import type { MultiTurnOptions } from '../../multi_turn';
import type { State } from '../../state';
import type { Message } from '../../types';

/** A row's `info`: verifiers' fields, with what its rewards need. */
export const sortInfo = z.looseObject({
  num_turns: z.int().nonnegative(),
  /** What the user says in the second turn, and in the third. */
  follow_ups: z.array(z.string()).default([]),
  /** The right list, line by line, after each turn. */
  ground_truths: z.array(z.array(z.string())).default([]),
});

export type SortInfo = z.output<typeof sortInfo>;

export class AlphabetSortEnv extends MultiTurnEnv {
  constructor(options: MultiTurnOptions) {
    super({ maxTurns: 3, ...options });
    this.addStop('max_turns_for_example', ({ turns, info }) => turns.length >= sortInfo.parse(info).num_turns);
  }

  protected override envResponse({ turns, info, exampleId }: State): Message[] {
    const content = sortInfo.parse(info).follow_ups[turns.length - 1];
    if (content === undefined) {
      throw new DatasetError(`row ${exampleId}, column "info": no follow-up for turn ${turns.length + 1}`);
    }
    return [{ role: 'user', content }];
  }
}

/** Both sides of the conversation after the question, where the model says these replies. */
export function conversation(replies: readonly string[], { follow_ups: followUps }: SortInfo): Message[] {
  return replies.flatMap((reply, turn): Message[] => [
    ...(turn > 0 ? [{ role: 'user', content: followUps[turn - 1]! } as const] : []),
    { role: 'assistant', content: reply },
  ]);
}
