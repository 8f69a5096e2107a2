/**
 * @file How a conversation becomes the prompt of an ONNX model, and its reply a message: by one of our chat formats where
 * the model is one of ours, else by the Jinja template that the model brings.
 */
import type { CompletionRequest, Message } from '../../envs';
import { parseReply, promptOf, replyParser, templateMessages, templateTools } from '../chat';
import type { ChatFormat, ParseOptions, ReplyParser } from '../chat';
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

  promptIds(request: CompletionRequest): number[] {
    return promptOf(this.chat, request);
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
  readonly #take: ReplyParser;

  constructor(
    private readonly tokenizer: TemplateTokenizer,
    readonly stopTokens: readonly number[],
  ) {
    this.#take = replyParser(tokenizer.template);
  }

  promptIds({ messages, tools = [] }: CompletionRequest): number[] {
    for (const { role, content } of messages) {
      const special = this.tokenizer.specialTokens.find((token) => content.includes(token));
      if (special === undefined) continue;
      throw new TokenizerError(
        `a message of the ${role} contains ${special}: this model cannot tell it from the special token`,
      );
    }
    return this.tokenizer.render(templateMessages(messages), templateTools(tools));
  }

  parse(ids: readonly number[], options: ParseOptions): Message {
    return parseReply(this.tokenizer.decode(ids), this.#take, options);
  }
}
