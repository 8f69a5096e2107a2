/**
 * @file Reads results that we or verifiers wrote: v0.1.8 (pandas' JSON), its newest form and ours become traces. What an
 * older form does not say is empty; a line that cannot be read is reported and left out. The files of verifiers 1, which
 * are another form altogether, are read by read_episodes.ts.
 */
import type { FinishReason, Message, ParseIssue } from '../types';
import type { Span, Trace, TraceError, Turn } from '../trace';
import { RESULTS_VERSION, isColumn } from './results';
import type { MetadataExtras, ResultMetadata, ResultTool } from './results';
import { isObject, listIn, numberIn, numbersIn, objectIn, parseJson, spanIn, textIn, textOrNull } from './json_fields';
import type { Json } from './json_fields';
import { parseEpisode } from './read_episodes';
import { MODEL_ERRORS, messagesIn, toolsIn } from './read_messages';
import type { ResultStore } from './store';
import type { SavedTrace, TokenUsage } from './usage';

/** A results file as it was found. */
export interface SavedRun {
  metadata: ResultMetadata;
  traces: SavedTrace[];
  unreadable: UnreadableLine[];
}

export interface UnreadableLine {
  /** Counted from 1. */
  line: number;
  reason: string;
}

/** A line of results.jsonl, read or not. */
export type SavedLine = { text: string; line: number } & ({ trace: SavedTrace } | { reason: string });

/** Results that cannot be used for what was asked. */
export class ResultsError extends Error {
  override name = 'ResultsError';
}

/** Reads a whole run. Metadata that is missing or broken is empty. */
export async function readRun(store: ResultStore): Promise<SavedRun> {
  const metadata = parseMetadata(await store.readMetadata());
  const traces: SavedTrace[] = [];
  const unreadable: UnreadableLine[] = [];
  for await (const saved of readLines(store, metadata.env_id)) {
    if ('trace' in saved) traces.push(saved.trace);
    else {
      const episode = parseEpisode(saved.text, (example) => traces.filter((t) => t.exampleId === example).length);
      if (episode) traces.push(...episode);
      else unreadable.push({ line: saved.line, reason: saved.reason });
    }
  }
  return { metadata, traces, unreadable };
}

/** Lines one by one, each with the text it was. Empty ones are passed over. */
export async function* readLines(store: ResultStore, environment: string): AsyncGenerator<SavedLine, void, void> {
  const seen = new Map<number, number>();
  let line = 0;
  for await (const text of store.lines()) {
    line++;
    if (text.trim() === '') continue;
    try {
      const trace = parseRow(text, environment, (example) => seen.get(example) ?? 0);
      seen.set(trace.exampleId, Math.max(seen.get(trace.exampleId) ?? 0, trace.rollout + 1));
      yield { text, line, trace };
    } catch (error) {
      yield { text, line, reason: error instanceof Error ? error.message : String(error) };
    }
  }
}

/**
 * Reads one line.
 * @param environment of the run
 * @param nextRollout index of a rollout that does not say its own
 * @throws ResultsError, SyntaxError
 */
export function parseRow(text: string, environment: string, nextRollout: (exampleId: number) => number): SavedTrace {
  const row = parseJson(text);
  if (!isObject(row)) throw new ResultsError('not an object');
  const exampleId = row.example_id;
  if (typeof exampleId !== 'number' || !Number.isInteger(exampleId)) throw new ResultsError('no example_id');
  const ours = objectIn(row.terrarium);
  const prompt = messagesIn(row.prompt, 'user');
  const completion = messagesIn(row.completion, 'assistant');
  for (const { message, issues } of listIn<{ message: number; issues: ParseIssue[] }>(ours.issues)) {
    const target = completion[message];
    if (target) target.issues = issues;
  }
  const timing = timingIn(row);
  const stopCondition = typeof row.stop_condition === 'string' ? row.stop_condition : null;
  const error = errorIn(row.error, ours);
  const trace: Trace = {
    environment: textIn(ours.environment) || environment,
    task: textIn(ours.task ?? row.task),
    taskKey: textIn(ours.task_key),
    exampleId,
    draw: numberIn(ours.draw) ?? 0,
    rollout: numberIn(ours.rollout) ?? nextRollout(exampleId),
    prompt,
    completion,
    answer: textIn(row.answer),
    info: objectIn(row.info),
    tools: toolsIn(row.tool_defs),
    turns: Array.isArray(ours.turns)
      ? listIn<Json>(ours.turns).map((turn, i) => savedTurn(turn, timing.model[i]))
      : guessedTurns(
          prompt.length,
          completion,
          timing.model,
          row.is_truncated === true && !stopCondition?.includes('too_long'),
        ),
    reward: numberIn(row.reward) ?? null,
    metrics: metricsIn(row),
    advantage: numberIn(row.advantage) ?? null,
    stopCondition,
    isTruncated: row.is_truncated === true,
    error,
    timing: timing.trace,
  };
  return { ...trace, tokenUsage: usageIn(row.token_usage) };
}

