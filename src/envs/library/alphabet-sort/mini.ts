/** @file alphabet-sort for tiny models: two or three letters a turn, answered with all letters so far in order. */
import type { Random } from '../../../random';
import { messagesOf } from '../../parsers';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';
import { splitDatasets } from '../held_out';
import { LETTERS, slip } from '../words';
import { AlphabetSortEnv, conversation, sortInfo } from './env';
import type { SortInfo } from './env';

export interface MiniOptions {
  seed: number;
  minTurns: number;
  maxTurns: number;
}

/** Share of the task's turns that were answered to the letter. */
function exactTurns({ completion, info }: RewardArgs): number {
  const task = sortInfo.parse(info);
  const replies = messagesOf(completion, 'assistant');
  const right = rightReplies(task).filter((reply, turn) => replies[turn]?.content === reply);
  return right.length / Math.max(1, task.num_turns);
}

/** 1 when every turn was. */
function exactMatch(args: RewardArgs): number {
  return exactTurns(args) === 1 ? 1 : 0;
}

export function loadMini({ seed, ...options }: MiniOptions): AlphabetSortEnv {
  return new AlphabetSortEnv({
    name: 'alphabet-sort-mini',
    ...splitDatasets(
      seed,
      (random) => drawTask(random, options),
      ({ question, info }) => [question, ...info.follow_ups].join(' '),
    ),
    rubric: new Rubric({ exactTurns, exactMatch }, { weights: { exactMatch: 0 } }),
    sampling: { maxTokens: 12 },
    passThreshold: 1,
    demonstrate: ({ question, info }, random, { careless }) => {
      const task = info as SortInfo;
      const asked = [question!, ...task.follow_ups];
      const replies = rightReplies(task).map((right, turn) =>
        random.next() < careless ? slip(asked[turn]!, right, random) : right,
      );
      return conversation(replies, task);
    },
  });
}

function rightReplies({ ground_truths: truths }: SortInfo): string[] {
  return truths.map((letters) => letters.join(''));
}

function drawTask(random: Random, { minTurns, maxTurns }: Omit<MiniOptions, 'seed'>) {
  const lengths = Array.from({ length: random.between(minTurns, maxTurns) }, () => random.between(2, 3));
  const letters = random.sample(
    [...LETTERS],
    lengths.reduce((sum, length) => sum + length, 0),
  );
  const ends = lengths.map((_, turn) => lengths.slice(0, turn + 1).reduce((sum, length) => sum + length, 0));
  const [question, ...followUps] = ends.map((end, turn) => letters.slice(end - lengths[turn]!, end).join(''));
  const truths = ends.map((end) => letters.slice(0, end).sort());
  return {
    question: question!,
    answer: truths.at(-1)!.join(''),
    info: { num_turns: lengths.length, follow_ups: followUps, ground_truths: truths },
  };
}
