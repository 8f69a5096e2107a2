/**
 * @file Chat formats that are made of pieces: each message opens, says its text, and closes, whatever comes before or after.
 */
import type { Message, ToolSchema } from '../../envs';
import { parseReply } from './format';
import type {
  ChatFormat,
  ChatTokenizer,
  ContinuationOptions,
  ParseOptions,
  ParsedReply,
  RenderOptions,
  TrainingTokens,
} from './format';

/** A part of a rendered conversation: plain text, or the id of a special token. */
export type Piece = string | number;

const ASSISTANT = { role: 'assistant' } as const;

export abstract class PiecewiseChat implements ChatFormat {
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

  render(messages: readonly Message[], { tools = [] }: RenderOptions = {}): number[] {
    return this.#encode([...this.begin(messages, tools), ...this.#messages(messages), ...this.open(ASSISTANT)]);
  }

  /** Never undefined: earlier messages do not change. */
  renderContinuation(
    messages: readonly Message[],
    { covered, ended }: Pick<ContinuationOptions, 'covered' | 'ended'>,
  ): number[] {
    const closing = this.close(ASSISTANT);
    return this.#encode([
      ...(ended ? closing.slice(1) : closing),
      ...this.#messages(messages.slice(covered)),
      ...this.open(ASSISTANT),
    ]);
  }

  parse(ids: readonly number[], options?: ParseOptions): Message {
    return parseReply(this.tokenizer.decode(ids), (text, tools) => this.take(text, tools), options);
  }

  renderForTraining(messages: readonly Message[], { tools = [] }: RenderOptions = {}): TrainingTokens {
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
