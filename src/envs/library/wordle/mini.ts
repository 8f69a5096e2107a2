/**
 * @file wordle for tiny models: words of three letters out of eight, four guesses, and nothing said but a guess and its
 * marks. Every word is a token of its own, and so is every row of marks.
 */
import type { Random } from '../../../random';
import { PURPOSE, Random as Dice, deriveKey } from '../../../random';
import { generated } from '../../dataset';
import { Rubric } from '../../rubric';
import { TextGameEnv } from '../../text_game';
import type { TextGame, TextStep } from '../../text_game';
import type { Message } from '../../types';
import { marksOf } from './game';

export const MINI_WORDS: readonly string[] = [
  ...['ant', 'ape', 'apt', 'are', 'art', 'ate', 'bad', 'ban', 'bar', 'bat', 'bed', 'bet'],
  ...['dab', 'den', 'ear', 'eat', 'nap', 'net', 'pad', 'pan', 'par', 'pea', 'pen', 'pet'],
  ...['rap', 'rat', 'red', 'tab', 'tan', 'tap', 'tar', 'ten'],
];

export const MOST_MINI_GUESSES = 4;

const QUESTION = '?';
/** What is no word of the list gets this, and counts as a guess. */
const NO_WORD = '-';
const WON = 'GGG';

const MARKS = [...'GYX'].flatMap((a) => [...'GYX'].flatMap((b) => [...'GYX'].map((c) => a + b + c)));

/** Everything that is said; the parts of words come last, for texts that are none of them. */
export const MINI_VOCABULARY: readonly string[] = [QUESTION, NO_WORD, ...MINI_WORDS, ...MARKS];

export const MINI_CONTEXT = 23;

class MiniGame implements TextGame {
  #guesses = 0;

  constructor(readonly secret: string) {}

  step(action: string | null): TextStep {
    const guess = MINI_WORDS.find((word) => word === action);
    const observation = guess === undefined ? NO_WORD : marksOf(guess, this.secret);
    const won = observation === WON;
    return { observation, reward: Number(won), done: won || ++this.#guesses >= MOST_MINI_GUESSES };
  }
}

/** Rounds of the eval over all words. */
const EVAL_ROUNDS = 8;

export function loadMini({ seed }: { seed: number }): TextGameEnv {
  const row = (split: number, index: number) => {
    const round = Math.floor(index / MINI_WORDS.length);
    const order = new Dice(deriveKey(seed, PURPOSE.dataset, split, round)).shuffle(MINI_WORDS);
    return { question: QUESTION, answer: order[index % MINI_WORDS.length]! };
  };
  return new TextGameEnv({
    name: 'wordle-mini',
    dataset: generated((index) => row(0, index)),
    evalDataset: generated((index) => row(1, index), EVAL_ROUNDS * MINI_WORDS.length),
    start: ({ answer }) => new MiniGame(answer),
    rubric: new Rubric(
      {
        won: ({ state }) => state.turns.some(({ reward }) => reward === 1),
        guesses: ({ state }) => state.turns.length,
      },
      { weights: { guesses: 0 } },
    ),
    sampling: { maxTokens: 2 },
    passThreshold: 1,
    demonstrate: ({ answer }, random, { careless }) => demonstration(answer!, random, random.next() < careless),
  });
}

/** Each guess is one that all marks so far allow, the last one lucky; a careless player looks at no marks and has no luck. */
function demonstration(secret: string, random: Random, careless: boolean): Message[] {
  const messages: Message[] = [];
  let open = MINI_WORDS;
  for (let left = MOST_MINI_GUESSES; ; left--) {
    const others = careless ? open.filter((word) => word !== secret) : open;
    const guess = left === 1 && !careless ? secret : random.pick(others);
    const marks = marksOf(guess, secret);
    messages.push({ role: 'assistant', content: guess }, { role: 'user', content: marks });
    if (marks === WON || left === 1) return messages;
    open = open.filter((word) => word !== guess && (careless || marksOf(guess, word) === marks));
  }
}
