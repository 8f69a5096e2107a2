/** @file wordle: find a secret word in six guesses, from the marks that each guess gets. */
import { z } from 'zod';
import { PURPOSE, Random, deriveKey } from '../../../random';
import { generated, rows } from '../../dataset';
import type { Dataset } from '../../dataset';
import { TextGameEnv } from '../../text_game';
import { libraryEntryOf, seedOption } from '../entry';
import { isHeldOut } from '../held_out';
import { WordleGame } from './game';
import { MINI_CONTEXT, MINI_VOCABULARY, loadMini } from './mini';
import { demonstration } from './player';
import { parser, rubric } from './rewards';
import { SECRETS } from './words';

const SYSTEM_PROMPT = `You play Wordle: find a secret English word of five letters in at most six guesses.

Give each guess in this form:
<guess>[crane]</guess>

Every letter of your guess is then marked:
G: it is in its place
Y: it is in the word, in another place
X: it is not in the word, or not once more

A guess that does not have five letters, is no English word or repeats an earlier one does not count; two such in a row lose the game.`;

const QUESTION = 'Guess the secret word.';

/** Above what a lost game can be worth, below every game that was won. */
const PASS_THRESHOLD = 1.05;

const options = z.object({
  seed: seedOption,
  size: z.enum(['full', 'mini']).default('full').describe('Five letters for pretrained models, or three for tiny ones'),
});

export function loadEnvironment(given: z.output<typeof options>): TextGameEnv {
  return given.size === 'mini' ? loadMini(given) : full(given);
}

function full({ seed }: { seed: number }): TextGameEnv {
  return new TextGameEnv({
    name: 'wordle',
    ...datasets(seed),
    start: ({ answer }) => {
      const game = new WordleGame(answer);
      return {
        step: (guess) => {
          const { text, over } = game.submit(guess);
          return { observation: text, done: over };
        },
      };
    },
    // As in verifiers a reply without a guess repeats the one before.
    read: ({ completion }) => parser.parseAnswer(completion),
    systemPrompt: SYSTEM_PROMPT,
    parser,
    rubric,
    sampling: { maxTokens: 512 },
    passThreshold: PASS_THRESHOLD,
    demonstrate: ({ answer }, random, { careless }) => demonstration(answer!, random, careless),
  });
}

/** Endless games about nine tenths of the secrets, and one about each of the others. */
function datasets(seed: number): { dataset: Dataset; evalDataset: Dataset } {
  const task = (answer: string) => ({ question: QUESTION, answer });
  const trained = SECRETS.filter((word) => !isHeldOut(word));
  const random = (split: number, index: number) => new Random(deriveKey(seed, PURPOSE.dataset, split, index));
  return {
    dataset: generated((index) => task(random(0, index).pick(trained))),
    evalDataset: rows(random(1, 0).shuffle(SECRETS.filter(isHeldOut)).map(task)),
  };
}

export const wordle = libraryEntryOf({
  name: 'wordle',
  title: 'Wordle',
  summary: 'Find a secret word in six guesses, from the marks that each guess gets.',
  tags: ['game', 'text', 'multi-turn'],
  examplePrompts: [QUESTION],
  options,
  load: loadEnvironment,
});

export const wordleMini = libraryEntryOf({
  name: 'wordle-mini',
  title: 'Wordle, mini',
  summary: 'Find a word of three letters in four guesses.',
  tags: ['game', 'text', 'multi-turn'],
  examplePrompts: ['?'],
  tiny: { vocabulary: MINI_VOCABULARY, context: MINI_CONTEXT },
  options: options.pick({ seed: true }),
  load: loadMini,
});
