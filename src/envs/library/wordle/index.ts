/** @file wordle: find a secret word in six guesses, from the marks that each guess gets. */
import { z } from 'zod';
import { PURPOSE, Random, deriveKey } from '../../../random';
import { generated } from '../../dataset';
import type { Dataset } from '../../dataset';
import { TextGameEnv } from '../../text_game';
import { libraryEntryOf, seedOption } from '../entry';
import { WordleGame } from './game';
import { MINI_CONTEXT, MINI_VOCABULARY, loadMini } from './mini';
import { parser, rubric } from './rewards';

const SYSTEM_PROMPT = `You play Wordle: find a secret English word of five letters in at most six guesses.

Give each guess in this form:
<guess>[crane]</guess>

Every letter of your guess is then marked:
G: it is in its place
Y: it is in the word, in another place
X: it is not in the word, or not once more

A guess that does not have five letters, is no English word or repeats an earlier one does not count; two such in a row lose the game.`;

const QUESTION = 'Guess the secret word.';

/** Words that are kept for evals. */
const EVAL_SECRETS = 54;

/** Above what a lost game can be worth, below every game that was won. */
const PASS_THRESHOLD = 1.05;

const options = z.object({
  seed: seedOption,
  size: z.enum(['full', 'mini']).default('full').describe('Five letters for pretrained models, or three for tiny ones'),
});

export function loadEnvironment(given: z.output<typeof options>): TextGameEnv {
  return given.size === 'mini' ? loadMini(given) : full(given);
}

/** The words and what is made of them. */
const english = () => import('./lazy-english');

function full({ seed }: { seed: number }): TextGameEnv {
  return new TextGameEnv({
    name: 'wordle',
    ...datasets(seed),
    start: async ({ answer }) => {
      const game = new WordleGame(answer, (await english()).isWord);
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
    demonstrate: async ({ answer }, random, { careless }) => (await english()).demonstration(answer!, random, careless),
  });
}

/** Endless games about nine tenths of the secrets, and one about each of the others. */
function datasets(seed: number): { dataset: Dataset; evalDataset: Dataset } {
  const task = (answer: string) => ({ question: QUESTION, answer });
  const random = (split: number, index: number) => new Random(deriveKey(seed, PURPOSE.dataset, split, index));
  const heldOut = async () => random(1, 0).shuffle((await english()).HELD_OUT);
  return {
    dataset: generated(async (index) => task(random(0, index).pick((await english()).TRAINED))),
    evalDataset: generated(async (index) => task((await heldOut())[index]!), EVAL_SECRETS),
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
