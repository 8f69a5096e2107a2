/** @file All puzzles, loaded when the first one is asked for. */
import { chainSum } from './chain_sum';
import { knights } from './knights';
import { numberSequence } from './number_sequence';
import { ordering } from './ordering';
import type { DrawPuzzle, PuzzleKind } from './puzzle';
import { roads } from './roads';

export const PUZZLES: Readonly<Record<PuzzleKind, DrawPuzzle>> = {
  'chain-sum': chainSum,
  'number-sequence': numberSequence,
  ordering: ordering,
  knights: knights,
  roads: roads,
};
