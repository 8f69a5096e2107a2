/**
 * @file How a conversation becomes the prompt of an ONNX model, and its reply a message: by one of our chat formats where
 * the model is one of ours, else by the Jinja template that the model brings.
 */
import type { CompletionRequest, Message, ToolSchema } from '../../envs';
import { parseHermesCalls, parseLlama3Calls } from '../chat';
import { messageOf } from '../chat/format';
import type { ChatFormat, ParseOptions, ParsedReply } from '../chat/format';
import { TokenizerError } from '../tokenizer';

/** Makes prompts and reads replies. */
export interface Prompter {
  /** Tokens that end a reply. */
  readonly stopTokens: readonly number[];
  /** @throws TokenizerError for text that cannot be told from a special token */
  promptIds(request: CompletionRequest): number[];
  parse(ids: readonly number[], options: ParseOptions): Message;
}

/** By a chat format of ours. What was sampled before is continued, never rendered again. */
export class FormatPrompter implements Prompter {
  readonly stopTokens: readonly number[];

  constructor(private readonly chat: ChatFormat) {
    this.stopTokens = chat.stopTokens;
  }

  promptIds({ messages, tools, previous }: CompletionRequest): number[] {
    return previous
      ? [
          ...previous.tokens.promptIds,
          ...previous.tokens.completionIds,
          ...this.chat.renderContinuation(messages.slice(previous.messages), previous.ended),
        ]
      : this.chat.render(messages, { tools });
  }

  parse(ids: readonly number[], options: ParseOptions): Message {
    return this.chat.parse(ids, options);
  }
}

/** What is used of a tokenizer of transformers.js. */
export interface TemplateTokenizer {
  /** Ids of the conversation as the template renders it, asking for a reply. */
  render(messages: readonly unknown[], tools: readonly unknown[] | null): number[];
  /** Ids to text, special tokens left out. */
  decode(ids: readonly number[]): string;
  readonly template: string;
  /** Texts that the tokenizer makes special tokens of. */
  readonly specialTokens: readonly string[];
}

/** By the model's own template: the whole conversation is rendered at every turn, as that template wants it. */
export class TemplatePrompter implements Prompter {
  readonly #take: (text: string) => ParsedReply;

  constructor(
    private readonly tokenizer: TemplateTokenizer,
    readonly stopTokens: readonly number[],
  ) {
    this.#take = parserFor(tokenizer.template);
  }

  promptIds({ messages, tools = [] }: CompletionRequest): number[] {
    for (const { role, content } of messages) {
      const special = this.tokenizer.specialTokens.find((token) => content.includes(token));
      if (special === undefined) continue;
      throw new TokenizerError(
        `a message of the ${role} contains ${special}: this model cannot tell it from the special token`,
      );
    }
    return this.tokenizer.render(messages.map(templateMessage), tools.length > 0 ? tools.map(templateTool) : null);
  }

  parse(ids: readonly number[], { tools = [], previousCalls = 0 }: ParseOptions): Message {
    const text = this.tokenizer.decode(ids);
    const reply = tools.length > 0 ? this.#take(text) : { content: text, toolCalls: [], issues: [] };
    return messageOf(reply, previousCalls);
  }
}

/** How a model calls tools can be read from its template, which renders such calls. */
function parserFor(template: string): (text: string) => ParsedReply {
  if (template.includes('<tool_call>')) return parseHermesCalls;
  if (template.includes('ipython')) return parseLlama3Calls;
  return (content) => ({ content, toolCalls: [], issues: [] });
}

/** A message as templates expect it: arguments are an object, not text. */
function templateMessage({ role, content, toolCalls = [], toolCallId }: Message): Record<string, unknown> {
  return {
    role,
    content,
    ...(toolCalls.length > 0 && {
      tool_calls: toolCalls.map(({ id, name, arguments: args }) => ({
        id,
        type: 'function',
        function: { name, arguments: JSON.parse(args) as unknown },
      })),
    }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
  };
}

function templateTool(tool: ToolSchema): Record<string, unknown> {
  return { type: 'function', function: tool };
}
