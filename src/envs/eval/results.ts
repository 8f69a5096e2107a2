/**
 * @file Results as verifiers stores them, in its newest form: a line of results.jsonl per rollout, and metadata.json.
 *
 * What is ours lies under one key of its own, `terrarium`, in both: which rollout it is, whose fault an error was, the
 * model's turns. It is an object, since upstream's viewers take any further number in a line for a metric.
 *
 * Different on purpose: a rollout that failed has the reward null, and no number is NaN or infinite.
 */
import type { FinishReason, Message, SamplingArgs, ToolSchema } from '../types';
import { seconds } from '../trace';
import type { Span, Trace, TraceError, Turn } from '../trace';
import { tokenUsage } from './usage';
import type { TokenUsage } from './usage';

/** Number of the form of the `terrarium` objects. */
export const RESULTS_VERSION = 1;

/** Our version, where upstream writes its own. */
export const LIBRARY_VERSION = 'terrarium 0.1.0';

export interface ResultMessage {
  role: string;
  content: string;
  /** JSON texts of `{ id, name, arguments }`. */
  tool_calls?: string[];
  tool_call_id?: string;
}

export interface ResultError {
  /** The error's name. */
  error: string;
  message: string;
  error_chain_repr: string;
  error_chain_str: string;
}

/** Seconds since 1970, and in seconds. */
interface TimedSpan extends Span {
  duration: number;
}

interface TimedSpans {
  spans: TimedSpan[];
  duration: number;
}

export interface ResultTiming {
  start_time: number;
  setup: TimedSpan;
  generation: TimedSpan;
  scoring: TimedSpan;
  /** Requests to the model. */
  model: TimedSpans;
  /** The environment's answers. */
  env: TimedSpans;
  total: number;
  /** What is left of the total. */
  overhead: number;
}

export interface ResultTool extends ToolSchema {
  strict: true;
}

/** One request to the model. */
export interface ResultTurn {
  prompt_messages: number;
  finish_reason: FinishReason;
  prompt_tokens?: number;
  completion_tokens?: number;
  /** Its prompt does not extend the tokens before it. */
  breaks_prefix?: true;
  reward?: number;
  /** Where tokens are saved. */
  prompt_ids?: number[];
  completion_ids?: number[];
  logprobs?: number[];
}

/** What a line says beyond upstream's form. */
export interface ResultExtras {
  version: typeof RESULTS_VERSION;
  environment: string;
  task: string;
  task_key: string;
  draw: number;
  /** Index within the rollouts of its example. */
  rollout: number;
  turns: ResultTurn[];
  error_source?: TraceError['source'];
  error_where?: string;
  /** What could not be read in the model's text, by index in the completion. */
  issues?: { message: number; issues: NonNullable<Message['issues']> }[];
}

/** A line of results.jsonl. Every metric stands at the top level as well. */
export interface ResultRow {
  example_id: number;
  prompt: ResultMessage[];
  completion: ResultMessage[];
  answer?: string;
  info?: Record<string, unknown>;
  reward: number | null;
  error: ResultError | null;
  timing: ResultTiming;
  is_completed: boolean;
  is_truncated: boolean;
  stop_condition: string | null;
  metrics: Record<string, number>;
  tool_defs: ResultTool[];
  token_usage?: TokenUsage;
  /** As upstream swaps the two: the long form. */
  error_chain?: string;
  /** The short form. */
  long_error_chain?: string;
  terrarium: ResultExtras;
  [metric: string]: unknown;
}

/** metadata.json. */
export interface ResultMetadata {
  env_id: string;
  env_args: Record<string, unknown>;
  model: string;
  base_url: string;
  /** Examples that the run is about, finished or not. */
  num_examples: number;
  rollouts_per_example: number;
  shuffle: boolean;
  shuffle_seed: number | null;
  sampling_args: Record<string, unknown>;
  /** Seconds of work so far, those before a resume included. */
  time: number;
  /** Over the rollouts that have a reward; null while there are none. */
  avg_reward: number | null;
  avg_metrics: Record<string, number>;
  /** Share of rollouts that failed. */
  avg_error: number;
  pass_at_k: Record<string, number>;
  pass_all_k: Record<string, number>;
  pass_threshold: number;
  usage: TokenUsage | null;
  version_info: {
    vf_version: string | null;
    vf_commit: string | null;
    env_version: string | null;
    env_commit: string | null;
  };
  state_columns: string[];
  tools: ResultTool[] | null;
  terrarium?: MetadataExtras;
}

/** What metadata.json says beyond upstream's form. */
export interface MetadataExtras {
  version: typeof RESULTS_VERSION;
  seed: number;
  split: 'train' | 'eval';
  /** Rollouts that are finished, failed ones included, of how many. */
  done: number;
  total: number;
  /** Ends of the 95% interval of avg_reward (see interval.ts). */
  reward_interval: [number, number] | null;
  /** Weights of the reward functions; 0 = a metric. */
  weights: Record<string, number>;
}

/** Columns that a metric of the same name does not replace. */
const COLUMNS: ReadonlySet<string> = new Set([
  ...['example_id', 'prompt', 'completion', 'task', 'answer', 'info', 'reward', 'error', 'timing', 'is_completed'],
  ...['is_truncated', 'stop_condition', 'metrics', 'tool_defs', 'token_usage', 'error_chain', 'long_error_chain'],
  ...['generation_ms', 'scoring_ms', 'total_ms', 'terrarium'],
]);

