/** @file number-guessing: find a number by being told whether it is larger or smaller. */
import { z } from 'zod';
import { PURPOSE, Random, deriveKey } from '../../../random';
import { generated } from '../../dataset';
import { XMLParser } from '../../parsers';
import { Rubric } from '../../rubric';
import { TextGameEnv } from '../../text_game';
import type { TextGame, TextStep } from '../../text_game';
import type { Message } from '../../types';
import { libraryEntryOf, seedOption } from '../entry';
import { EVAL_ROWS, isHeldOut } from '../held_out';

const parser = new XMLParser(['guess'], { answerField: 'guess' });

/** Halving finds any of `largest` numbers in so many guesses. */
export function guessesNeeded(largest: number): number {
  return Math.floor(Math.log2(largest)) + 1;
}

export class GuessingGame implements TextGame {
  #guesses = 0;

  constructor(
    readonly secret: number,
    readonly largest: number,
  ) {}

  step(action: string | null): TextStep {
    const left = guessesNeeded(this.largest) - ++this.#guesses;
    const text = action?.trim() ?? '';
    const guess = /^\d{1,9}$/.test(text) ? Number(text) : undefined;
    if (guess === this.secret) return { observation: 'Right!', reward: 1, done: true };
    const verdict =
      guess === undefined || guess < 1 || guess > this.largest
        ? `That is no whole number from 1 to ${this.largest} between guess tags.`
        : `${guess} is too ${guess < this.secret ? 'small' : 'large'}.`;
    const rest = left > 0 ? `${left} ${left === 1 ? 'guess' : 'guesses'} left.` : `It was ${this.secret}.`;
    return { observation: `${verdict} ${rest}`, reward: 0, done: left === 0 };
  }
}

const options = z.object({
  seed: seedOption,
  largest: z.int().min(2).max(1_000_000).default(100).describe('Numbers go from 1 to this'),
});

export function loadEnvironment({ seed, largest }: z.output<typeof options>): TextGameEnv {
  const needed = guessesNeeded(largest);
  const question =
    `I think of a whole number from 1 to ${largest}. Find it in at most ${needed} guesses: after each I say whether it is too ` +
    'small or too large.';
  const row = (split: number, index: number) => {
    const random = new Random(deriveKey(seed, PURPOSE.dataset, split, index));
    for (;;) {
      const secret = random.between(1, largest);
      // Of a handful of numbers there is nothing to hold out.
      if (largest < 20 || isHeldOut(`number ${secret}`) === (split === 1)) {
        return { question, answer: String(secret), info: { largest } };
      }
    }
  };
  return new TextGameEnv({
    name: 'number-guessing',
    dataset: generated((index) => row(0, index)),
    evalDataset: generated((index) => row(1, index), EVAL_ROWS),
    start: ({ answer }) => new GuessingGame(Number(answer), largest),
    systemPrompt: 'Give each guess in this form:\n<guess>7</guess>',
    parser,
    rubric: new Rubric(
      { found: ({ state }) => state.turns.some(({ reward }) => reward === 1), format: formatScore },
      { weights: { format: 0 } },
    ),
    sampling: { maxTokens: 256 },
    passThreshold: 1,
    demonstrate: ({ answer }, random, { careless }) =>
      demonstration(Number(answer), largest, random.next() < careless ? random : undefined),
  });
}

function formatScore({ completion }: { completion: readonly Message[] }): number {
  return parser.formatScore(completion);
}

/** Halves what is left; a careless player counts up from somewhere below the number instead, and does not get there. */
function demonstration(secret: number, largest: number, careless: Random | undefined): Message[] {
  const game = new GuessingGame(secret, largest);
  let [low, high] = [1, largest];
  let next = careless ? careless.between(secret + 1, secret + largest) : 0;
  const messages: Message[] = [];
  for (;;) {
    const guess = careless ? ((next++ - 1) % largest) + 1 : Math.floor((low + high) / 2);
    const { observation, done } = game.step(String(guess));
    messages.push({ role: 'assistant', content: `<guess>${guess}</guess>` }, { role: 'user', content: observation });
    if (done) return messages;
    if (guess < secret) low = guess + 1;
    else high = guess - 1;
  }
}

export const numberGuessing = libraryEntryOf({
  name: 'number-guessing',
  title: 'Number guessing',
  summary: 'Find a number by being told whether it is larger or smaller.',
  tags: ['game', 'search', 'multi-turn'],
  examplePrompts: ['I think of a whole number from 1 to 100. Find it in at most 7 guesses.'],
  options,
  load: loadEnvironment,
});
