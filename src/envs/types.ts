/** @file What environments and models say to each other: messages, requests, completions. All of it is plain data. */
import type { RandomKey } from '../random';

export type Role = 'system' | 'user' | 'assistant' | 'tool';

export interface ToolCall {
  id: string;
  /** '' where the model's text names none. */
  name: string;
  /** JSON text of the arguments object, as the model wrote it. */
  arguments: string;
}

/**
 * What was wrong with a model's text where it meant to call a tool. `repaired`: the call could be read all the same (an
 * unclosed tag at the end, say); `malformed`: it could not, and there is no call to run.
 */
export interface ParseIssue {
  severity: 'repaired' | 'malformed';
  message: string;
  /** The piece of text it is about, shortened. */
  text: string;
  /** The call it belongs to, by id; a malformed one has a call too, so that the environment can answer it. */
  toolCallId?: string;
}

export interface Message {
  role: Role;
  content: string;
  /** Calls that an assistant message makes. */
  toolCalls?: ToolCall[];
  /** What the chat format could not read as it stands. */
  issues?: ParseIssue[];
  /** For a tool message: the call it answers. */
  toolCallId?: string;
}

/** A tool as a model sees it. */
export interface ToolSchema {
  name: string;
  description: string;
  /** JSON Schema of the arguments object. */
  parameters: Record<string, unknown>;
}

/** How to sample. What is left out takes the model's default: temperature 1, no filters. */
export interface SamplingArgs {
  /** 0 = greedy. */
  temperature?: number;
  /** 0 = off. */
  topK?: number;
  /** 1 = off. */
  topP?: number;
  /** 0 = off. */
  minP?: number;
  maxTokens?: number;
}

/** Exactly what a model read and wrote in one turn. */
export interface TurnTokens {
  promptIds: number[];
  /** With the stop token, where there was one. */
  completionIds: number[];
  /** Per completion token, under softmax(logits / temperature) before any filter. */
  logprobs: number[];
  /** The model's own handle to what it has cached of this sequence. */
  cacheId?: number;
}

/** The previous turn of the same rollout, so that its tokens are continued and never rendered again. */
export interface PreviousTurn {
  tokens: TurnTokens;
  /** How many of the request's messages those tokens cover, the assistant's reply included. */
  messages: number;
  /** False when the reply was cut off by its token limit. */
  ended: boolean;
}

export interface CompletionRequest {
  messages: readonly Message[];
  tools?: readonly ToolSchema[];
  sampling: SamplingArgs;
  /** Random numbers are a function of this key and the token's position. */
  key: RandomKey;
  previous?: PreviousTurn | undefined;
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
}

/** Why a reply ended: a stop token or a tool call, or its token limit. */
export type FinishReason = 'stop' | 'length' | 'tool_calls';

export interface Completion {
  message: Message;
  /** `length`: cut off at maxTokens. */
  finishReason: FinishReason;
  usage: Usage;
  /** From models that know them (ours). */
  tokens?: TurnTokens;
}

/** Anything that completes a conversation: our own model, ONNX Runtime, an HTTP endpoint. */
export interface ChatModel {
  readonly name: string;
  /**
   * @throws an error named ContextLengthError when the conversation does not fit, AbortError when cancelled; any other
   * error is the infrastructure's and never a reward of 0
   */
  complete(request: CompletionRequest, options?: { signal?: AbortSignal | undefined }): Promise<Completion>;
}
