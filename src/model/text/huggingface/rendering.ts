/**
 * @file One conversation as a template renders it: as text, from which it is found out where a reply begins and ends. The
 * text is the template's own business, so nothing is known of it but this: a reply ends with a stop token, and special
 * tokens' texts in messages are disguised (disguise.ts), so that each one that is seen was written by the template.
 */
import type { Message, ToolSchema } from '../../../envs';
import { templateMessages, templateTools } from '../../chat';
import { TemplateError } from '../../errors';
import type { Disguise } from './disguise';
import type { ChatTemplate } from './template';
import type { HfTokenizer } from './tokenizer';

/** A piece of a text. */
export interface Span {
  begin: number;
  end: number;
}

export interface TemplateChat {
  tokenizer: HfTokenizer;
  template: ChatTemplate;
  /** Texts of the tokens that end a reply. */
  stops: readonly string[];
  /** What the template is told besides: `enable_thinking`, ... */
  variables: Record<string, unknown>;
}

type TemplateMessage = ReturnType<typeof templateMessages>[number];

export class Rendering {
  readonly disguise: Disguise;
  readonly #messages: readonly TemplateMessage[];
  readonly #tools: readonly unknown[] | null;

  constructor(
    private readonly chat: TemplateChat,
    messages: readonly Message[],
    tools: readonly ToolSchema[],
  ) {
    const json = JSON.stringify([templateMessages(messages), templateTools(tools)]);
    this.disguise = chat.tokenizer.disguise(json + JSON.stringify(chat.template.texts));
    [this.#messages, this.#tools] = this.disguise.hideAll(JSON.parse(json) as [TemplateMessage[], unknown[] | null]);
  }

  /** The first `count` messages. @param ask for the next reply */
  text(count: number, ask: boolean): string {
    return this.#render(this.#messages.slice(0, count), ask);
  }

  encode(text: string): number[] {
    return this.chat.tokenizer.encodeRendered(text, { disguise: this.disguise });
  }

  /** The first stop token in a text, from a position on. */
  stopIn(text: string, from: number): Span | undefined {
    let first: Span | undefined;
    for (const stop of this.chat.stops) {
      const begin = text.indexOf(stop, from);
      if (begin >= 0 && (!first || begin < first.begin)) first = { begin, end: begin + stop.length };
    }
    return first;
  }

  /**
   * Whether a template's words for a reply are still those of the reply. Templates trim, and write calls in their own way;
   * that is no reason to doubt. Words that are gone are: thinking that was stripped, a call that was left out.
   */
  says(words: string, index: number): boolean {
    const { content, tool_calls: calls = [] } = this.#messages[index] as {
      content: string;
      tool_calls?: { function: { name: string } }[];
    };
    return (
      withoutSpaces(words).includes(withoutSpaces(content)) && calls.every((call) => words.includes(call.function.name))
    );
  }

  /**
   * Where the words of a reply begin in a rendering of the whole conversation: after what asked for them.
   * @param from where to look
   * @throws TemplateError where that cannot be told
   */
  replyBegin(text: string, index: number, from: number): number {
    const asked = this.text(index, true);
    if (text.startsWith(asked)) return asked.length;
    // The template writes what came before in another way by now, or asks with more than stands before a reply later on.
    const before = this.text(index, false);
    const ask = asked.startsWith(before) ? asked.slice(before.length) : '';
    const begin = text.startsWith(before) ? before.length : this.#askBefore(text, index, ask);
    if (begin < from) {
      const where = `reply ${index + 1} of the conversation`;
      throw new TemplateError(`${this.chat.template.source}: where ${where} begins cannot be told from its rendering`);
    }
    return begin + sharedLines(ask, text.slice(begin));
  }

  /** Where the words that ask for a reply begin; negative where they are not found. */
  #askBefore(text: string, index: number, ask: string): number {
    const { marker } = this.disguise;
    const other = this.#messages.map((message, i) => (i === index ? { ...message, content: marker } : message));
    const within = commonLength(text, this.#render(other, false));
    const line = ask.slice(0, ask.indexOf('\n') + 1 || undefined);
    return line === '' ? -1 : text.lastIndexOf(line, within);
  }

  #render(messages: readonly TemplateMessage[], ask: boolean): string {
    const { template, variables } = this.chat;
    return template.render({ ...variables, messages, tools: this.#tools, add_generation_prompt: ask });
  }
}

/** Without what JavaScript calls white space and what Python does. */
function withoutSpaces(text: string): string {
  return text.replaceAll(/[\s\x1c-\x1f\x85]+/g, '');
}

function commonLength(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/** Length of what two texts begin with, as far as lines and tags are whole. */
function sharedLines(a: string, b: string): number {
  const shared = a.slice(0, commonLength(a, b));
  return shared === a ? a.length : Math.max(shared.lastIndexOf('\n'), shared.lastIndexOf('>')) + 1;
}
