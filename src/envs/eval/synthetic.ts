/**
 * @file Synthetic data: good rollouts become demonstrations for supervised fine-tuning, in memory or as chat JSONL, one
 * `{ "messages": [...], "tools": [...] }` per line as OpenAI and Hugging Face's trainers read it.
 *
 *     const good = selectRollouts(evaluation.traces, { minReward: 1 });
 *     const env = new SingleTurnEnv({ name: 'sft', ...demonstrationsFrom(chatRows(formatChat(good))) });
 */
import { DatasetError, rows } from '../dataset';
import type { Dataset, TaskRow } from '../dataset';
import type { Demonstrator } from '../environment';
import { contentKey } from '../key';
import type { Trace } from '../trace';
import type { Message, Role, ToolSchema } from '../types';
import { wireMessage, wireTool } from './openai_wire';
import type { WireMessage, WireTool } from './openai_wire';
import { rewardOf } from './summary';

export interface SelectOptions {
  /** Least reward. */
  minReward?: number;
  /** Of rollouts that say the same after the same prompt only the first stays. */
  deduplicate?: boolean;
  /** At most so many per task, the best ones. */
  maxPerTask?: number;
  /** Also take rollouts that were cut off. */
  truncated?: boolean;
  /** Any further condition. */
  keep?: (trace: Trace) => boolean;
}

/** Rollouts worth learning from, in their order. Failed ones never are. */
export function selectRollouts<T extends Trace>(traces: readonly T[], options: SelectOptions = {}): T[] {
  const { minReward = -Infinity, deduplicate = true, maxPerTask = Infinity, truncated = false, keep } = options;
  const seen = new Set<string>();
  const good = traces.filter((trace) => {
    const reward = rewardOf(trace);
    if (reward === null || reward < minReward || (trace.isTruncated && !truncated)) return false;
    if (!trace.completion.some(({ role }) => role === 'assistant') || keep?.(trace) === false) return false;
    if (!deduplicate) return true;
    const key = contentKey([trace.prompt, trace.completion].map((part) => part.map(essence)));
    return !seen.has(key) && seen.add(key);
  });
  if (maxPerTask === Infinity) return good;
  const taken = new Map<string, number>();
  const best = [...good]
    .sort((a, b) => b.reward! - a.reward!)
    .filter((trace) => {
      const count = (taken.get(taskOf(trace)) ?? 0) + 1;
      taken.set(taskOf(trace), count);
      return count <= maxPerTask;
    });
  const chosen = new Set(best);
  return good.filter((trace) => chosen.has(trace));
}

/** What a message says, whatever its calls are numbered. */
function essence({ role, content, toolCalls = [] }: Message): unknown {
  return { role, content, calls: toolCalls.map(({ name, arguments: args }) => [name, args]) };
}

function taskOf({ taskKey, environment, exampleId }: Trace): string {
  return taskKey || `${environment}/${exampleId}`;
}

/** A conversation as data sets for fine-tuning have it. */
export interface ChatRecord {
  messages: WireMessage[];
  tools?: WireTool[];
}

/** A rollout as a record: its prompt, what followed, and the tools it had. */
export function chatRecord({ prompt, completion, tools }: Trace): ChatRecord {
  return {
    messages: [...prompt, ...completion].map(wireMessage),
    ...(tools.length > 0 && { tools: tools.map(wireTool) }),
  };
}

/** Rollouts as chat JSONL, each line ended. */
export function formatChat(traces: readonly Trace[]): string {
  return traces.map((trace) => `${JSON.stringify(chatRecord(trace))}\n`).join('');
}

/** A row of chat JSONL as a task: the messages before the first reply, and what a demonstrator says after them. */
export interface ChatRow extends TaskRow {
  prompt: Message[];
  completion: Message[];
  tools: ToolSchema[];
}

/**
 * Reads chat JSONL. Empty lines are passed over.
 * @throws DatasetError naming line and message
 */
export function chatRows(text: string): ChatRow[] {
  return text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : [chatRow(line, i + 1)]));
}

function chatRow(text: string, line: number): ChatRow {
  const fail = (what: string): never => {
    throw new DatasetError(`line ${line}${what}`);
  };
  let record: { messages?: unknown; tools?: unknown };
  try {
    record = Object(JSON.parse(text)) as typeof record;
  } catch (error) {
    return fail(`: ${(error as SyntaxError).message}`);
  }
  const { messages, tools } = record;
  if (!Array.isArray(messages)) return fail(', column "messages": not a list');
  const conversation = messages.map((message: unknown, i) =>
    messageOf(message, (what) => fail(`, message ${i}: ${what}`)),
  );
  const first = conversation.findIndex(({ role }) => role === 'assistant');
  if (first < 0) return fail(', column "messages": no message of the assistant to learn');
  return {
    prompt: conversation.slice(0, first),
    completion: conversation.slice(first),
    tools: Array.isArray(tools) ? tools.map(toolOf) : [],
  };
}

const ROLES: readonly string[] = ['system', 'user', 'assistant', 'tool'] satisfies Role[];

function messageOf(value: unknown, fail: (what: string) => never): Message {
  const { role, content = null, tool_calls: calls, tool_call_id: id } = Object(value) as Record<string, unknown>;
  if (typeof role !== 'string' || !ROLES.includes(role)) return fail(`role ${JSON.stringify(role)}`);
  if (content !== null && typeof content !== 'string') return fail('its content is not text');
  const toolCalls = (Array.isArray(calls) ? calls : []).map((call: unknown, i) => {
    const { id = `call_${i}`, function: inner = call } = Object(call) as Record<string, unknown>;
    const { name, arguments: args = {} } = Object(inner) as Record<string, unknown>;
    if (typeof name !== 'string') return fail('a tool call without a name');
    return { id: String(id), name, arguments: typeof args === 'string' ? args : JSON.stringify(args) };
  });
  return {
    role: role as Role,
    content: content ?? '',
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(typeof id === 'string' && { toolCallId: id }),
  };
}

function toolOf(value: unknown): ToolSchema {
  const outer = Object(value) as Record<string, unknown>;
  const { name, description, parameters } = Object(outer.function ?? value) as Partial<ToolSchema>;
  return { name: String(name), description: description ?? '', parameters: parameters ?? {} };
}

/**
 * Dataset and demonstrator of an environment for supervised fine-tuning:
 * `new SingleTurnEnv({ name, ...demonstrationsFrom(rows) })`.
 * @throws DatasetError for no rows
 */
export function demonstrationsFrom(list: readonly ChatRow[]): { dataset: Dataset; demonstrate: Demonstrator } {
  if (list.length === 0) throw new DatasetError('no rows to learn from');
  return {
    dataset: rows(list),
    // There is no careless version of what was recorded.
    demonstrate: (row) => (row as ChatRow).completion,
  };
}
