/**
 * @file What an exported package's Python side and its runner say to each other: one JSON object per line, requests on the
 * runner's standard input, answers on its standard output. Messages and tools have OpenAI's form, names are in snake case.
 *
 *     start  a rollout of a task begins                           -> a turn
 *     step   the model's reply to the last turn                   -> a turn
 *     stop   no reply will come (the conversation is too long, the engine's limit): what was said is scored -> a turn, done
 *     score  the result of a rollout that is done                 -> a result
 *     end    the rollout is forgotten; one that is still played is cancelled
 *
 * A turn is what is to be said to the model next, or, with `done`, the environment's last words and the result.
 */
import { finishReasonOf, messageOfResponse, usageOfResponse, wireMessage } from '../../../src/envs';
import type { Completion, Message, ToolSchema, Trace, TraceError } from '../../../src/envs';

/** A request; `id` is repeated in its answer, `session` names the rollout. */
export interface WireRequest {
  id: number;
  op: string;
  session?: string;
  [field: string]: unknown;
}

export type WireAnswer = { id: number; ok: unknown } | { id: number; error: { name: string; message: string } };

export interface WireTurn {
  done: boolean;
  /** New since the last reply. */
  messages: object[];
  /** Of this request; absent when done. */
  tools?: readonly ToolSchema[];
  /** As the environment would sample. */
  sampling?: Record<string, number>;
  result?: WireResult;
}

/** What a rollout was worth. */
export interface WireResult {
  /** Null when it could not be computed: `error` says why. */
  reward: number | null;
  metrics: Record<string, number>;
  stop_condition: string | null;
  is_truncated: boolean;
  error: TraceError | null;
  /** Replies of the model. */
  num_turns: number;
}

/** A request that makes no sense: the rollout it belongs to, if any, goes on. */
export class WireError extends Error {
  override name = 'WireError';
}

/**
 * A model's reply, read as one of an OpenAI-compatible endpoint.
 * @throws WireError
 */
export function completionIn({ message, finish_reason, usage }: WireRequest): Completion {
  if (typeof message !== 'object' || message === null) throw new WireError('step: there is no message');
  const response = { choices: [{ message, finish_reason: typeof finish_reason === 'string' ? finish_reason : null }] };
  try {
    return {
      message: messageOfResponse(response),
      finishReason: finishReasonOf(response),
      usage: usageOfResponse({ usage: usage as { prompt_tokens?: number; completion_tokens?: number } | null }),
    };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new WireError(`step: ${error.message}`);
  }
}

/**
 * A prompt as a task has it.
 * @throws WireError
 */
export function promptIn(value: unknown): Message[] {
  if (!Array.isArray(value)) throw new WireError('start: the prompt is not a list of messages');
  return value.map((message: unknown, i) => {
    const { role, content, tool_calls: calls, tool_call_id: id } = Object(message) as Record<string, unknown>;
    if (role === 'assistant') return messageOfResponse({ choices: [{ message: message as object }] });
    if ((role !== 'system' && role !== 'user' && role !== 'tool') || typeof content !== 'string' || calls != null) {
      throw new WireError(`start: message ${i} of the prompt has no role that there is, or no text`);
    }
    return { role, content, ...(typeof id === 'string' && { toolCallId: id }) };
  });
}

/** Messages as they go over the wire; those of a data set, too. */
export function messagesOut(messages: readonly Message[]): object[] {
  return messages.map(wireMessage);
}

export function resultOut({ reward, metrics, stopCondition, isTruncated, error, turns }: Trace): WireResult {
  return {
    reward,
    metrics,
    stop_condition: stopCondition,
    is_truncated: isTruncated,
    error,
    num_turns: turns.length,
  };
}
