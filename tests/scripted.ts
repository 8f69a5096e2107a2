/** @file A model that says what it is told to: environments are tested without a GPU. */
import type { ChatModel, Completion, CompletionRequest, Message } from '../src/envs';

export type Reply = string | Error | Partial<Completion>;

/** Answers request n of a conversation with `reply(request, n)`. */
export class ScriptedModel implements ChatModel {
  readonly name = 'scripted';
  readonly requests: CompletionRequest[] = [];

  constructor(private readonly reply: (request: CompletionRequest) => Reply | Promise<Reply>) {}

  async complete(request: CompletionRequest, options?: { signal?: AbortSignal | undefined }): Promise<Completion> {
    options?.signal?.throwIfAborted();
    this.requests.push(request);
    const reply = await this.reply(request);
    if (reply instanceof Error) throw reply;
    const message: Message = { role: 'assistant', content: typeof reply === 'string' ? reply : '' };
    return {
      message,
      finishReason: 'stop',
      usage: { promptTokens: 0, completionTokens: 0 },
      ...(typeof reply === 'string' ? {} : reply),
    };
  }
}

/** The text of the last message of a request. */
export function lastContent({ messages }: CompletionRequest): string {
  return messages.at(-1)?.content ?? '';
}
