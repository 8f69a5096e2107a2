/** @file wordle: find a secret word in six guesses, from the marks that each guess gets. */
import { z } from 'zod';
import { PURPOSE, Random, deriveKey } from '../../../random';
import { generated, rows } from '../../dataset';
import type { Dataset } from '../../dataset';
import { MultiTurnEnv } from '../../multi_turn';
import type { MultiTurnOptions } from '../../multi_turn';
import type { State } from '../../state';
import type { Message } from '../../types';
import { libraryEntryOf, seedOption } from '../entry';
import { isHeldOut } from '../held_out';
import { WordleGame } from './game';
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

/** Plays the game about the row's `answer` and says what the game says. */
export class WordleEnv extends MultiTurnEnv {
  constructor(options: MultiTurnOptions) {
    super(options);
    this.addSetup('game', (state) => {
      state.scratch.game = new WordleGame(state.answer);
    });
  }

  /** As in verifiers a reply without a guess repeats the one before. */
  protected override envResponse(state: State): Message[] {
    const { game } = state.scratch as { game: WordleGame };
    const { text, over } = game.submit(this.parser.parseAnswer(state.completion));
    const response: Message[] = [{ role: 'user', content: text }];
    if (over) state.finalEnvResponse = response;
    return response;
  }
}

const options = z.object({ seed: seedOption });

export function loadEnvironment({ seed }: z.output<typeof options>): WordleEnv {
  return new WordleEnv({
    name: 'wordle',
    ...datasets(seed),
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
