/** @file What a game of wordle is worth: the reward functions of verifiers' environment of that name (v0.1.9). */
import { XMLParser, messagesOf, occurrences, pythonStrip } from '../../parsers';
import { Rubric } from '../../rubric';
import type { RewardArgs } from '../../rubric';

export const parser = new XMLParser(['guess'], { answerField: 'guess' });

/** 1 when the newest guess is the secret, in brackets and small letters: the game takes others too, the reward does not. */
function correctAnswer({ response, answer }: RewardArgs): number {
  return response === `[${answer}]` ? 1 : 0;
}

/** For a game that was not won: 0.2 for each `G` and 0.1 for each `Y` of the newest marks. */
function partialAnswer(args: RewardArgs): number {
  const feedback = messagesOf(args.completion, 'user')
    .map(({ content }) => pythonStrip(content).split('\n'))
    .findLast(({ length }) => length === 3);
  if (!feedback || correctAnswer(args)) return 0;
  const marks = feedback[1]!;
  return 0.2 * occurrences(marks, 'G') + 0.1 * occurrences(marks, 'Y');
}

/** For a game that was won: 1 over the number of guesses, those that were refused included. */
function lengthBonus(args: RewardArgs): number {
  const guesses = messagesOf(args.completion, 'assistant').filter(({ content }) => hasGuess(content));
  return correctAnswer(args) / Math.max(1, guesses.length);
}

/** Whether some line has a guess between its tags. */
function hasGuess(text: string): boolean {
  return text.split('\n').some((line) => {
    const open = line.indexOf('<guess>');
    return open >= 0 && line.includes('</guess>', open);
  });
}

export const rubric = new Rubric(
  {
    correct_answer: correctAnswer,
    partial_answer: partialAnswer,
    length_bonus: lengthBonus,
    format_reward: ({ completion }) => parser.formatScore(completion),
  },
  { weights: { format_reward: 0.2 }, parser },
);
