/**
 * @file The record of one rollout. The viewer, the trainer, the exporter and the eval store all read this one type; it is
 * plain data and goes into JSON as it is.
 */
import type { Message, TurnTokens } from './types';

/** One request to the model and its reply. */
export interface Turn {
  /** Messages of the conversation before this reply. */
  promptMessages: number;
  finishReason: 'stop' | 'length' | 'tool_calls';
  tokens?: TurnTokens;
  /** Seconds the model took. */
  seconds: number;
}

/** What went wrong, and whose fault it is: an error is never a reward of 0. */
export interface TraceError {
  /** `model`: the endpoint or the device; `environment`: its own code; `reward`: a reward function. */
  source: 'model' | 'environment' | 'reward';
  /** The reward function or hook, where known. */
  where?: string;
  name: string;
  message: string;
}

export interface Trace {
  environment: string;
  exampleId: number;
  /** How often this example had been used before. */
  draw: number;
  /** Index within the group of rollouts of one prompt. */
  rollout: number;
  prompt: Message[];
  /** Everything after the prompt: replies of the model and of the environment. */
  completion: Message[];
  answer: string;
  info: Record<string, unknown>;
  turns: Turn[];
  /** Weighted sum of the rewards; null when it could not be computed. */
  reward: number | null;
  /** Score of every reward function by name, those with weight 0 (metrics) included. */
  metrics: Record<string, number>;
  advantage: number | null;
  /** Why it ended: `max_turns_reached`, `prompt_too_long`, ... */
  stopCondition: string | null;
  /** Some reply was cut off at its token limit, or the prompt did not fit. */
  isTruncated: boolean;
  error: TraceError | null;
  timing: { generationSeconds: number; scoringSeconds: number };
}

/** A token sequence to train on. */
export interface TokenSample {
  ids: number[];
  /** 1 where the model sampled the token; 0 for prompt and environment tokens. */
  mask: number[];
  /** Per token, of those with mask 1; 0 elsewhere. */
  logprobs: number[];
}

/**
 * The rollout as token sequences. A turn whose prompt extends the tokens so far exactly is appended to them, the
 * environment's tokens masked; where it does not (a template that rewrites earlier turns) a new sequence begins.
 */
export function tokenSamples(turns: readonly Turn[]): TokenSample[] {
  const samples: TokenSample[] = [];
  for (const { tokens } of turns) {
    if (!tokens) continue;
    const { promptIds, completionIds, logprobs } = tokens;
    let sample = samples.at(-1);
    const extended =
      sample && promptIds.length >= sample.ids.length && sample.ids.every((id, i) => id === promptIds[i]);
    if (!sample || !extended) samples.push((sample = { ids: [], mask: [], logprobs: [] }));
    const added = promptIds.slice(sample.ids.length);
    sample.ids.push(...added, ...completionIds);
    sample.mask.push(...added.map(() => 0), ...completionIds.map(() => 1));
    sample.logprobs.push(...added.map(() => 0), ...logprobs);
  }
  return samples;
}

/** Tokens the model sampled. */
export function completionTokens(trace: Trace): number {
  return trace.turns.reduce((sum, { tokens }) => sum + (tokens?.completionIds.length ?? 0), 0);
}
