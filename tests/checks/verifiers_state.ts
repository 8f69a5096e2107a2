/** @file Upstream's transcripts as our own states and messages, for golden cases that score them. */
import type { Message, State, Turn } from '../../src/envs';
import { Random } from '../../src/random';

/** A message as OpenAI's API and upstream's fixtures write it. */
export interface UpstreamMessage {
  role: Message['role'];
  content?: string | null;
  tool_calls?: { id?: string; function?: { name?: string; arguments?: string } }[];
  tool_call_id?: string;
}

export interface UpstreamState {
  prompt?: UpstreamMessage[] | string;
  completion?: UpstreamMessage[] | string;
  answer?: string;
  info?: Record<string, unknown>;
  task?: string;
  trajectory?: { reward: number | null; advantage: number | null }[];
}

export function messageOf({ role, content, tool_calls: calls, tool_call_id: callId }: UpstreamMessage): Message {
  return {
    role,
    content: content ?? '',
    ...(calls && {
      toolCalls: calls.map(({ id = '', function: { name = '', arguments: args = '' } = {} }) => ({
        id,
        name,
        arguments: args,
      })),
    }),
    ...(callId !== undefined && { toolCallId: callId }),
  };
}

/** The same message as upstream's v0.1.8 and v0.1.9 write it. */
export function upstreamMessage({ role, content, toolCalls, toolCallId }: Message): UpstreamMessage {
  return {
    role,
    content,
    ...(toolCalls && {
      tool_calls: toolCalls.map(({ id, name, arguments: args }) => ({
        id,
        function: { arguments: args, name },
        type: 'function',
      })),
    }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
  };
}

function messagesOf(value: UpstreamMessage[] | string | undefined, role: Message['role']): Message[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [{ role, content: value }] : value.map(messageOf);
}

/** A finished rollout, as it is before it is scored. */
export function stateOf(state: UpstreamState): State {
  const span = { start: 0, end: 0 };
  const { answer = '', info = {}, task = 'default', trajectory = [] } = state;
  const turns: Turn[] = trajectory.map(({ reward, advantage }) => ({
    promptMessages: 1,
    finishReason: 'stop',
    span,
    ...(reward !== null && { reward }),
    ...(advantage !== null && { advantage }),
  }));
  return {
    environment: 'golden',
    task,
    taskKey: '',
    exampleId: 0,
    draw: 0,
    rollout: 0,
    prompt: messagesOf(state.prompt, 'user'),
    completion: messagesOf(state.completion, 'assistant'),
    answer,
    info,
    tools: [],
    turns,
    reward: null,
    metrics: {},
    advantage: null,
    stopCondition: null,
    isTruncated: false,
    error: null,
    timing: { setup: span, generation: span, scoring: span, environment: [] },
    example: { exampleId: 0 },
    scratch: {},
    random: new Random([0, 0]),
    signal: new AbortController().signal,
    finalEnvResponse: null,
    promptTooLong: false,
  };
}
