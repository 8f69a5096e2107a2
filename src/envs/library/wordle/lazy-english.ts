/** @file What of wordle takes a list of words, loaded when the first game is asked for: it is long. */
import { isHeldOut } from '../held_out';
import { SECRETS } from './words';

export { demonstration } from './player';
export { isWord } from './words';

/** Secrets of the training tasks: nine tenths. */
export const TRAINED: readonly string[] = SECRETS.filter((word) => !isHeldOut(word));
/** Those of the evals. */
export const HELD_OUT: readonly string[] = SECRETS.filter(isHeldOut);
