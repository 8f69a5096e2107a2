/** @file Conversations with one or two models, by themselves or inside an environment. Loaded with the first one. */
import { DeviceLostError } from '../../../src/kernels';
import { libraryEntry } from '../../../src/envs';
import type { Environment, Example, Message, Trace } from '../../../src/envs';
import { alternatives } from '../../../src/model';
import { PURPOSE, deriveKey } from '../../../src/random';
import type { RandomKey } from '../../../src/random';
import type { ModelRef, Outcome, Place, PlaygroundNews, PlaygroundRequest, Say } from '../../playground_protocol';
import { Seats } from './seats';
import type { Seat, SeatsHost } from './seats';
import { Speaker } from './speaker';
import type { Conversation, SpokenTurn } from './speaker';

export interface PlaygroundHost extends SeatsHost {
  post: (news: PlaygroundNews) => void;
}

/** A reply that can be asked about. */
interface Spoken {
  ref: ModelRef;
  side: number;
  /** Of the weights that said it. */
  version: string;
  turns: readonly SpokenTurn[];
}

/** Messages whose replies can be asked about. */
const KEPT = 50;

/** Likeliest tokens that are shown. */
const SHOWN = 5;

/** Draws that no training asks for. */
const PLAYGROUND_DRAWS = 2 ** 40;

const NOTHING = { messages: [], previous: undefined, version: '' };

export class Playground {
  readonly #seats: Seats;
  readonly #spoken = new Map<string, Spoken>();
  /** By side, with the weights that spoke last. */
  readonly #conversations = new Map<number, Conversation & { version: string }>();
  /** Messages that the user has written since the conversation began. */
  #written = 0;
  #env: { key: string; env: Environment } | undefined;

  constructor(private readonly host: PlaygroundHost) {
    this.#seats = new Seats(host);
  }

  /** The run goes, and its models with it. */
  leaveRun(): void {
    this.#seats.leaveRun();
  }

  /**
   * Does what was asked. What comes to nothing says why.
   * @param signal ends a conversation in the middle
   * @throws DeviceLostError; what was asked can be asked again on another device
   */
  async play(request: Exclude<PlaygroundRequest, { what: 'stop' }>, signal: AbortSignal): Promise<void> {
    switch (request.what) {
      case 'say':
        return this.#say(request, signal);
      case 'enter':
        return this.#enter(request.place, request.task);
      case 'alternatives':
        return this.#alternatives(request, signal);
      case 'leave':
        this.#seats.leave();
    }
  }

  async #say(say: Say, signal: AbortSignal): Promise<void> {
    if (!say.continues) {
      this.#conversations.clear();
      this.#written = 0;
    }
    const key = deriveKey(say.seed, PURPOSE.sampling, PLAYGROUND_DRAWS, this.#written);
    this.#seats.release(say.models.length);
    // One after the other: each may need the whole bus for its weights.
    const seats: (Seat | undefined)[] = [];
    for (const [side, ref] of say.models.entries()) {
      seats.push(await this.#orTell(say.id, side, signal, () => this.#sit(say.id, side, ref, signal)));
    }
    await Promise.all(
      seats.map(async (seat, side) => {
        if (seat) await this.#orTell(say.id, side, signal, () => this.#talk(say, side, seat, key, signal));
      }),
    );
    this.#written++;
  }

  /** What fails on one side is told there, and the other goes on. */
  async #orTell<T>(id: number, side: number, signal: AbortSignal, work: () => Promise<T>): Promise<T | undefined> {
    const { post } = this.host;
    try {
      signal.throwIfAborted();
      return await work();
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      if (signal.aborted) post({ what: 'stopped', id, side });
      else post({ what: 'failed', id, side, message: messageOf(error) });
      return undefined;
    }
  }

