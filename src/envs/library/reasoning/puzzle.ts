/** @file What the puzzles of the reasoning set have in common. */
import type { Random } from '../../../random';

export const KINDS = ['chain-sum', 'number-sequence', 'ordering', 'knights', 'roads'] as const;
export type PuzzleKind = (typeof KINDS)[number];

/** From 1, the easiest. */
export type Difficulty = 1 | 2 | 3 | 4 | 5;

export interface Puzzle {
  question: string;
  answer: string;
  /** What somebody might say who did not think. */
  wrong: string;
}

export type DrawPuzzle = (random: Random, difficulty: Difficulty) => Puzzle;

export const NAMES = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eva', 'Finn', 'Gina', 'Hugo', 'Iris', 'Jon', 'Kim', 'Lea'];
