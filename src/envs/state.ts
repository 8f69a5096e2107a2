/** @file A rollout while it is being played: the trace as far as it has come, and what only the environment needs. */
import type { Random } from '../random';
import type { Example } from './dataset';
import type { Trace } from './trace';
import type { Message } from './types';

export interface State extends Trace {
  example: Example;
  /** The environment's own notes on this rollout (a game, a session, a counter). Never part of the trace. */
  scratch: Record<string, unknown>;
  /** The environment's own dice: the same for the same task, draw and rollout. */
  random: Random;
  /** Aborts when the rollout is cancelled or out of time. */
  signal: AbortSignal;
  /** Set by `envResponse` when what it returns is the last word: the model is not asked again. */
  finalEnvResponse: readonly Message[] | null;
  /** The conversation did not fit the model. */
  promptTooLong: boolean;
}

const STATE_ONLY = ['example', 'scratch', 'random', 'signal', 'finalEnvResponse', 'promptTooLong'] as const;

/** The trace in a state: plain data, without the rest. */
export function traceOf(state: State): Trace {
  const trace: Partial<State> = { ...state };
  for (const key of STATE_ONLY) delete trace[key];
  return trace as Trace;
}
