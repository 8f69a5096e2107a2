/**
 * @file Reads traces.jsonl of verifiers 1: a line is an episode, and an episode has traces, each a graph of messages. The
 * path to the last message becomes the conversation; log-probabilities and tokens lie at its nodes.
 */
import type { FinishReason } from '../types';
import type { TraceError, Turn } from '../trace';
import { isObject, listIn, numberIn, numbersIn, objectIn, parseJson, spanIn, textIn } from './json_fields';
import type { Json } from './json_fields';
import { MODEL_ERRORS, messagesIn, toolsIn } from './read_messages';
import type { SavedTrace } from './usage';

/**
 * Reads one line. An episode that failed before any trace becomes a trace with its error.
 * @param nextRollout index of the next rollout of an example
 * @returns undefined for a line that is no episode
 */
export function parseEpisode(text: string, nextRollout: (exampleId: number) => number): SavedTrace[] | undefined {
  let episode: unknown;
  try {
    episode = parseJson(text);
  } catch {
    return undefined;
  }
  if (!isObject(episode) || !Array.isArray(episode.traces) || !isObject(episode.task)) return undefined;
  const { env, task, errors, timing } = episode;
  const data = objectIn(task.data);
  const exampleId = numberIn(data.idx) ?? 0;
  const environment = textIn(objectIn(env).id);
  const first = nextRollout(exampleId);
  const traces = listIn<Json>(episode.traces);
  // Nothing was played: the episode itself stands for its trace.
  return (traces.length > 0 ? traces : [{ errors, timing }]).map((trace, i) => ({
    ...traceIn(trace, textIn(data.prompt)),
    environment,
    task: '',
    taskKey: textIn(task.key),
    exampleId,
    draw: 0,
    rollout: first + i,
    answer: textIn(data.answer),
  }));
}

type FromTrace = Omit<SavedTrace, 'environment' | 'task' | 'taskKey' | 'exampleId' | 'draw' | 'rollout' | 'answer'>;

function traceIn(trace: Json, question: string): FromTrace {
  const nodes = listIn<Json>(trace.nodes);
  const path = pathTo(nodes, nodes.length - 1);
  const sampled = path.findIndex((index) => nodes[index]!.sampled === true);
  const start = sampled < 0 ? path.length : sampled;
  const messages = messagesIn(
    path.map((index) => nodes[index]!.message),
    'user',
  );
  const turns = turnsIn(trace, nodes, path);
  const rewards = Object.entries(objectIn(trace.rewards)).map(([name, value]) => {
    const { score, weight } = objectIn(value);
    return { name, score: numberIn(score), weight: numberIn(weight) ?? 1 };
  });
  const scored = rewards.filter(({ score }) => score !== undefined);
  const error = errorIn(listIn<Json>(trace.errors).at(-1));
  const timing = objectIn(trace.timing);
  const stopCondition = textIn(trace.stop_condition) || null;
  return {
    prompt: path.length > 0 ? messages.slice(0, start) : [{ role: 'user', content: question }],
    completion: messages.slice(start),
    info: objectIn(trace.info),
    tools: toolsIn(trace.tools),
    turns,
    reward:
      rewards.length > 0 && scored.length === rewards.length
        ? scored.reduce((sum, { score, weight }) => sum + score! * weight, 0)
        : null,
    metrics: {
      ...Object.fromEntries(scored.map(({ name, score }) => [name, score!])),
      ...numbersIn(trace.metrics),
    },
    advantage: null,
    stopCondition,
    isTruncated: turns.some(({ finishReason }) => finishReason === 'length'),
    error,
    timing: {
      setup: spanIn(timing.setup),
      generation: spanIn(timing.agent),
      scoring: spanIn(timing.scoring),
      environment: [],
    },
    tokenUsage: usageOf(turns),
  };
}

/** Indices from the root to a node. */
function pathTo(nodes: readonly Json[], last: number): number[] {
  const path: number[] = [];
  for (let at: number | undefined = last; at !== undefined && at >= 0 && path.length < nodes.length;) {
    path.unshift(at);
    at = numberIn(nodes[at]!.parent);
  }
  return path;
}

function turnsIn(trace: Json, nodes: readonly Json[], path: readonly number[]): Turn[] {
  const calls = new Map(listIn<Json>(trace.calls).map((call) => [numberIn(call.node), call]));
  const turns: Turn[] = [];
  const ids: number[] = [];
  for (const [promptMessages, index] of path.entries()) {
    const node = nodes[index]!;
    const own = listIn<number>(node.token_ids);
    const mask = listIn<unknown>(node.mask).map(Boolean);
    if (node.sampled === true) {
      const call = calls.get(index) ?? {};
      const usage = objectIn(call.usage);
      const [promptTokens, completionTokens] = [numberIn(usage.prompt_tokens), numberIn(usage.completion_tokens)];
      const counted = promptTokens !== undefined && completionTokens !== undefined;
      turns.push({
        promptMessages,
        finishReason: (textIn(call.finish_reason) || 'stop') as FinishReason,
        span: spanIn(call.time),
        ...(counted && { usage: { promptTokens, completionTokens } }),
        ...(own.length > 0 && {
          tokens: {
            promptIds: [...ids, ...own.filter((_, i) => !mask[i])],
            completionIds: own.filter((_, i) => mask[i]),
            logprobs: listIn<number>(node.logprobs),
          },
        }),
      });
    }
    ids.push(...own);
  }
  return turns;
}

function usageOf(turns: readonly Turn[]): SavedTrace['tokenUsage'] {
  const usages = turns.flatMap(({ usage }) => usage ?? []);
  const last = usages.at(-1);
  if (!last) return null;
  const output = usages.reduce((sum, { completionTokens }) => sum + completionTokens, 0);
  return {
    input_tokens: usages.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
    output_tokens: output,
    final_output_tokens: output,
    final_input_tokens: Math.max(0, last.promptTokens + last.completionTokens - output),
  };
}

function errorIn(error: Json | undefined): TraceError | null {
  if (!isObject(error)) return null;
  const name = textIn(error.type) || 'Error';
  return { source: MODEL_ERRORS.test(name) ? 'model' : 'environment', name, message: textIn(error.message) };
}
