/** @file letter-sort: write the letters of a word in alphabetical order. */
import { z } from 'zod';
import { SingleTurnEnv } from '../../multi_turn';
import { Rubric } from '../../rubric';
import { libraryEntryOf, seedOption } from '../entry';
import { splitDatasets } from '../held_out';
import { exactMatch, similarity } from '../scores';
import { LETTERS, orderedLengths, randomWord, slip, wordLengths } from '../words';

const options = z.object({ seed: seedOption, ...wordLengths(4, 8) }).refine(...orderedLengths);

export function loadEnvironment({ seed, minLength, maxLength }: z.output<typeof options>): SingleTurnEnv {
  return new SingleTurnEnv({
    name: 'letter-sort',
    ...splitDatasets(seed, (random) => {
      const word = randomWord(random, minLength, maxLength);
      return { question: word, answer: [...word].sort().join('') };
    }),
    rubric: new Rubric({ exactMatch, similarity }, { weights: { similarity: 0 } }),
    sampling: { maxTokens: 2 * maxLength },
    demonstrate: ({ question, answer }, random, { careless }) => [
      { role: 'assistant', content: random.next() < careless ? slip(question!, answer!, random) : answer! },
    ],
  });
}

export const letterSort = libraryEntryOf({
  name: 'letter-sort',
  title: 'Letter sort',
  summary: 'Write the letters of a word in alphabetical order.',
  tags: ['text', 'sorting', 'single-turn'],
  examplePrompts: ['gravel', 'mountain', 'zebra'],
  tiny: { alphabet: LETTERS, context: 20 },
  options,
  load: loadEnvironment,
});
