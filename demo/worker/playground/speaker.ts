/** @file A model as an environment asks it, with everything told while it happens: tokens as they come, and what was heard between. */
import type { ChatModel, Completion, CompletionRequest, Message, PreviousTurn } from '../../../src/envs';
import { TokenPieces } from '../../../src/model';
import type { PlaygroundNews } from '../../playground_protocol';
import type { Seat } from './seats';

/** What was said in a conversation so far, and the tokens of its last reply, so that they are continued. */
export interface Conversation {
  messages: readonly Message[];
  previous: PreviousTurn | undefined;
}

/** A reply as it can be asked about later. */
export interface SpokenTurn {
  ids: number[];
  /** Index of the reply's first token. */
  first: number;
  temperature: number;
}

type Tell = (news: Extract<PlaygroundNews, { what: 'turn' | 'tokens' | 'heard' }>) => void;

export class Speaker implements ChatModel {
  readonly turns: SpokenTurn[] = [];
  /** Some reply was cut off at its limit. */
  cut = false;
  #conversation: Conversation;
  /** Of the reply that is being sampled. */
  #partial: number[] = [];

  /** @param id and `side` of what is told */
  constructor(
    private readonly seat: Seat,
    private readonly where: { id: number; side: number },
    before: Conversation,
    private readonly tell: Tell,
  ) {
    this.#conversation = before;
  }

  get name(): string {
    return this.seat.model.name;
  }

  /** As far as it came, a reply in the middle included. */
  get conversation(): Conversation {
    const { messages } = this.#conversation;
    if (this.#partial.length === 0) return this.#conversation;
    return { messages: [...messages, this.seat.text.chat.parse(this.#partial)], previous: undefined };
  }

  async complete(
    request: CompletionRequest,
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<Completion> {
    const { seat, where, tell } = this;
    const { messages } = request;
    const turn = this.turns.length;
    // What an environment answered since the last turn; the first turn's messages are what was asked.
    if (turn > 0) tell({ what: 'heard', ...where, messages: messages.slice(this.#conversation.messages.length) });
    tell({ what: 'turn', ...where, turn, model: seat.model.name, step: seat.step });
    const pieces = new TokenPieces(seat.text.tokenizer);
    const begun = performance.now();
    const previous = request.previous ?? this.#continued(messages);
    this.#conversation = { messages, previous: undefined };
    const reply = await seat.model.complete(
      { ...request, previous },
      {
        signal,
        onTokens: (ids, logprobs) => {
          this.#partial.push(...ids);
          const seconds = (performance.now() - begun) / 1000;
          const news = { pieces: ids.map((id) => pieces.next(id)), logprobs: [...logprobs], seconds };
          tell({ what: 'tokens', ...where, turn, ...news });
        },
      },
    );
    this.#partial = [];
    this.#remember(messages, reply, request.sampling.temperature ?? 1);
    return reply;
  }

  #remember(messages: readonly Message[], { message, tokens, finishReason }: Completion, temperature: number): void {
    const ended = finishReason !== 'length';
    if (!ended) this.cut = true;
    const said = [...messages, message];
    this.#conversation = { messages: said, previous: tokens && { tokens, messages: said.length, ended } };
    const { promptIds, completionIds } = tokens!;
    this.turns.push({ ids: [...promptIds, ...completionIds], first: promptIds.length, temperature });
  }

  /** The tokens of what was said before this conversation went on, where its messages still begin with that. */
  #continued(messages: readonly Message[]): PreviousTurn | undefined {
    const { messages: before, previous } = this.#conversation;
    if (!previous || before.length > messages.length) return undefined;
    const isSame = before.every((message, i) => JSON.stringify(message) === JSON.stringify(messages[i]));
    return isSame ? previous : undefined;
  }
}