/** Whether a key of a line is one of the form's own, and not a metric. */
export function isColumn(name: string): boolean {
  return COLUMNS.has(name);
}

/**
 * A rollout as a line, without its end.
 * @param options.tokens also write token ids and log-probabilities
 */
export function formatRow(trace: Trace, options: { tokens?: boolean } = {}): string {
  const row = rowOf(trace, options);
  try {
    return JSON.stringify(row);
  } catch (error) {
    // Only `info` is the environment's own data: a BigInt or a cycle must not cost the rollout.
    const info = { unwritable: error instanceof Error ? error.message : String(error) };
    return JSON.stringify({ ...row, info });
  }
}

/** A rollout as a line's object. */
export function rowOf(trace: Trace, { tokens = false }: { tokens?: boolean } = {}): ResultRow {
  const { answer, info, error } = trace;
  const failure = error && resultError(error);
  const usage = tokenUsage(trace);
  const topLevel = Object.entries(trace.metrics).filter(([name]) => !isColumn(name));
  return {
    example_id: trace.exampleId,
    prompt: trace.prompt.map(resultMessage),
    completion: trace.completion.map(resultMessage),
    ...(answer !== '' && { answer }),
    ...(Object.keys(info).length > 0 && { info }),
    reward: trace.reward,
    error: failure,
    timing: resultTiming(trace),
    is_completed: true,
    is_truncated: trace.isTruncated,
    stop_condition: trace.stopCondition,
    metrics: trace.metrics,
    tool_defs: resultTools(trace.tools),
    ...(usage && { token_usage: usage }),
    ...(failure && { error_chain: failure.error_chain_repr, long_error_chain: failure.error_chain_str }),
    ...Object.fromEntries(topLevel),
    terrarium: extras(trace, tokens),
  };
}

function extras(trace: Trace, tokens: boolean): ResultExtras {
  const { error } = trace;
  const issues = trace.completion.flatMap(({ issues }, message) => (issues ? [{ message, issues }] : []));
  return {
    version: RESULTS_VERSION,
    environment: trace.environment,
    task: trace.task,
    task_key: trace.taskKey,
    draw: trace.draw,
    rollout: trace.rollout,
    turns: trace.turns.map((turn) => resultTurn(turn, tokens)),
    ...(error && { error_source: error.source }),
    ...(error?.where !== undefined && { error_where: error.where }),
    ...(issues.length > 0 && { issues }),
  };
}

function resultTurn(turn: Turn, withTokens: boolean): ResultTurn {
  const { promptMessages, finishReason, usage, tokens, breaksPrefix, reward } = turn;
  const prompt = tokens?.promptIds.length ?? usage?.promptTokens;
  const completion = tokens?.completionIds.length ?? usage?.completionTokens;
  return {
    prompt_messages: promptMessages,
    finish_reason: finishReason,
    ...(prompt !== undefined && { prompt_tokens: prompt }),
    ...(completion !== undefined && { completion_tokens: completion }),
    ...(breaksPrefix && { breaks_prefix: true }),
    ...(reward !== undefined && { reward }),
    ...(withTokens &&
      tokens && { prompt_ids: tokens.promptIds, completion_ids: tokens.completionIds, logprobs: tokens.logprobs }),
  };
}

function resultMessage({ role, content, toolCalls, toolCallId }: Message): ResultMessage {
  return {
    role,
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
    content,
    ...(toolCalls?.length && {
      tool_calls: toolCalls.map((call) => JSON.stringify({ id: call.id, name: call.name, arguments: call.arguments })),
    }),
  };
}

function resultError({ name, message }: TraceError): ResultError {
  return { error: name, message, error_chain_repr: `${name}(${JSON.stringify(message)})`, error_chain_str: name };
}

/** Tools as results name them. */
export function resultTools(tools: readonly ToolSchema[]): ResultTool[] {
  return tools.map(({ name, description, parameters }) => ({ name, description, parameters, strict: true }));
}

function resultTiming({ timing, turns }: Trace): ResultTiming {
  const { setup, generation, scoring } = timing;
  const model = timedSpans(turns.map(({ span }) => span));
  const env = timedSpans(timing.environment);
  const total = Math.max(0, scoring.end - setup.start);
  const overhead = total - seconds(setup) - seconds(scoring) - model.duration - env.duration;
  return {
    start_time: setup.start,
    setup: timed(setup),
    generation: timed(generation),
    scoring: timed(scoring),
    model,
    env,
    total,
    overhead: Math.max(0, overhead),
  };
}

function timed(span: Span): TimedSpan {
  return { start: span.start, end: span.end, duration: seconds(span) };
}

function timedSpans(spans: readonly Span[]): TimedSpans {
  return { spans: spans.map(timed), duration: spans.reduce((sum, span) => sum + seconds(span), 0) };
}

/** Sampling settings under the names that endpoints, and results, have for them. */
export function formatSampling({ maxTokens, temperature, topP, topK, minP }: SamplingArgs): Record<string, number> {
  const named = { max_tokens: maxTokens, temperature, top_p: topP, top_k: topK, min_p: minP };
  return Object.fromEntries(
    Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
