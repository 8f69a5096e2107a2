/** @file The page's picture of conversations: who is asked, what was said, token by token. */
import type { Message } from '../../../src/envs';
import type { TokenPiece } from '../../../src/model';
import type {
  ModelRef,
  Outcome,
  Place,
  PlaygroundNews,
  PlaygroundSampling,
  ShownAlternatives,
} from '../../playground_protocol';
import type { Trainer } from '../../trainer.svelte';

export interface ShownToken extends TokenPiece {
  logprob: number;
}

/** A turn of the model. */
export interface ReplyPart {
  turn: number;
  tokens: readonly ShownToken[];
  seconds: number;
  /** What could have stood in the tokens' places: not asked for, asked for, refused, or known. */
  alternatives: null | 'asked' | { problem: string } | readonly ShownAlternatives[];
}

/** What could have stood in the place of a token, where it is known. */
export function alternativesAt({ alternatives }: ReplyPart, at: number): ShownAlternatives | undefined {
  const isKnown = alternatives !== null && alternatives !== 'asked' && !('problem' in alternatives);
  return isKnown ? alternatives[at] : undefined;
}

/** Why that cannot be known; '' where it can. */
export function problemOf({ alternatives }: ReplyPart): string {
  const isRefused = alternatives !== null && alternatives !== 'asked' && 'problem' in alternatives;
  return isRefused ? alternatives.problem : '';
}

export type Part = ReplyPart | { heard: Message };

/** What one model says to one message. */
export class ShownSide {
  status = $state<'waiting' | 'loading' | 'saying' | 'done' | 'stopped' | 'failed'>('waiting');
  loading = $state.raw<{ done: number; total: number } | null>(null);
  parts = $state.raw<readonly Part[]>([]);
  outcome = $state.raw<Outcome | null>(null);
  cut = $state(false);
  problem = $state('');
  step = $state<number | null>(null);

  constructor(
    readonly side: number,
    readonly label: string,
  ) {}

  get replies(): readonly ReplyPart[] {
    return this.parts.filter((part): part is ReplyPart => 'turn' in part);
  }

  get tokenCount(): number {
    return this.replies.reduce((sum, { tokens }) => sum + tokens.length, 0);
  }

  /** Null before there is one. */
  get tokensPerSecond(): number | null {
    const seconds = this.replies.reduce((sum, reply) => sum + reply.seconds, 0);
    return seconds > 0 ? this.tokenCount / seconds : null;
  }

  /** What was said, without the tokens that have a meaning of their own. */
  get text(): string {
    return this.replies
      .map(({ tokens }) => tokens.map(({ text, special }) => (special ? '' : text)).join(''))
      .join('\n');
  }

  get underWay(): boolean {
    return this.status === 'waiting' || this.status === 'loading' || this.status === 'saying';
  }

  hear(news: Extract<PlaygroundNews, { side: number }>): void {
    switch (news.what) {
      case 'loading':
        if (this.status === 'waiting') this.status = 'loading';
        this.loading = { done: news.done, total: news.total };
        break;
      case 'turn':
        this.status = 'saying';
        this.step = news.step;
        // Again from the start: on another device.
        if (news.turn === 0) this.parts = [];
        this.parts = [...this.parts, { turn: news.turn, tokens: [], seconds: 0, alternatives: null }];
        break;
      case 'tokens': {
        const tokens = news.pieces.map((piece, i) => ({ ...piece, logprob: news.logprobs[i]! }));
        this.#change(news.turn, (reply) => ({
          ...reply,
          tokens: [...reply.tokens, ...tokens],
          seconds: news.seconds,
        }));
        break;
      }
      case 'heard':
        this.parts = [...this.parts, ...news.messages.map((message) => ({ heard: message }))];
        break;
      case 'done':
        this.status = news.outcome?.error ? 'failed' : 'done';
        this.outcome = news.outcome;
        this.problem = news.outcome?.error ?? '';
        this.cut = news.cut;
        break;
      case 'failed':
        this.status = 'failed';
        this.problem = news.message;
        break;
      case 'stopped':
        this.status = 'stopped';
        break;
      case 'alternatives':
        this.#change(news.turn, (reply) => ({ ...reply, alternatives: news.tokens }));
        break;
      case 'no-alternatives':
        this.#change(news.turn, (reply) => ({ ...reply, alternatives: { problem: news.message } }));
        break;
    }
  }

  askedFor(turn: number): void {
    this.#change(turn, (reply) => ({ ...reply, alternatives: 'asked' }));
  }

  #change(turn: number, change: (reply: ReplyPart) => ReplyPart): void {
    this.parts = this.parts.map((part) => ('turn' in part && part.turn === turn ? change(part) : part));
  }
}

