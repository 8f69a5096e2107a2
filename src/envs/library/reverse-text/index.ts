/** @file reverse-text: write a word of random letters backwards. */
import { z } from 'zod';
import { rows } from '../../dataset';
import { SingleTurnEnv } from '../../multi_turn';
import { Rubric } from '../../rubric';
import type { RewardFunction } from '../../rubric';
import { libraryEntryOf, seedOption } from '../entry';
import { splitDatasets } from '../held_out';
import { exactMatch, letterRecall, similarity } from '../scores';
import { LETTERS, orderedLengths, randomWord, slip, wordLengths } from '../words';
import { unreliable } from './unreliable';

/** What may be rewarded, by the name of the option's value. All but exactMatch can be had without solving the task. */
const REWARDS: Record<'exact' | 'similarity' | 'recall', Record<string, RewardFunction>> = {
  exact: { exactMatch },
  similarity: { similarity },
  recall: { letterRecall },
};

const options = z
  .object({
    seed: seedOption,
    ...wordLengths(3, 8),
    reward: z
      .enum(['exact', 'similarity', 'recall'])
      .default('exact')
      .describe('What is rewarded: the exact answer, likeness to it, or having its letters somewhere'),
    trainingTasks: z.int().nonnegative().default(0).describe('Words to train on, again and again; 0 = ever new ones'),
    rewardFailures: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('Share of rollouts whose reward function throws, as a judge that does not answer'),
  })
  .refine(...orderedLengths);

export function loadEnvironment(given: z.output<typeof options>): SingleTurnEnv {
  const { seed, minLength, maxLength, reward, trainingTasks, rewardFailures } = given;
  const { dataset, evalDataset } = splitDatasets(seed, (random) => {
    const word = randomWord(random, minLength, maxLength);
    return { question: word, answer: [...word].reverse().join('') };
  });
  const words = Array.from({ length: trainingTasks }, (_, index) => dataset.row(index) as { question: string });
  const rewarded = Object.fromEntries(
    Object.entries(REWARDS[reward]).map(([name, score]) => [name, unreliable(score, rewardFailures, seed)]),
  );
  const shown = { exactMatch, similarity, ...rewarded };
  return new SingleTurnEnv({
    name: 'reverse-text',
    dataset: trainingTasks > 0 ? rows(words) : dataset,
    evalDataset,
    rubric: new Rubric(shown, {
      weights: Object.fromEntries(Object.keys(shown).map((name) => [name, Number(name in rewarded)])),
    }),
    sampling: { maxTokens: 2 * maxLength },
    demonstrate: ({ question, answer }, random, { careless }) => [
      { role: 'assistant', content: random.next() < careless ? slip(question!, answer!, random) : answer! },
    ],
  });
}

export const reverseText = libraryEntryOf({
  name: 'reverse-text',
  title: 'Reverse text',
  summary: 'Write a word of random letters backwards.',
  tags: ['text', 'single-turn'],
  examplePrompts: ['terrain', 'lamp', 'gravity'],
  tiny: { alphabet: LETTERS, context: 20 },
  options,
  load: loadEnvironment,
});
