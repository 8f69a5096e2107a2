/**
 * @file A chat format says how a conversation becomes tokens and how a reply's tokens become a message again: one object per
 * model family, or made of the template that a model brings. Rendering is incremental: what has been sampled is never
 * rendered again, only what came after it.
 */
import type { CompletionRequest, Message, ParseIssue, ToolCall, ToolSchema } from '../../envs';

/** What a format needs of a tokenizer. */
export interface ChatTokenizer {
  /** Plain text to ids; text never spells a special token. */
  encode(text: string): number[];
  /** Ids to text, special tokens left out. */
  decode(ids: readonly number[]): string;
}

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

export interface ContinuationOptions extends RenderOptions {
  /** How many of the messages the tokens so far spell; the last of them is the reply that was sampled last. */
  covered: number;
  /** False when that reply was cut off before a stop token. */
  ended: boolean;
}

/** A conversation for supervised training: ids, and 1 where an assistant's token (or its stop token) is learned. */
export interface TrainingTokens {
  ids: number[];
  mask: number[];
}

export interface ChatFormat {
  readonly tokenizer: ChatTokenizer;
  /** Tokens that end a reply. */
  readonly stopTokens: readonly number[];
  /** A whole conversation, asking for a reply. */
  render(messages: readonly Message[], options?: RenderOptions): number[];
  /**
   * What follows a reply that the model sampled: the rest of its closing, the messages since, asking for the next reply.
   * @param messages the whole conversation
   * @returns undefined where the format now renders earlier messages in another way (without their thinking, say): the
   * tokens so far cannot be continued, the conversation has to be rendered anew
   */
  renderContinuation(messages: readonly Message[], options: ContinuationOptions): number[] | undefined;
  /** The message that sampled tokens spell, with its tool calls where tools are offered. */
  parse(ids: readonly number[], options?: ParseOptions): Message;
  renderForTraining(messages: readonly Message[], options?: RenderOptions): TrainingTokens;
}

/**
 * The prompt of a turn: what the turns before read and wrote, continued; or, where that cannot be or there was none, the
 * whole conversation.
 */
export function promptOf(
  chat: ChatFormat,
  { messages, tools, previous }: Pick<CompletionRequest, 'messages' | 'tools' | 'previous'>,
): number[] {
  if (!previous) return chat.render(messages, { tools });
  const { tokens, messages: covered, ended } = previous;
  const since = chat.renderContinuation(messages, { covered, ended, tools });
  return since ? [...tokens.promptIds, ...tokens.completionIds, ...since] : chat.render(messages, { tools });
}

/** Reads a reply's text: with its calls where tools are offered, else as it is. */
export function parseReply(
  text: string,
  take: (text: string, tools: readonly ToolSchema[]) => ParsedReply,
  { tools = [], previousCalls = 0 }: ParseOptions = {},
): Message {
  return messageOf(tools.length > 0 ? take(text, tools) : { content: text, toolCalls: [], issues: [] }, previousCalls);
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

/** A piece of a model's text in a message about it. */
export function excerpt(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
