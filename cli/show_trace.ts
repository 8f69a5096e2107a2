/** @file One rollout as text: what was said, what was called, what it was worth. */
import { tokenUsage } from '../src/envs';
import type { Message, SavedTrace, ToolCall, Turn } from '../src/envs';
import { columns, duration, figure, oneLine, printable } from './text';

export interface ShowOptions {
  /** Of the reward functions by name; 0 = a metric. */
  weights?: Readonly<Record<string, number>>;
  passThreshold?: number;
  /** Further words for the first line. */
  title?: string;
  /** Characters of one message that are shown. */
  maxLength?: number;
}

/** A whole rollout, safe for a terminal. */
export function showTrace(trace: SavedTrace, options: ShowOptions = {}): string {
  const { prompt, completion, turns, answer, info } = trace;
  const { title = '', maxLength = Infinity } = options;
  const messages: string[] = [];
  prompt.forEach((message) => messages.push(showMessage(message, undefined, maxLength)));
  let turn = 0;
  for (const message of completion) {
    messages.push(showMessage(message, message.role === 'assistant' ? turns[turn++] : undefined, maxLength));
  }
  const facts = [
    ...(answer !== '' ? [`answer  ${cut(printable(answer), maxLength)}`] : []),
    ...(Object.keys(info).length > 0 ? [`info    ${cut(printable(JSON.stringify(info)), maxLength)}`] : []),
  ];
  return [
    `${printable(trace.environment)}  example ${trace.exampleId}, rollout ${trace.rollout}  ${title}`.trimEnd(),
    showOutcome(trace, options),
    '',
    ...messages,
    ...(facts.length > 0 ? ['', ...facts] : []),
    '',
  ].join('\n');
}

function showOutcome(trace: SavedTrace, { weights = {}, passThreshold }: ShowOptions): string {
  const { reward, error, stopCondition, isTruncated, turns, metrics, timing } = trace;
  const usage = tokenUsage(trace);
  const solved =
    reward !== null && passThreshold !== undefined ? (reward >= passThreshold ? ', solved' : ', not solved') : '';
  const line = [
    reward === null ? 'no reward' : `reward ${figure(reward)}${error ? ' (failed: in no mean)' : solved}`,
    `ended by ${printable(stopCondition ?? '?')}${isTruncated ? ', cut off' : ''}`,
    `${turns.length} turn${turns.length === 1 ? '' : 's'}`,
    ...(usage ? [`${usage.input_tokens} tokens in, ${usage.output_tokens} out`] : []),
    duration(Math.max(0, timing.generation.end - timing.generation.start)),
  ].join('   ');
  const parts = Object.entries(metrics).map(([name, value]) => {
    const weight = weights[name];
    const share =
      weight === undefined ? '' : weight === 0 ? 'metric' : `x ${figure(weight)} = ${figure(weight * value)}`;
    return [`  ${oneLine(name, 40)}`, figure(value), share];
  });
  const failure = error
    ? [
        `ERROR of the ${error.source}${error.where ? `, ${printable(error.where)}` : ''}: ` +
          printable(`${error.name}: ${error.message}`),
      ]
    : [];
  return [line, ...failure, ...(parts.length > 0 ? [columns(parts)] : [])].join('\n');
}

function showMessage(
  { role, content, toolCalls = [], toolCallId, issues = [] }: Message,
  turn: Turn | undefined,
  maxLength: number,
): string {
  const about = [
    ...(toolCallId !== undefined ? [printable(toolCallId)] : []),
    ...(turn ? [turn.finishReason, ...tokenCounts(turn), duration(Math.max(0, turn.span.end - turn.span.start))] : []),
    ...(turn?.breaksPrefix ? ['what came before rendered anew'] : []),
  ].join(', ');
  return [
    `── ${printable(role)}${about === '' ? '' : `  (${about})`}`,
    ...(content === '' ? [] : [cut(printable(content), maxLength)]),
    ...toolCalls.map((call) => cut(showCall(call), maxLength)),
    ...issues.map(({ severity, message }) => `   ${severity}: ${printable(message)}`),
    ...(turn?.tokens ? [showTokens(turn.tokens)] : []),
  ].join('\n');
}

function showCall({ id, name, arguments: args }: ToolCall): string {
  return printable(`-> ${name || '(no name)'} ${args}${id === '' ? '' : `  [${id}]`}`);
}

function tokenCounts({ usage, tokens }: Turn): string[] {
  const prompt = tokens?.promptIds.length ?? usage?.promptTokens;
  const completion = tokens?.completionIds.length ?? usage?.completionTokens;
  return prompt === undefined ? [] : [`${prompt} + ${completion} tokens`];
}

/** Ids with their probabilities, where a run saved them. */
function showTokens({ completionIds, logprobs }: NonNullable<Turn['tokens']>): string {
  const shown = completionIds.slice(0, 100).map((id, i) => `${id}:${Math.exp(logprobs[i] ?? NaN).toFixed(2)}`);
  const more = completionIds.length > 100 ? ` ... ${completionIds.length - 100} more` : '';
  return `   ids and probabilities  ${shown.join(' ')}${more}`;
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}\n   ... ${text.length - length} more characters` : text;
}
