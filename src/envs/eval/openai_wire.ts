/** @file OpenAI's chat completions as they go over the wire: requests from our messages, and messages from replies. */
import type { CompletionRequest, FinishReason, Message, SamplingArgs, ToolSchema, TurnTokens, Usage } from '../types';
import { formatSampling } from './results';

export interface WireToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

export interface WireMessage {
  role: string;
  content: string | null;
  tool_calls?: WireToolCall[];
  tool_call_id?: string;
}

export interface WireTool {
  type: 'function';
  function: ToolSchema & { strict: true };
}

/** A reply, as far as it is read here; nothing in it is certain. */
export interface ChatResponse {
  choices?: ResponseChoice[] | null;
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  /** From vLLM, when asked for token ids. */
  prompt_token_ids?: number[] | null;
}

export interface ResponseChoice {
  finish_reason?: string | null;
  message?: {
    content?: string | null;
    refusal?: string | null;
    tool_calls?: ResponseToolCall[] | null;
  } | null;
  /** Of a plain-text completion. */
  text?: string;
  token_ids?: number[] | null;
  /** Of a plain-text completion. */
  prompt_token_ids?: number[] | null;
  logprobs?: { content?: { logprob: number }[] | null; token_logprobs?: number[] | null } | null;
}

export interface ResponseToolCall {
  id?: string | null;
  function?: { name?: string | null; arguments?: unknown } | null;
}

/** A message as endpoints, and data sets for fine-tuning, have it. */
export function wireMessage({ role, content, toolCalls = [], toolCallId }: Message): WireMessage {
  return {
    role,
    content: content === '' && toolCalls.length > 0 ? null : content,
    ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(wireToolCall) }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
  };
}

function wireToolCall({ id, name, arguments: args }: NonNullable<Message['toolCalls']>[number]): WireToolCall {
  return { id, type: 'function', function: { name, arguments: args } };
}

/** A tool as endpoints have it. */
export function wireTool({ name, description, parameters }: ToolSchema): WireTool {
  return { type: 'function', function: { name, description, parameters, strict: true } };
}

/** The body of a request, without the model's name. */
export function wireRequest({ messages, tools = [], sampling }: CompletionRequest): Record<string, unknown> {
  return {
    messages: messages.map(wireMessage),
    ...wireSampling(sampling),
    ...(tools.length > 0 && { tools: tools.map(wireTool) }),
  };
}

/** Filters that are off are not mentioned: not every server knows them. */
function wireSampling({ topK, minP, ...others }: SamplingArgs): Record<string, number> {
  return formatSampling({ ...others, ...(topK && { topK }), ...(minP && { minP }) });
}

/**
 * The one choice of a reply.
 * @throws TypeError where there is none, or several
 */
function choiceOf({ choices }: ChatResponse): ResponseChoice {
  if (!Array.isArray(choices) || choices.length === 0) throw new TypeError('the reply has no choices');
  if (choices.length > 1) throw new TypeError('Response should always have one choice');
  return choices[0]!;
}

/**
 * The assistant's message of a reply.
 * @param idPrefix for calls that come without an id
 * @throws TypeError for a reply without one
 */
export function messageOfResponse(response: ChatResponse, idPrefix = 'call'): Message {
  const { message, text } = choiceOf(response);
  if (!message && text === undefined) throw new TypeError('the choice of the reply has no message');
  const toolCalls = (message?.tool_calls ?? []).map(({ id, function: called }, i) => ({
    id: typeof id === 'string' && id !== '' ? id : `${idPrefix}_${i}`,
    name: called?.name ?? '',
    arguments: typeof called?.arguments === 'string' ? called.arguments : JSON.stringify(called?.arguments ?? {}),
  }));
  const content = message?.content ?? text ?? message?.refusal ?? '';
  if (typeof content !== 'string') throw new TypeError('the content of the reply is not text');
  return { role: 'assistant', content, ...(toolCalls.length > 0 && { toolCalls }) };
}

/** Why a reply ended. A content filter counts as a stop. */
export function finishReasonOf(response: ChatResponse): FinishReason {
  const { finish_reason: reason, message } = choiceOf(response);
  if (reason === 'length') return 'length';
  return reason === 'tool_calls' || (message?.tool_calls?.length ?? 0) > 0 ? 'tool_calls' : 'stop';
}

/** Tokens as the endpoint counted them; zeros where it did not. */
export function usageOfResponse({ usage }: ChatResponse): Usage {
  const count = (value: unknown) => (typeof value === 'number' && value > 0 ? value : 0);
  return { promptTokens: count(usage?.prompt_tokens), completionTokens: count(usage?.completion_tokens) };
}

/**
 * The exact tokens of a reply, from servers that say them (vLLM with `return_token_ids` and `logprobs`).
 * @returns null where ids or log-probabilities are missing
 * @throws TypeError for a reply with no choice or several
 */
export function tokensOfResponse(response: ChatResponse): TurnTokens | null {
  const choice = choiceOf(response);
  const promptIds = response.prompt_token_ids ?? choice.prompt_token_ids;
  const { token_ids: completionIds, logprobs } = choice;
  const values = logprobs?.content?.map(({ logprob }) => logprob) ?? logprobs?.token_logprobs;
  return promptIds && completionIds && values ? { promptIds, completionIds, logprobs: values } : null;
}
