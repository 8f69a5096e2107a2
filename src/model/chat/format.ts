/**
 * @file A chat format says how a conversation becomes tokens and how a reply's tokens become a message again: one object per
 * model family. Rendering is incremental: what has been sampled is never rendered again, only what came after it.
 */
import type { Message, ParseIssue, ToolCall, ToolSchema } from '../../envs';

/** What a format needs of a tokenizer. */
export interface ChatTokenizer {
  /** Plain text to ids; text never spells a special token. */
  encode(text: string): number[];
  /** Ids to text, special tokens left out. */
  decode(ids: readonly number[]): string;
}

/** A part of a rendered conversation: plain text, or the id of a special token. */
export type Piece = string | number;

/** A reply as text, taken apart. */
export interface ParsedReply {
  content: string;
  /** In the order of the text; a malformed call has empty arguments and an issue of its own. */
  toolCalls: Omit<ToolCall, 'id'>[];
  /** `call` is an index into `toolCalls`. */
  issues: (Omit<ParseIssue, 'toolCallId'> & { call?: number })[];
}

export interface RenderOptions {
  tools?: readonly ToolSchema[] | undefined;
}

export interface ParseOptions extends RenderOptions {
  /** Calls that the conversation made before: ids go on from there. */
  previousCalls?: number;
}

export abstract class ChatFormat {
  constructor(readonly tokenizer: ChatTokenizer) {}

  /** Tokens that end a reply. */
  abstract readonly stopTokens: readonly number[];

  /** What stands before the first message: a begin-of-text token, the tools. */
  protected abstract begin(messages: readonly Message[], tools: readonly ToolSchema[]): readonly Piece[];

  /** What opens a message of a role; for the assistant, also what asks for a reply. */
  protected abstract open(message: Pick<Message, 'role'>): readonly Piece[];

  /** A message's own text; for an assistant, what the model would have written. */
  protected abstract body(message: Message): string;

  /** What closes a message. An assistant's closing begins with a stop token, which the model itself samples. */
  protected abstract close(message: Pick<Message, 'role'>): readonly Piece[];

  /** Takes a reply apart. */
  protected abstract take(text: string, tools: readonly ToolSchema[]): ParsedReply;

  /** A whole conversation, asking for a reply. */
  render(messages: readonly Message[], { tools = [] }: RenderOptions = {}): number[] {
    return this.#encode([...this.begin(messages, tools), ...this.#messages(messages), ...this.open(ASSISTANT)]);
  }

  /**
   * What follows a reply that the model sampled: the rest of its closing, the messages since, asking for the next reply.
   * @param ended false when the reply was cut off before a stop token
   */
  renderContinuation(messages: readonly Message[], ended: boolean): number[] {
    const closing = this.close(ASSISTANT);
    return this.#encode([
      ...(ended ? closing.slice(1) : closing),
      ...this.#messages(messages),
      ...this.open(ASSISTANT),
    ]);
  }

  /** The message that sampled tokens spell, with its tool calls where tools are offered. */
  parse(ids: readonly number[], { tools = [], previousCalls = 0 }: ParseOptions = {}): Message {
    const text = this.tokenizer.decode(ids);
    const reply = tools.length > 0 ? this.take(text, tools) : { content: text, toolCalls: [], issues: [] };
    return messageOf(reply, previousCalls);
  }

  /** A conversation for supervised training: ids, and 1 where an assistant's token (or its stop token) is learned. */
  renderForTraining(
    messages: readonly Message[],
    { tools = [] }: RenderOptions = {},
  ): { ids: number[]; mask: number[] } {
    const ids: number[] = [];
    const mask: number[] = [];
    const add = (pieces: readonly Piece[], learned: 0 | 1) => {
      const added = this.#encode(pieces);
      ids.push(...added);
      mask.push(...added.map(() => learned));
    };
    let context: Piece[] = [...this.begin(messages, tools)];
    for (const message of messages) {
      if (message.role !== 'assistant') {
        context.push(...this.#messages([message]));
        continue;
      }
      add([...context, ...this.open(message)], 0);
      const [stop, ...rest] = this.close(message);
      add([this.body(message), stop!], 1);
      context = rest;
    }
    add(context, 0);
    return { ids, mask };
  }

  #messages(messages: readonly Message[]): Piece[] {
    return messages.flatMap((message) => [...this.open(message), this.body(message), ...this.close(message)]);
  }

  /** Text between two special tokens is encoded in one piece, as a template's output would be. */
  #encode(pieces: readonly Piece[]): number[] {
    const ids: number[] = [];
    let text = '';
    for (const piece of pieces) {
      if (typeof piece === 'string') text += piece;
      else {
        ids.push(...this.tokenizer.encode(text), piece);
        text = '';
      }
    }
    return [...ids, ...this.tokenizer.encode(text)];
  }
}

/**
 * A reply as an assistant's message.
 * @param previousCalls that the conversation made before: ids go on from there
 */
export function messageOf({ content, toolCalls, issues }: ParsedReply, previousCalls: number): Message {
  const idOf = (call: number) => `call_${previousCalls + call}`;
  return {
    role: 'assistant',
    content,
    ...(toolCalls.length > 0 && { toolCalls: toolCalls.map((call, i) => ({ id: idOf(i), ...call })) }),
    ...(issues.length > 0 && {
      issues: issues.map(({ call, ...issue }) => ({
        ...issue,
        ...(call !== undefined && { toolCallId: idOf(call) }),
      })),
    }),
  };
}

const ASSISTANT = { role: 'assistant' } as const;

/** A piece of a model's text in a message about it. */
export function excerpt(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