/** A message of the user, and what was said to it. */
export interface Exchange {
  id: number;
  text: string;
  place: Place | null;
  /** A task of the environment's own. */
  task: number | null;
  /** Nothing was said before. */
  fresh: boolean;
  sides: readonly ShownSide[];
}

/** An environment as it was entered. */
export interface ShownPlace {
  env: string;
  system: string;
  tools: readonly { name: string; description: string }[];
  tasks: number | null;
}

/** Messages that are kept for looking at. */
const KEPT = 30;

/** What is said besides the text. */
export interface SayOptions {
  models: readonly { ref: ModelRef; label: string }[];
  system: string;
  place: Place | null;
  continues: boolean;
  sampling: PlaygroundSampling;
  seed: number;
}

export class PlaygroundState {
  exchanges = $state.raw<readonly Exchange[]>([]);
  place = $state.raw<ShownPlace | null>(null);
  task = $state.raw<{ env: string; task: number; text: string; answer: string } | null>(null);
  placeProblem = $state('');
  /** Who is to be asked, when another panel says so; taken by the form. */
  wanted = $state.raw<ModelRef | null>(null);
  #next = 1;

  constructor(private readonly trainer: Trainer) {
    trainer.onPlayground = (news) => this.#hear(news);
  }

  get underWay(): boolean {
    return this.exchanges.some(({ sides }) => sides.some((side) => side.underWay));
  }

  say(text: string, task: number | null, { models, ...options }: SayOptions): void {
    const id = this.#next++;
    const sides = models.map(({ label }, side) => new ShownSide(side, label));
    const continues = options.continues && this.exchanges.length > 0;
    const exchange = { id, text, place: options.place, task, fresh: !continues, sides };
    this.exchanges = [...this.exchanges, exchange].slice(-KEPT);
    const refs = models.map(({ ref }) => ref);
    this.trainer.askPlayground({ what: 'say', id, text, task, models: refs, ...options, continues });
  }

  stop(): void {
    this.trainer.askPlayground({ what: 'stop' });
  }

  /** Forgets what was said. */
  clear(): void {
    this.exchanges = [];
  }

  /** @param task of its held-out tasks, or none */
  enter(place: Place, task: number | null): void {
    this.placeProblem = '';
    this.trainer.askPlayground({ what: 'enter', place, task });
  }

  /** Of a reply that has come to its end; once. */
  askAlternatives({ id }: Exchange, side: ShownSide, { turn, alternatives }: ReplyPart): void {
    if (alternatives !== null || side.underWay) return;
    side.askedFor(turn);
    this.trainer.askPlayground({ what: 'alternatives', id, side: side.side, turn });
  }

  #hear(news: PlaygroundNews): void {
    if ('side' in news) {
      this.exchanges.find(({ id }) => id === news.id)?.sides[news.side]?.hear(news);
      return;
    }
    switch (news.what) {
      case 'place':
        this.place = news;
        break;
      case 'task':
        this.task = news;
        break;
      case 'no-place':
        this.placeProblem = news.message;
        break;
      case 'gone':
        for (const { id, sides } of this.exchanges) {
          for (const side of sides) {
            if (side.underWay) side.hear({ what: 'failed', id, side: side.side, message: 'the worker was lost' });
          }
        }
        break;
    }
  }
}
