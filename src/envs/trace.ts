/**
 * @file The record of one rollout. The viewer, the trainer, the exporter and the eval store all read this one type; it is
 * plain data and goes into JSON as it is.
 */
import type { FinishReason, Message, ToolSchema, TurnTokens, Usage } from './types';

/** A piece of time, in seconds since 1970. */
export interface Span {
  start: number;
  end: number;
}

/** One request to the model and its reply. */
export interface Turn {
  /** Messages of the conversation before this reply. */
  promptMessages: number;
  finishReason: FinishReason;
  tokens?: TurnTokens;
  /** Its prompt does not extend the tokens before it: the chat template renders earlier turns in another way by now. */
  breaksPrefix?: true;
  /** As the model counted them. */
  usage?: Usage;
  /** The model's time. */
  span: Span;
  /** Where an environment judges single turns: the turn's own reward and advantage, instead of the rollout's. */
  reward?: number;
  advantage?: number;
}

/** What went wrong, and whose fault it is: an error is never a reward of 0. */
export interface TraceError {
  /** `model`: the endpoint or the device; `environment`: its own code or a tool; `reward`: a reward function. */
  source: 'model' | 'environment' | 'reward';
  /** The reward function, tool or hook, where known. */
  where?: string;
  name: string;
  message: string;
}

export interface Trace {
  environment: string;
  /** The environment of a group that played it; otherwise the row's own task, or ''. */
  task: string;
  /** Names the task by what it is: equal rows have equal keys, wherever they stand in whatever dataset. */
  taskKey: string;
  exampleId: number;
  /** How often this example had been used before. */
  draw: number;
  /** Index within the group of rollouts of one prompt. */
  rollout: number;
  /** Whose view this is, where the environment has several seats: a rollout then has a trace for each that is trained. */
  seat?: string;
  prompt: Message[];
  /** Everything after the prompt: replies of the model and of the environment. */
  completion: Message[];
  answer: string;
  info: Record<string, unknown>;
  /** Tools that the model was offered. */
  tools: ToolSchema[];
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
  timing: {
    setup: Span;
    /** The conversation: the model's turns and the environment's answers. */
    generation: Span;
    scoring: Span;
    /** The environment's own answers. */
    environment: Span[];
  };
}

/** Now, in seconds since 1970 with the clock's finest resolution. */
export function now(): number {
  return (performance.timeOrigin + performance.now()) / 1000;
}

/** Length of a span in seconds. */
export function seconds({ start, end }: Span): number {
  return end - start;
}

/** An error as a trace records it. */
export function traceError(source: TraceError['source'], error: unknown, where?: string): TraceError {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { source, ...(where !== undefined && { where }), name, message };
}

/** A token sequence to train on. */
export interface TokenSample {
  ids: number[];
  /** 1 where the model sampled the token; 0 for prompt and environment tokens. */
  mask: number[];
  /** Per token, of those with mask 1; 0 elsewhere. */
  logprobs: number[];
  /** Per token, the advantage of its turn; 0 where mask is 0. */
  advantages: number[];
}

export interface TokenSampleOptions {
  /** One sample per turn, instead of one per conversation as far as its tokens continue each other. */
  branching?: boolean;
}

/**
 * The rollout as token sequences. A turn whose prompt extends the tokens so far exactly is appended to them, the
 * environment's tokens masked; where it does not (a template that rewrites earlier turns) a new sequence begins.
 */
export function tokenSamples(
  { turns, advantage }: Pick<Trace, 'turns' | 'advantage'>,
  { branching = false }: TokenSampleOptions = {},
): TokenSample[] {
  const samples: TokenSample[] = [];
  for (const { tokens, advantage: own } of turns) {
    if (!tokens) continue;
    const { promptIds, completionIds, logprobs } = tokens;
    let sample = branching ? undefined : samples.at(-1);
    if (!sample || !extendsTokens(promptIds, sample.ids)) {
      samples.push((sample = { ids: [], mask: [], logprobs: [], advantages: [] }));
    }
    const added = promptIds.slice(sample.ids.length);
    const zeros = added.map(() => 0);
    sample.ids.push(...added, ...completionIds);
    sample.mask.push(...zeros, ...completionIds.map(() => 1));
    sample.logprobs.push(...zeros, ...logprobs);
    sample.advantages.push(...zeros, ...completionIds.map(() => own ?? advantage ?? 0));
  }
  return samples;
}

/**
 * How often a turn's prompt did not extend the tokens before it: each costs a sample of its own. Where tokens were not
 * kept, turns say it themselves.
 */
export function prefixBreaks(turns: readonly Turn[]): number {
  if (!turns.some(({ tokens }) => tokens)) return turns.filter(({ breaksPrefix }) => breaksPrefix).length;
  const samples = tokenSamples({ turns: [...turns], advantage: null });
  return Math.max(0, samples.length - 1);
}

/** Whether ids begin with a prefix. */
export function extendsTokens(ids: readonly number[], prefix: readonly number[]): boolean {
  return ids.length >= prefix.length && prefix.every((id, i) => id === ids[i]);
}

/** Parts a list into those of each seat, in the order in which the seats appear; one part where there are no seats. */
export function bySeat<T>(list: readonly T[], seatOf: (item: T) => string | undefined): T[][] {
  const parts = new Map<string | undefined, T[]>();
  for (const item of list) {
    const seat = seatOf(item);
    const part = parts.get(seat);
    if (part) part.push(item);
    else parts.set(seat, [item]);
  }
  return [...parts.values()];
}

/** Tokens the model sampled. */
export function completionTokens(trace: Trace): number {
  return trace.turns.reduce(
    (sum, { tokens, usage }) => sum + (tokens?.completionIds.length ?? usage?.completionTokens ?? 0),
    0,
  );
}

/** Traces as JSON Lines: one object per line, each line ended. */
export function formatTraces(traces: readonly Trace[]): string {
  return traces.map((trace) => `${JSON.stringify(trace)}\n`).join('');
}
