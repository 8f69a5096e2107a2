/** @file reverse-text: write a word of random letters backwards. */
import { z } from 'zod';
import { SingleTurnEnv } from '../../multi_turn';
import { Rubric } from '../../rubric';
import { libraryEntryOf, seedOption } from '../entry';
import { splitDatasets } from '../held_out';
import { exactMatch, similarity } from '../scores';
import { LETTERS, orderedLengths, randomWord, slip, wordLengths } from '../words';

const options = z.object({ seed: seedOption, ...wordLengths(3, 8) }).refine(...orderedLengths);

export function loadEnvironment({ seed, minLength, maxLength }: z.output<typeof options>): SingleTurnEnv {
  return new SingleTurnEnv({
    name: 'reverse-text',
    ...splitDatasets(seed, (random) => {
      const word = randomWord(random, minLength, maxLength);
      return { question: word, answer: [...word].reverse().join('') };
    }),
    rubric: new Rubric({ exactMatch, similarity }, { weights: { similarity: 0 } }),
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
