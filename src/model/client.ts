/** @file Our own model behind the interface that environments talk to. Calls in flight are batched on the GPU. */
import type { ChatModel, Completion, CompletionRequest } from '../envs';
import { promptOf } from './chat';
import type { ChatFormat } from './chat';
import type { GenerationRequest, Generator } from './generator';

export interface CompletionOptions extends Pick<GenerationRequest, 'onTokens'> {
  signal?: AbortSignal | undefined;
}

export class NativeModel implements ChatModel {
  constructor(
    readonly name: string,
    readonly chat: ChatFormat,
    readonly generator: Generator,
  ) {}

  /**
   * Renders the conversation (or only what is new in it, where its format allows that), samples a reply, and returns it
   * with its exact tokens.
   * Without `maxTokens` a reply may fill the context.
   * @throws ContextLengthError, TokenizerError, TemplateError, DeviceLostError
   */
  async complete(request: CompletionRequest, { signal, onTokens }: CompletionOptions = {}): Promise<Completion> {
    const { chat, generator } = this;
    const { messages, tools, sampling, key, previous } = request;
    const promptIds = promptOf(chat, request);
    const { temperature = 1, topK = 0, topP = 1, minP = 0 } = sampling;
    const room = generator.weights.config.maxPositions - promptIds.length;
    const maxTokens = sampling.maxTokens ?? Math.max(1, room); // no room at all: the generator says so
    const { ids, logprobs, finishReason, cacheId } = await generator.generate({
      promptIds,
      sampling: { temperature, topK, topP, minP, maxTokens, stopTokens: chat.stopTokens },
      key,
      continues: previous?.tokens.cacheId,
      onTokens,
      signal,
    });
    const previousCalls = messages.reduce((sum, { toolCalls = [] }) => sum + toolCalls.length, 0);
    const message = chat.parse(ids, { tools, previousCalls });
    return {
      message,
      finishReason: finishReason === 'stop' && message.toolCalls ? 'tool_calls' : finishReason,
      usage: { promptTokens: promptIds.length, completionTokens: ids.length },
      tokens: { promptIds, completionIds: ids, logprobs, cacheId },
    };
  }
}
