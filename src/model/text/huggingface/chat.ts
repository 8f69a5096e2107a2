/** @file The chat format of a model that brings its own template. */
import type { Message } from '../../../envs';
import { parseReply, replyParser } from '../../chat';
import type {
  ChatFormat,
  ContinuationOptions,
  ParseOptions,
  RenderOptions,
  ReplyParser,
  TrainingTokens,
} from '../../chat';
import { TemplateError } from '../../errors';
import { Rendering } from './rendering';
import type { TemplateChat } from './rendering';
import type { ChatTemplate } from './template';
import type { HfTokenizer } from './tokenizer';

export interface HfChatOptions {
  tokenizer: HfTokenizer;
  template: ChatTemplate;
  stopTokens: readonly number[];
  /** What the template is told besides messages and tools: `enable_thinking`, ... */
  variables?: Record<string, unknown>;
}

export class HfChat implements ChatFormat {
  readonly tokenizer: HfTokenizer;
  readonly stopTokens: readonly number[];
  readonly template: ChatTemplate;
  readonly #chat: TemplateChat;
  readonly #take: ReplyParser;

  constructor({ tokenizer, template, stopTokens, variables = {} }: HfChatOptions) {
    this.tokenizer = tokenizer;
    this.template = template;
    this.stopTokens = stopTokens;
    this.#chat = { tokenizer, template, stops: stopTokens.map((id) => tokenizer.tokens[id]!), variables };
    this.#take = replyParser(Object.values(template.texts).join('\n'), tokenizer.tokens);
  }

  /** @throws TemplateError, TokenizerError */
  render(messages: readonly Message[], { tools = [] }: RenderOptions = {}): number[] {
    const rendering = new Rendering(this.#chat, messages, tools);
    return rendering.encode(rendering.text(messages.length, true));
  }

  /**
   * The template renders the conversation up to the reply, asking for it, and the whole: where the second does not go on
   * from the first, or does not say the reply any more, earlier tokens cannot be continued. What follows the reply's stop
   * token in the second is the continuation.
   * @throws TemplateError, TokenizerError
   */
  renderContinuation(
    messages: readonly Message[],
    { covered, ended, tools = [] }: ContinuationOptions,
  ): number[] | undefined {
    const rendering = new Rendering(this.#chat, messages, tools);
    const asked = rendering.text(covered - 1, true);
    const whole = rendering.text(messages.length, true);
    if (!whole.startsWith(asked)) return undefined;
    const stop = rendering.stopIn(whole, asked.length);
    if (!stop || !rendering.says(whole.slice(asked.length, stop.begin), covered - 1)) return undefined;
    // Encoded with the stop token, whatever ended the reply: what follows one may be cut in another way than a beginning.
    const ids = rendering.encode(whole.slice(stop.begin));
    return ended ? ids.slice(1) : ids;
  }

  parse(ids: readonly number[], options?: ParseOptions): Message {
    return parseReply(this.tokenizer.decode(ids), this.#take, options);
  }

  /**
   * The conversation as the template renders it when it is over; of a reply that it shortens (without its thinking, say),
   * what it leaves is learned. Text is cut into tokens where a reply begins, as it is when the model is asked for one.
   * @throws TemplateError where a reply has no stop token, or cannot be found; TokenizerError
   */
  renderForTraining(messages: readonly Message[], { tools = [] }: RenderOptions = {}): TrainingTokens {
    const rendering = new Rendering(this.#chat, messages, tools);
    const text = rendering.text(messages.length, false);
    const ids: number[] = [];
    const mask: number[] = [];
    const add = (added: readonly number[], learned: 0 | 1) => {
      ids.push(...added);
      mask.push(...added.map(() => learned));
    };
    let at = 0;
    let stop = { begin: 0, end: 0 };
    const context = (end: number) => {
      const encoded = rendering.encode(text.slice(stop.begin, end));
      add(stop.end > 0 ? encoded.slice(1) : encoded, 0);
    };
    for (const [index, { role }] of messages.entries()) {
      if (role !== 'assistant') continue;
      const begin = rendering.replyBegin(text, index, at);
      context(begin);
      const end = rendering.stopIn(text, begin);
      if (!end) {
        throw new TemplateError(
          `${this.#chat.template.source}: the chat template puts no stop token (${this.#chat.stops.join(', ')}) after a reply`,
        );
      }
      add(rendering.encode(text.slice(begin, end.end)), 1);
      stop = end;
      at = end.end;
    }
    context(text.length);
    return { ids, mask };
  }
}
