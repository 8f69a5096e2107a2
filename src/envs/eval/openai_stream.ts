/** @file A streamed reply, put together from its pieces into what would have come in one. */
import type { ChatResponse, ResponseChoice, ResponseToolCall } from './openai_wire';

interface StreamChunk extends Omit<ChatResponse, 'choices'> {
  choices?: StreamChoice[] | null;
}

interface StreamChoice extends Pick<ResponseChoice, 'finish_reason' | 'logprobs' | 'token_ids'> {
  index?: number;
  delta?: {
    content?: string | null;
    refusal?: string | null;
    tool_calls?: (ResponseToolCall & { index?: number | null })[] | null;
  } | null;
}

interface PartialCall {
  index: number;
  id: string;
  name: string;
  arguments: string;
}

/** Takes the data of each event and gives the whole reply at the end. */
export class StreamAssembler {
  /** The server said that nothing more comes. */
  finished = false;
  /** Characters of text and arguments so far. */
  length = 0;
  readonly #limit: number;
  #content = '';
  #refusal = '';
  #calls: PartialCall[] = [];
  #finishReason: string | undefined;
  #usage: ChatResponse['usage'];
  #promptIds: number[] | undefined;
  #tokenIds: number[] | undefined;
  #logprobs: { logprob: number }[] | undefined;

  /** @param limit characters that a reply may have */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws SyntaxError, TypeError for data that is no piece of a reply; RangeError for too long a reply */
  add(data: string): void {
    if (data === '[DONE]') {
      this.finished = true;
      return;
    }
    const chunk = JSON.parse(data) as StreamChunk;
    if (chunk.usage) this.#usage = chunk.usage;
    if (chunk.prompt_token_ids) this.#promptIds = chunk.prompt_token_ids;
    for (const choice of chunk.choices ?? []) if ((choice.index ?? 0) === 0) this.#addChoice(choice);
    if (this.length > this.#limit) throw new RangeError(`a reply of more than ${this.#limit} characters`);
  }

  #addChoice({ delta, finish_reason: reason, logprobs, token_ids: ids }: StreamChoice): void {
    if (reason) {
      this.#finishReason = reason;
      this.finished = true;
    }
    if (ids) (this.#tokenIds ??= []).push(...ids);
    if (logprobs?.content) (this.#logprobs ??= []).push(...logprobs.content);
    this.#content += delta?.content ?? '';
    this.#refusal += delta?.refusal ?? '';
    this.length += (delta?.content ?? '').length;
    for (const piece of delta?.tool_calls ?? []) this.#addCall(piece);
  }

  /** A piece belongs to the call of its index; without one, to the last call unless it names another id. */
  #addCall({ index, id, function: called }: ResponseToolCall & { index?: number | null }): void {
    const last = this.#calls.at(-1);
    let call =
      index == null ? (id && id !== last?.id ? undefined : last) : this.#calls.find((known) => known.index === index);
    if (!call) this.#calls.push((call = { index: index ?? this.#calls.length, id: '', name: '', arguments: '' }));
    const args = called?.arguments;
    const text = typeof args === 'string' ? args : args == null ? '' : JSON.stringify(args);
    call.id ||= id ?? '';
    // A name comes whole; some servers repeat it in every piece.
    call.name ||= called?.name ?? '';
    call.arguments += text;
    this.length += text.length;
  }

  response(): ChatResponse {
    const calls = [...this.#calls].sort((a, b) => a.index - b.index);
    return {
      choices: [
        {
          finish_reason: this.#finishReason ?? null,
          message: {
            content: this.#content === '' && this.#refusal !== '' ? this.#refusal : this.#content,
            tool_calls: calls.map(({ id, name, arguments: args }) => ({ id, function: { name, arguments: args } })),
          },
          ...(this.#tokenIds && { token_ids: this.#tokenIds }),
          ...(this.#logprobs && { logprobs: { content: this.#logprobs } }),
        },
      ],
      usage: this.#usage ?? null,
      ...(this.#promptIds && { prompt_token_ids: this.#promptIds }),
    };
  }
}
