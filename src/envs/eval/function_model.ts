/** @file A model that is a function: scripted players for tests, baselines, any other source of replies. */
import type { ChatModel, CompletionRequest, Message, ToolCall } from '../types';

/** What the function may answer: text, or text and calls. */
export type FunctionReply = string | { content?: string; toolCalls?: Omit<ToolCall, 'id'>[] };

/**
 * Makes a model of a function. It counts no tokens.
 *
 *     const parrot = functionModel('parrot', ({ messages }) => messages.at(-1)!.content);
 */
export function functionModel(
  name: string,
  reply: (request: CompletionRequest) => FunctionReply | Promise<FunctionReply>,
): ChatModel {
  return {
    name,
    complete: async (request, options) => {
      options?.signal?.throwIfAborted();
      const answer = await reply(request);
      const { content = '', toolCalls = [] } = typeof answer === 'string' ? { content: answer } : answer;
      const calls = toolCalls.map((call, i) => ({ id: `call_${request.messages.length}_${i}`, ...call }));
      const message: Message = { role: 'assistant', content, ...(calls.length > 0 && { toolCalls: calls }) };
      const finishReason = calls.length > 0 ? 'tool_calls' : 'stop';
      return { message, finishReason, usage: { promptTokens: 0, completionTokens: 0 } };
    },
  };
}
