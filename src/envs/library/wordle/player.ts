/** @file Demonstrations of wordle: a player who heeds every mark, and what a careless one does. */
import type { Random } from '../../../random';
import type { Message } from '../../types';
import { MOST_GUESSES, WordleGame, marksOf } from './game';
import { WORDS, isWord } from './words';

/** Forgets the brackets, or guesses without a look at the marks. */
const HABITS = ['bare', 'blind'] as const;

/** A whole game about a word of the list. */
export function demonstration(secret: string, random: Random, careless: number): Message[] {
  const habit = random.next() < careless ? random.pick(HABITS) : undefined;
  const words = habit === 'blind' ? blindGuesses(secret, random) : heedfulGuesses(secret, random);
  const game = new WordleGame(secret, isWord);
  return words.flatMap((word): Message[] => {
    const guess = habit === 'bare' ? word : `[${word}]`;
    return [
      { role: 'assistant', content: `<guess>${guess}</guess>` },
      { role: 'user', content: game.submit(guess).text },
    ];
  });
}

/** Each guess is one that all marks so far allow; with the last one the player is lucky. */
function heedfulGuesses(secret: string, random: Random): string[] {
  const guesses: string[] = [];
  let open = WORDS;
  while (guesses.at(-1) !== secret) {
    const guess = guesses.length < MOST_GUESSES - 1 ? random.pick(open) : secret;
    const marks = marksOf(guess, secret);
    open = open.filter((word) => word !== guess && marksOf(guess, word) === marks);
    guesses.push(guess);
  }
  return guesses;
}

function blindGuesses(secret: string, random: Random): string[] {
  return random.sample(
    WORDS.filter((word) => word !== secret),
    MOST_GUESSES,
  );
}
