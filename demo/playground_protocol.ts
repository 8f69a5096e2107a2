/** @file What page and worker say about conversations with models. */
import type { Message } from '../src/envs';
import type { TokenPiece } from '../src/model';

/** A model that can be asked. */
export type ModelRef =
  /** The weights of the run that is open, as they are now or as it started. */
  | { kind: 'current' | 'start' }
  /** A model that is here: `hf:owner/name`, `folder:name`. */
  | { kind: 'model'; name: string }
  /** What a run has kept at a step. */
  | { kind: 'run'; run: string; step: number };

/** The environment that a conversation takes place in. */
export interface Place {
  env: string;
  options: Record<string, unknown>;
}

/** How to sample; null is the environment's own, or the model's room. */
export interface PlaygroundSampling {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  maxTokens: number | null;
}

export interface Say {
  /** Never used twice. */
  id: number;
  /** One or two, all of whom are asked the same. */
  models: ModelRef[];
  text: string;
  /** Without an environment; '' is none. */
  system: string;
  place: Place | null;
  /** Row of the environment's held-out tasks that `text` is; null: somebody's own question. */
  task: number | null;
  /** Goes on with what was said before; else everybody forgets that first. */
  continues: boolean;
  sampling: PlaygroundSampling;
  /** Random numbers depend on it and on the number of messages before. */
  seed: number;
}

export type PlaygroundRequest =
  | ({ what: 'say' } & Say)
  | { what: 'stop' }
  /** What a place looks like, with one of its tasks. */
  | { what: 'enter'; place: Place; task: number | null }
  /** Of a reply: the likeliest tokens at each of its places. `turn` counts the model's turns since `say`. */
  | { what: 'alternatives'; id: number; side: number; turn: number }
  /** Frees the memory of models that the run does not need. */
  | { what: 'leave' };

/** Of one token of a reply. */
export interface ShownAlternatives {
  logprob: number;
  /** Tokens that were likelier. */
  rank: number;
  top: { text: string; logprob: number }[];
}

/** How a conversation went, where an environment says so. */
export interface Outcome {
  reward: number | null;
  /** By function. */
  metrics: Record<string, number>;
  stopCondition: string | null;
  answer: string;
  error: string | null;
}

export type PlaygroundNews =
  | { what: 'place'; env: string; system: string; tools: { name: string; description: string }[]; tasks: number | null }
  | { what: 'task'; env: string; task: number; text: string; answer: string }
  /** A model's weights are on their way to the GPU. */
  | { what: 'loading'; id: number; side: number; done: number; total: number }
  /** A turn of the model begins. `step`: GRPO steps behind the weights, where they are a run's. */
  | { what: 'turn'; id: number; side: number; turn: number; model: string; step: number | null }
  /** Tokens of a turn, and the seconds since it began. */
  | {
      what: 'tokens';
      id: number;
      side: number;
      turn: number;
      pieces: TokenPiece[];
      logprobs: number[];
      seconds: number;
    }
  /** What the environment said. */
  | { what: 'heard'; id: number; side: number; messages: Message[] }
  | { what: 'done'; id: number; side: number; cut: boolean; outcome: Outcome | null }
  | { what: 'failed'; id: number; side: number; message: string }
  | { what: 'stopped'; id: number; side: number }
  | { what: 'alternatives'; id: number; side: number; turn: number; tokens: ShownAlternatives[] }
  | { what: 'no-alternatives'; id: number; side: number; turn: number; message: string }
  /** A place that cannot be entered. */
  | { what: 'no-place'; message: string }
  /** The worker is no more, and every conversation with it. */
  | { what: 'gone' };