  #sit(id: number, side: number, ref: ModelRef, signal: AbortSignal): Promise<Seat> {
    const onProgress = (done: number, total: number) => this.host.post({ what: 'loading', id, side, done, total });
    return this.#seats.take(side, ref, { signal, onProgress });
  }

  async #talk(say: Say, side: number, seat: Seat, key: RandomKey, signal: AbortSignal): Promise<void> {
    const { id, models } = say;
    const { post } = this.host;
    const { messages, previous, version } = this.#conversations.get(side) ?? NOTHING;
    // Another model goes on with what was said, not with another's tokens.
    const before = { messages, previous: version === seat.version ? previous : undefined };
    const speaker = new Speaker(seat, { id, side }, before, post);
    this.#keep(`${id} ${side}`, { ref: models[side]!, side, version: seat.version, turns: speaker.turns });
    try {
      const outcome = say.place
        ? await this.#rollOut(say, say.place, speaker, key, signal)
        : await this.#chat(say, speaker, key, signal);
      seat.model.generator.weights.gpu.check(); // to an environment a lost device is one failure among others
      post({ what: 'done', id, side, cut: speaker.cut, outcome });
    } finally {
      // What came to nothing was not said; what was broken off was, as far as it came.
      const after = speaker.conversation;
      const kept = after.messages.at(-1)?.role === 'assistant' ? after : before;
      this.#conversations.set(side, { ...kept, version: seat.version });
    }
  }

  #keep(key: string, spoken: Spoken): void {
    this.#spoken.set(key, spoken);
    if (this.#spoken.size > KEPT) this.#spoken.delete([...this.#spoken.keys()][0]!);
  }

  /** Without an environment: one reply to the conversation so far. */
  async #chat({ system, text, sampling }: Say, speaker: Speaker, key: RandomKey, signal: AbortSignal): Promise<null> {
    const before = speaker.conversation.messages;
    const opening: Message[] = before.length === 0 && system !== '' ? [{ role: 'system', content: system }] : [];
    const messages: Message[] = [...opening, ...before, { role: 'user', content: text }];
    const { maxTokens, ...rest } = sampling;
    await speaker.complete(
      { messages, sampling: { ...rest, ...(maxTokens !== null && { maxTokens }) }, key },
      { signal },
    );
    return null;
  }

  /** Inside an environment: its harness asks, answers and scores. */
  async #rollOut(
    { text, task, sampling }: Say,
    place: Place,
    speaker: Speaker,
    key: RandomKey,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const env = await this.#load(place);
    const row: Example = task === null ? { exampleId: 0, question: text } : await env.example(task, 'eval');
    const before = speaker.conversation.messages;
    const example: Example =
      before.length === 0 ? row : { ...row, prompt: [...before, { role: 'user', content: text }] };
    const { maxTokens, ...rest } = sampling;
    const trace = await env.rollout(example, speaker, {
      draw: 0,
      rollout: 0,
      key,
      signal,
      sampling: { ...rest, ...(maxTokens !== null && { maxTokens }) },
    });
    return outcomeOf(trace);
  }

  async #enter(place: Place, task: number | null): Promise<void> {
    const { post } = this.host;
    try {
      const env = await this.#load(place);
      const tools = env.toolSchemas().map(({ name, description }) => ({ name, description }));
      const { length } = env.evalDataset;
      const tasks = Number.isFinite(length) ? length : null;
      post({ what: 'place', env: place.env, system: env.systemPrompt ?? '', tools, tasks });
      if (task === null) return;
      const row = await env.example(tasks === null ? task : task % tasks, 'eval');
      const text = env.promptFor(row).findLast(({ role }) => role === 'user')?.content ?? '';
      post({ what: 'task', env: place.env, task: row.exampleId, text, answer: row.answer ?? '' });
    } catch (error) {
      post({ what: 'no-place', message: messageOf(error) });
    }
  }

  /** One environment at a time. */
  async #load({ env: name, options }: Place): Promise<Environment> {
    const key = JSON.stringify([name, options]);
    if (this.#env?.key === key) return this.#env.env;
    const env = libraryEntry(name).load(options);
    await this.#env?.env.teardown();
    this.#env = { key, env };
    return env;
  }

  async #alternatives(
    { id, side, turn }: Extract<PlaygroundRequest, { what: 'alternatives' }>,
    signal: AbortSignal,
  ): Promise<void> {
    const { post } = this.host;
    try {
      const spoken = this.#spoken.get(`${id} ${side}`);
      const reply = spoken?.turns[turn];
      if (!spoken || !reply) throw new Error('this reply is not kept any more, or was broken off: ask again');
      const seat = await this.#sit(id, side, spoken.ref, signal);
      if (seat.version !== spoken.version) {
        throw new Error('the model has been trained since: ask it again to see what it could have said');
      }
      const { tokens } = seat.text.tokenizer;
      const found = await alternatives(seat.model.generator, { ...reply, count: SHOWN, signal });
      const shown = found.map(({ logprob, rank, top }) => ({
        logprob,
        rank,
        top: top.map((each) => ({ text: spelled(seat, each.id, tokens), logprob: each.logprob })),
      }));
      post({ what: 'alternatives', id, side, turn, tokens: shown });
    } catch (error) {
      if (error instanceof DeviceLostError) throw error;
      post({ what: 'no-alternatives', id, side, turn, message: messageOf(error) });
    }
  }
}

/** A token by itself: its text, or its name where it has none. */
function spelled({ text }: Seat, id: number, tokens: readonly string[]): string {
  const decoded = text.tokenizer.decode([id]);
  return decoded === '' || decoded.includes('\uFFFD') ? (tokens[id] ?? '') : decoded;
}

function outcomeOf({ reward, metrics, stopCondition, answer, error }: Trace): Outcome {
  const said = error && `${error.where ?? error.source}: ${error.message}`;
  return { reward, metrics, stopCondition, answer, error: said };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
