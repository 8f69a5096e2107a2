/**
 * @file The game of Wordle by itself: a secret word, six guesses, a mark for every letter. Rules and wording are those of
 * TextArena's Wordle as verifiers v0.1.9 shows it to a model.
 */

/** Guesses that count, at most. */
export const MOST_GUESSES = 6;

/** What a mark says of its letter, in percent of the word. */
const WORTH: Readonly<Record<string, number>> = { G: 20, Y: 10, X: 0 };

/** What the player is told. */
export interface Reply {
  text: string;
  /** The game has ended with this. */
  over: boolean;
}

/** A guess's marks, one a letter: `G` in its place, `Y` elsewhere in the secret, `X` not there, or not once more. */
export function marksOf(guess: string, secret: string): string {
  const [letters, hidden] = [[...guess], [...secret]];
  const unexplained = hidden.filter((letter, i) => letter !== letters[i]);
  return letters
    .map((letter, i) => {
      if (letter === hidden[i]) return 'G';
      const at = unexplained.indexOf(letter);
      if (at < 0) return 'X';
      unexplained.splice(at, 1);
      return 'Y';
    })
    .join('');
}

export class WordleGame {
  /** Those that counted. */
  readonly #guesses: string[] = [];
  #lastWasInvalid = false;

  /**
   * @param isWord which guesses the game takes; the secret is taken whether it is one or not
   * @throws RangeError for a secret that is not five small letters
   */
  constructor(
    readonly secret: string,
    private readonly isWord: (guess: string) => boolean,
  ) {
    if (!/^[a-z]{5}$/.test(secret))
      throw new RangeError(`the secret ${JSON.stringify(secret)} is not five small letters`);
  }

  /**
   * Takes a guess: a word in square brackets, or nothing but a word; null where the player made none. An invalid one does
   * not count, and the second in a row loses the game.
   */
  submit(guess: string | null): Reply {
    const word = guess === null ? '' : wordIn(guess);
    const objection = this.#objectionTo(word);
    if (objection) return this.#refuse(objection);
    this.#lastWasInvalid = false;
    this.#guesses.push(word);
    if (word === this.secret) return { text: 'Congratulations! You guessed the word correctly!', over: true };
    const marks = marksOf(word, this.secret);
    const left = MOST_GUESSES - this.#guesses.length;
    if (left === 0) return { text: this.#defeat(marks), over: true };
    return { text: `\n${spaced(word.toUpperCase())}\n${spaced(marks)}\nYou have ${left} guesses left.`, over: false };
  }

  /** What is wrong with a guess; undefined where nothing is. */
  #objectionTo(word: string): string | undefined {
    if (word === NO_WORD) return 'A guess is one word, alone or in square brackets.';
    if ([...word].length !== this.secret.length) return `Your word must be exactly ${this.secret.length} letters.`;
    if (this.#guesses.includes(word)) return `You have already guessed '${word}' before. Please try a different word.`;
    if (word !== this.secret && !this.isWord(word)) return `'${word}' is not an English word.`;
    return undefined;
  }

  #refuse(reason: string): Reply {
    if (this.#lastWasInvalid) return { text: `Invalid Move: ${reason}`, over: true };
    this.#lastWasInvalid = true;
    return {
      text: `You attempted an invalid move. Reason: ${reason} Please resubmit a valid move and remember to follow the game rules to avoid penalties.`,
      over: false,
    };
  }

  /** As in TextArena the last guess is called the best, whichever was. */
  #defeat(marks: string): string {
    const percent = [...marks].reduce((sum, mark) => sum + WORTH[mark]!, 0);
    return (
      `The turn limit has been reached. You didn't guess the word, but your best guess matched ${percent}% of the letters ` +
      `in the correct positions.\nThe secret word was: **${this.secret}**.`
    );
  }
}

/** Stands for a guess that has no word in it: brackets are in no word. */
const NO_WORD = '[]';

/** The first word in square brackets, or the whole text where it has none, in small letters. */
function wordIn(guess: string): string {
  const text = /[[\]]/.test(guess) ? guess : `[${guess}]`;
  return /\[([\p{L}\p{N}_]+)\]/u.exec(text)?.[1]?.toLowerCase() ?? NO_WORD;
}

function spaced(letters: string): string {
  return [...letters].join(' ');
}