/** metadata.json of any version; what it does not say is empty. */
export function parseMetadata(text: string | undefined): ResultMetadata {
  let data: Json = {};
  try {
    data = objectIn(parseJson(text ?? '{}'));
  } catch {
    // as upstream's readers do: a run is its lines
  }
  const versions = objectIn(data.version_info);
  const usage = usageIn(data.usage);
  const extras = objectIn(data.terrarium);
  return {
    env_id: textIn(data.env_id),
    env_args: objectIn(data.env_args),
    model: textIn(data.model),
    base_url: textIn(data.base_url),
    num_examples: numberIn(data.num_examples) ?? 0,
    rollouts_per_example: numberIn(data.rollouts_per_example) ?? 1,
    shuffle: data.shuffle === true,
    shuffle_seed: numberIn(data.shuffle_seed) ?? null,
    sampling_args: objectIn(data.sampling_args),
    time: numberIn(data.time) ?? (numberIn(data.time_ms) ?? 0) / 1000,
    avg_reward: numberIn(data.avg_reward) ?? null,
    avg_metrics: numbersIn(data.avg_metrics),
    avg_error: numberIn(data.avg_error) ?? 0,
    pass_at_k: numbersIn(data.pass_at_k),
    pass_all_k: numbersIn(data.pass_all_k),
    pass_threshold: numberIn(data.pass_threshold) ?? 0.5,
    usage,
    version_info: {
      vf_version: textOrNull(versions.vf_version),
      vf_commit: textOrNull(versions.vf_commit),
      env_version: textOrNull(versions.env_version),
      env_commit: textOrNull(versions.env_commit),
    },
    state_columns: listIn<unknown>(data.state_columns).map(String),
    tools: Array.isArray(data.tools) ? (data.tools as ResultTool[]) : null,
    ...(extras.version === RESULTS_VERSION && { terrarium: extras as unknown as MetadataExtras }),
  };
}

function errorIn(value: unknown, ours: Json): TraceError | null {
  if (value == null) return null;
  const error = isObject(value) ? value : { error: 'Error', message: textIn(value) };
  const name = textIn(error.error) || 'Error';
  const [message, chain] = [textIn(error.message), textIn(error.error_chain_repr)];
  const source = ours.error_source ?? (MODEL_ERRORS.test(name) ? 'model' : 'environment');
  return {
    source: source as TraceError['source'],
    ...(typeof ours.error_where === 'string' && { where: ours.error_where }),
    name,
    // Upstream's wrapper says only its own name; the cause is in the chain.
    message: message === name && chain !== '' ? chain : message,
  };
}

function metricsIn(row: Json): Record<string, number> {
  if (isObject(row.metrics)) return numbersIn(row.metrics);
  return numbersIn(Object.fromEntries(Object.entries(row).filter(([name]) => !isColumn(name) && name !== 'advantage')));
}

function timingIn(row: Json): { trace: Trace['timing']; model: Span[] } {
  const timing = objectIn(row.timing);
  const spans = (value: unknown) => listIn<unknown>(objectIn(value).spans).map(spanIn);
  if (isObject(timing.generation)) {
    const [setup, generation, scoring] = [timing.setup, timing.generation, timing.scoring].map(spanIn);
    return {
      trace: { setup: setup!, generation: generation!, scoring: scoring!, environment: spans(timing.env) },
      model: spans(timing.model),
    };
  }
  const start = numberIn(timing.start_time) ?? 0;
  const middle = start + (numberIn(row.generation_ms) ?? 0) / 1000;
  const end = middle + (numberIn(row.scoring_ms) ?? 0) / 1000;
  return {
    trace: {
      setup: { start, end: start },
      generation: { start, end: middle },
      scoring: { start: middle, end },
      environment: [],
    },
    model: [],
  };
}

function savedTurn(turn: Json, span: Span = { start: 0, end: 0 }): Turn {
  const [promptTokens, completionTokens] = [numberIn(turn.prompt_tokens), numberIn(turn.completion_tokens)];
  const reward = numberIn(turn.reward);
  const [promptIds, completionIds] = [listIn<number>(turn.prompt_ids), listIn<number>(turn.completion_ids)];
  return {
    promptMessages: numberIn(turn.prompt_messages) ?? 0,
    finishReason: (textIn(turn.finish_reason) || 'stop') as FinishReason,
    span,
    ...(promptTokens !== undefined && completionTokens !== undefined && { usage: { promptTokens, completionTokens } }),
    ...(turn.breaks_prefix === true && { breaksPrefix: true }),
    ...(reward !== undefined && { reward }),
    ...(Array.isArray(turn.completion_ids) && {
      tokens: { promptIds, completionIds, logprobs: listIn<number>(turn.logprobs) },
    }),
  };
}

/** Turns as the messages show them: one per assistant message. */
function guessedTurns(
  promptMessages: number,
  completion: readonly Message[],
  spans: readonly Span[],
  cutOff: boolean,
): Turn[] {
  const replies = completion.flatMap((message, i) => (message.role === 'assistant' ? [{ message, i }] : []));
  return replies.map(({ message, i }, turn) => ({
    promptMessages: promptMessages + i,
    finishReason: cutOff && turn === replies.length - 1 ? 'length' : message.toolCalls ? 'tool_calls' : 'stop',
    span: spans[turn] ?? { start: 0, end: 0 },
  }));
}

function usageIn(value: unknown): TokenUsage | null {
  if (!isObject(value)) return null;
  const count = (name: keyof TokenUsage) => numberIn(value[name]) ?? 0;
  return {
    input_tokens: count('input_tokens'),
    output_tokens: count('output_tokens'),
    final_output_tokens: count('final_output_tokens'),
    final_input_tokens: count('final_input_tokens'),
  };
}
