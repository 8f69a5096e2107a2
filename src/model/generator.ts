/**
 * @file Batched generation: many sequences of different lengths in flight, sampled and stopped on the GPU, several
 * tokens per submission.
 *
 * - A free slot is filled from the queue as soon as there is one (continuous batching).
 * - Requests with the same prompt are admitted together: the prompt is computed once, its full pages are shared, the last
 *   part-filled page is copied.
 * - A finished sequence's keys and values stay until memory is short, so that the next turn of the same conversation
 *   computes its new tokens only.
 * - Finished sequences cost nothing from the next step on: the GPU packs the running ones (advance.wgsl).
 * - Where nobody waits for a slot, the next steps are submitted before the last ones' tokens are read, so that the GPU does
 *   not wait for the host.
 */
import {
  ENTRY_WORDS,
  MAX_STOP_TOKENS,
  NO_TOKEN,
  PAGE,
  RESULT_WORDS,
  SETTINGS_WORDS,
  Submission,
  allOrNothing,
  bytesOf,
  packSettings,
} from '../kernels';
import type { Tensor } from '../kernels';
import type { RandomKey } from '../random';
import { ContextLengthError } from './errors';
import { GenerationProgram, GenerationState, pageSize } from './generation_program';
import type { GenerationCapacity } from './generation_program';
import type { Adapter } from './lora';
import { PagePool } from './pages';
import type { Weights } from './weights';

/** How to sample; every field is used exactly as given. */
export interface TokenSampling {
  /** 0 = greedy. */
  temperature: number;
  /** 0 = off. */
  topK: number;
  /** 1 = off. */
  topP: number;
  /** 0 = off. */
  minP: number;
  maxTokens: number;
  /** At most four. */
  stopTokens: readonly number[];
}

export interface GenerationRequest {
  /** Every token of the sequence so far. */
  promptIds: readonly number[];
  sampling: TokenSampling;
  /** Random numbers are a function of this key and of a token's position. */
  key: RandomKey;
  /** `cacheId` of the sequence that `promptIds` continues, if any: what it holds is not computed again. */
  continues?: number | undefined;
  /** Called as tokens come, several at a time, with those since the last call. */
  onTokens?: ((ids: readonly number[], logprobs: readonly number[]) => void) | undefined;
  /** Hands out the model's logits; nothing of the prompt is taken from the cache then. */
  logits?: LogitsRequest | undefined;
  signal?: AbortSignal | undefined;
}

export interface LogitsRequest {
  /** First position of the prompt whose logits are wanted; they are of what comes after the token there. */
  from: number;
  /** Called for each position from `from` on, in order, before the request settles. The values are the callee's. */
  onLogits: (position: number, logits: Float32Array) => void;
}

export interface GeneratedTokens {
  ids: number[];
  /** Under softmax(logits / temperature), before top-k, top-p and min-p; at temperature 1 when greedy. */
  logprobs: number[];
  finishReason: 'stop' | 'length';
  /** Names this sequence in a later request's `continues`. */
  cacheId: number;
}

export interface GeneratorStats {
  /** Prompt tokens computed; a group's prompt counts once, a cached prefix not at all. */
  prefillTokens: number;
  /** Tokens sampled and returned. */
  sampledTokens: number;
  /** Rows that decode steps computed, counted on the GPU. */
  decodeRowSteps: number;
  /** Conversations whose cached prefix was used. */
  prefixHits: number;
}

/** The generator was destroyed while sequences were waiting for their tokens. */
export class GeneratorDestroyedError extends Error {
  override name = 'GeneratorDestroyedError';
}

/** The model produced NaN or infinite logits: nothing can be sampled from them. */
export class NonFiniteLogitsError extends Error {
  override name = 'NonFiniteLogitsError';
}

interface Sequence {
  request: GenerationRequest;
  slot: number;
  pages: number[];
  ids: number[];
  logprobs: number[];
  /** How many of them `onTokens` was told. */
  told: number;
  running: boolean;
  /** Tokens that were submitted for and not read yet, at most. */
  ahead: number;
  resolve: (tokens: GeneratedTokens) => void;
  reject: (error: unknown) => void;
}

/** A finished sequence whose cache is kept. */
interface Kept {
  /** Tokens whose keys and values are cached. */
  ids: number[];
  pages: number[];
}

/** Sequences with the same prompt, admitted together. */
type Gang = Sequence[];

const DEFAULT_STEPS = 8;
const DEFAULT_SLOTS = 256;
const DEFAULT_PREFILL_ROWS = 1024;
/** Bytes of key-value cache unless told otherwise. */
const DEFAULT_CACHE_BYTES = 256 * 2 ** 20;

export interface GeneratorOptions extends Partial<Omit<GenerationCapacity, 'pages' | 'slots'>> {
  /** By default 256, or as many as their logits can be bound at once. */
  slots?: number | undefined;
  cacheBytes?: number;
  /** Beside the weights. */
  adapter?: Adapter | undefined;
}

/** DEFAULT_SLOTS, or as many as their logits can be bound at once. */
function defaultSlots({ gpu, config }: Weights): number {
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  return Math.max(1, Math.min(DEFAULT_SLOTS, Math.floor(limit / (4 * config.vocabSize))));
}

export class Generator {
  readonly stats: GeneratorStats = { prefillTokens: 0, sampledTokens: 0, decodeRowSteps: 0, prefixHits: 0 };

  readonly #pool: PagePool;
  readonly #freeSlots: number[];
  readonly #running = new Map<number, Sequence>();
  readonly #kept = new Map<number, Kept>();
  #queue: Sequence[] = [];
  #nextCacheId = 1;
  #loop: Promise<void> | undefined;
  /** Resolves once the programs are recorded; they are not while the adapter is changed. */
  #recorded: Promise<void> = Promise.resolve();
  #destroyed = false;

  private constructor(
    readonly weights: Weights,
    private readonly state: GenerationState,
    private programs: Programs,
  ) {
    this.#pool = new PagePool(state.capacity.pages);
    this.#freeSlots = Array.from({ length: state.capacity.slots }, (_, i) => i);
  }

  /**
   * Reserves the cache and records the programs.
   * @throws GpuLimitError, GpuMemoryError; nothing is left allocated then
   */
  static create(weights: Weights, options: GeneratorOptions = {}): Promise<Generator> {
    const { gpu, config } = weights;
    const { cacheStorage = 'f32' } = options;
    const slots = options.slots ?? defaultSlots(weights);
    const pageBytes = bytesOf(pageSize(config), cacheStorage) * config.layers;
    const wanted = slots * Math.ceil(config.maxPositions / PAGE);
    const pages = Math.min(wanted, Math.floor((options.cacheBytes ?? DEFAULT_CACHE_BYTES) / pageBytes));
    const capacity = {
      slots,
      pages,
      cacheStorage,
      prefillRows: options.prefillRows ?? DEFAULT_PREFILL_ROWS,
      steps: options.steps ?? DEFAULT_STEPS,
    };
    return allOrNothing(async (own) => {
      const state = own(await GenerationState.create(gpu, config, capacity));
      return new Generator(weights, state, await recordPrograms(weights, state, options.adapter));
    });
  }

  /** What lies beside the weights. */
  get adapter(): Adapter | undefined {
    return this.programs.adapter;
  }

  /**
   * Goes on with another adapter beside the same weights, or with none. What is asked meanwhile waits. The adapter stays the
   * caller's; one whose values alone have changed needs no more than `invalidate`.
   * @throws Error when sequences are in flight; GpuLimitError, GpuMemoryError, and the adapter is the old one then (or, where
   * there is no room for that either, the generator destroyed)
   */
  async setAdapter(adapter: Adapter | undefined): Promise<void> {
    this.#alive();
    this.invalidate();
    const changed = this.#recorded.then(() => this.#recordWith(adapter));
    this.#recorded = changed.catch(() => undefined);
    return changed;
  }

  async #recordWith(adapter: Adapter | undefined): Promise<void> {
    const { weights, state, programs } = this;
    if (adapter === programs.adapter) return;
    this.#alive();
    freePrograms(programs); // first: there may be no room for both
    try {
      this.programs = await recordPrograms(weights, state, adapter);
    } catch (error) {
      try {
        this.programs = await recordPrograms(weights, state, programs.adapter);
      } catch {
        this.destroy(); // not even what fitted before does now: nothing can be sampled any more
      }
      throw error;
    } finally {
      if (this.#destroyed) freePrograms(this.programs);
    }
    this.#alive();
  }

  /**
   * Queues a sequence.
   * @throws (as a rejection) RangeError naming the field that makes no sense; ContextLengthError when prompt and
   * maxTokens exceed the context or the cache
   */
  generate(request: GenerationRequest): Promise<GeneratedTokens> {
    return new Promise((resolve, reject) => {
      this.#check(request);
      const { signal } = request;
      signal?.throwIfAborted();
      const sequence = {
        request,
        slot: -1,
        pages: [],
        ids: [],
        logprobs: [],
        told: 0,
        running: false,
        ahead: 0,
        resolve,
        reject,
      };
      this.#queue.push(sequence);
      this.#loop ??= this.#run();
    });
  }

  /** Forgets every kept prefix. To be called whenever the weights change: cached keys and values are of the old ones. */
  invalidate(): void {
    if (this.#running.size > 0 || this.#queue.length > 0)
      throw new Error('weights changed while sequences were running');
    for (const id of [...this.#kept.keys()]) this.#forget(id);
  }

  /** Tokens that the key-value cache holds, all sequences together. */
  get cacheTokens(): number {
    return this.#pool.size * PAGE;
  }

  /** Logits of the last prefill, [rows with logits, vocabulary]: for tests and for looking inside. */
  get logits(): Tensor {
    return this.programs.prefill.logits;
  }

  /** Frees everything; sequences in flight are rejected with GeneratorDestroyedError. */
  destroy(): void {
    this.#destroyed = true;
    freePrograms(this.programs);
    this.state.destroy();
  }

  #alive(): void {
    if (this.#destroyed) throw new GeneratorDestroyedError('this generator was destroyed');
  }

  #check({ promptIds, sampling, logits }: GenerationRequest): void {
    this.#alive();
    const { config } = this.weights;
    checkSampling(sampling);
    const total = promptIds.length + sampling.maxTokens;
    if (promptIds.length === 0) throw new RangeError('cannot generate from an empty prompt');
    if (logits && !(Number.isInteger(logits.from) && logits.from >= 0 && logits.from < promptIds.length)) {
      throw new RangeError(`logits from position ${logits.from} of a prompt of ${promptIds.length} tokens`);
    }
    if (total > config.maxPositions) {
      throw new ContextLengthError(
        `prompt of ${promptIds.length} tokens + ${sampling.maxTokens} to generate = ${total}; ` +
          `this model's context is ${config.maxPositions}`,
      );
    }
    if (Math.ceil(total / PAGE) > this.#pool.size) {
      throw new ContextLengthError(`${total} tokens do not fit the key-value cache of ${this.cacheTokens} tokens`);
    }
    const bad = promptIds.findIndex((id) => !(Number.isInteger(id) && id >= 0 && id < config.vocabSize));
    if (bad >= 0)
      throw new RangeError(`prompt token ${bad}: id ${promptIds[bad]} of a vocabulary of ${config.vocabSize}`);
  }

  async #run(): Promise<void> {
    try {
      // Let everybody who is about to ask do so first: groups share their prompt only when admitted together.
      await nextTask();
      await this.#recorded;
      let unread: Round | undefined;
      while (this.#queue.length > 0 || this.#running.size > 0 || unread) {
        this.#alive();
        this.#dropAborted();
        const gangs = this.#admit();
        // Nothing would ever change again, and nothing in this loop would wait.
        if (this.#running.size === 0 && this.#queue.length > 0 && !unread) {
          throw new Error('no sequence of the queue fits an empty machine: a bug');
        }
        for (const gang of gangs) this.#uploadSlots(gang);
        const chunks = gangs.length > 0 ? this.#planPrefill(gangs) : [undefined];
        for (const [i, chunk] of chunks.entries()) {
          const round = this.#submit(chunk, i === chunks.length - 1);
          if (unread) await this.#collect(unread);
          unread = round;
        }
        // Whoever waits for a slot gets it as soon as one is free. And most replies are short: what would follow the first
        // steps is mostly for nothing.
        const long = unread?.running.some(({ ids }) => ids.length > this.state.capacity.steps);
        if (unread && (this.#queue.length > 0 || !long)) {
          await this.#collect(unread);
          unread = undefined;
        }
      }
    } catch (error) {
      for (const sequence of [...this.#queue, ...this.#running.values()]) sequence.reject(error);
      for (const sequence of this.#running.values()) this.#free(sequence);
      this.#running.clear();
      this.#queue = [];
    } finally {
      this.#loop = undefined;
    }
  }

  #dropAborted(): void {
    const aborted = ({ request: { signal } }: Sequence) => signal?.aborted ?? false;
    const { gpu } = this.weights;
    for (const sequence of this.#queue.filter(aborted)) sequence.reject(sequence.request.signal!.reason);
    this.#queue = this.#queue.filter((sequence) => !aborted(sequence));
    for (const sequence of [...this.#running.values()].filter(aborted)) {
      gpu.write(this.state.state.buffer, sequence.slot * 12, new Uint32Array(3)); // not running any more
      sequence.running = false;
      this.#running.delete(sequence.slot);
      this.#free(sequence);
      sequence.reject(sequence.request.signal!.reason);
    }
  }

  #free({ slot, pages }: Sequence): void {
    this.#pool.release(pages);
    this.#freeSlots.push(slot);
  }

  /** Takes from the queue, in order, as many gangs as slots and pages allow. */
  #admit(): Gang[] {
    const gangs: Gang[] = [];
    while (this.#queue.length > 0) {
      const first = this.#queue[0]!;
      const same = isAlone(first)
        ? [first]
        : this.#queue.filter((other) => !isAlone(other) && samePrompt(first, other));
      const usable = this.#usablePrefix(first.request);
      // A gang that cannot fit even an empty machine is halved until it does; one sequence always fits.
      const empty = this.#running.size === 0;
      let gang = same.slice(0, this.state.capacity.slots);
      while (gang.length > 1 && empty && !this.#fits(gang, usable)) gang = gang.slice(0, Math.ceil(gang.length / 2));
      if (!this.#fits(gang, usable)) break;
      this.#givePages(gang, usable);
      for (const sequence of gang) {
        sequence.slot = this.#freeSlots.shift()!;
        this.#running.set(sequence.slot, sequence);
      }
      this.#queue = this.#queue.filter((sequence) => !gang.includes(sequence));
      gangs.push(gang);
    }
    return gangs;
  }

  /** The kept prefix that a request continues. One that it names but does not continue is like any other. */
  #usablePrefix({ continues, promptIds, logits }: GenerationRequest): Kept | undefined {
    const kept = continues === undefined || logits ? undefined : this.#kept.get(continues);
    return kept && startsWith(promptIds, kept.ids) ? kept : undefined;
  }

  #forget(cacheId: number): void {
    this.#pool.release(this.#kept.get(cacheId)!.pages);
    this.#kept.delete(cacheId);
  }

  /** Whether slots and pages would do if every other kept prefix were forgotten. */
  #fits(gang: Gang, usable: Kept | undefined): boolean {
    const others = [...this.#kept.values()].filter((kept) => kept !== usable).map(({ pages }) => pages);
    const pages = this.#pool.available + this.#pool.reclaimable(others);
    return gang.length <= this.#freeSlots.length && newPagesOf(gang, usable) <= pages;
  }

  /** Reserves every page that a gang which fits can need. Forgets the oldest kept prefixes if that makes room. */
  #givePages(gang: Gang, usable: Kept | undefined): void {
    const leader = gang[0]!;
    if (usable) this.#kept.delete(leader.request.continues!); // continued only once: its last page will be written to
    const wanted = newPagesOf(gang, usable);
    for (const id of [...this.#kept.keys()]) {
      if (this.#pool.available >= wanted) break;
      this.#forget(id);
    }
    const cached = usable?.pages ?? [];
    leader.pages = [...cached, ...this.#pool.take(pagesOf(leader) - cached.length)];
    const prompt = leader.pages.slice(0, fullPagesOf(leader));
    for (const sequence of gang.slice(1)) {
      this.#pool.share(prompt);
      sequence.pages = [...prompt, ...this.#pool.take(pagesOf(sequence) - prompt.length)];
    }
    if (usable) this.stats.prefixHits++;
    this.#cachedTokens.set(leader, usable ? usable.ids.length : 0);
  }

  /** Tokens of an admitted sequence's prompt that need no computing. */
  readonly #cachedTokens = new WeakMap<Sequence, number>();

  #uploadSlots(gang: Gang): void {
    const { gpu } = this.weights;
    const { pageTable, pagesPerSlot, settings } = this.state;
    for (const { request, slot, pages } of gang) {
      const { sampling, key, promptIds } = request;
      const words = packSettings({ key, ...sampling, lastPosition: promptIds.length + sampling.maxTokens - 1 });
      gpu.write(settings.buffer, slot * SETTINGS_WORDS * 4, words);
      gpu.write(pageTable.buffer, slot * pagesPerSlot * 4, Uint32Array.from(pages));
    }
  }

  /** Cuts the new tokens of all gangs into chunks that fit a prefill submission. */
  #planPrefill(gangs: Gang[]): PrefillChunk[] {
    const { rows: capacity, heads } = this.programs.prefill;
    const chunks: PrefillChunk[] = [];
    let chunk: PrefillChunk | undefined;
    for (const gang of gangs) {
      const leader = gang[0]!;
      const { promptIds, logits } = leader.request;
      for (let position = this.#cachedTokens.get(leader) ?? 0; position < promptIds.length; position++) {
        if (!chunk || chunk.ids.length === capacity.capacity || chunk.heads.length === heads.capacity) {
          chunk = { ids: [], places: [], heads: [], watched: [], entries: [], copies: [], sampled: [] };
          chunks.push(chunk);
        }
        chunk.ids.push(promptIds[position]!);
        chunk.places.push(leader.slot, position);
        this.stats.prefillTokens++;
        const isLast = position === promptIds.length - 1;
        const isWatched = logits !== undefined && position >= logits.from;
        if (isWatched) chunk.watched.push({ row: chunk.heads.length, position, onLogits: logits.onLogits });
        if (isLast || isWatched) chunk.heads.push(chunk.ids.length - 1);
      }
      const partial = promptIds.length % PAGE === 0 ? -1 : Math.floor(promptIds.length / PAGE);
      for (const sequence of gang) {
        chunk!.entries.push(chunk!.heads.length - 1, sequence.slot, promptIds.length - 1);
        chunk!.sampled.push(sequence);
        if (partial >= 0 && sequence !== leader) chunk!.copies.push(leader.pages[partial]!, sequence.pages[partial]!);
      }
    }
    return chunks;
  }

  /**
   * Prefill of what was admitted, if anything, then some decode steps of everything that runs.
   * @returns what is to be read; undefined when there was nothing to do
   */
  #submit(chunk: PrefillChunk | undefined, decodes: boolean): Round | undefined {
    this.#alive(); // an earlier chunk's readback may have taken a while
    const { gpu } = this.weights;
    const { results, control, capacity } = this.state;
    const { prefill, decode } = this.programs;
    const sampled = chunk?.sampled ?? [];
    for (const sequence of sampled) {
      sequence.running = true;
      sequence.ahead = 1; // the prefill samples the first token of what it admitted
    }
    const running = [...this.#running.values()].filter((sequence) => sequence.running);
    const left = running.map(({ request, ids, ahead }) => request.sampling.maxTokens - ids.length - ahead);
    const steps = decodes ? Math.min(capacity.steps, Math.max(0, ...left)) : 0;
    if (!chunk && steps === 0) return undefined;
    for (const sequence of running) sequence.ahead += steps;

    gpu.write(control.buffer, 0, Uint32Array.of(0));
    const submission = new Submission(gpu, 'generate');
    if (chunk) {
      const upload = (tensor: { buffer: GPUBuffer }, values: number[]) => {
        if (values.length > 0) gpu.write(tensor.buffer, 0, Uint32Array.from(values));
      };
      upload(prefill.ids, chunk.ids);
      upload(prefill.rowPlace, chunk.places);
      upload(prefill.headIndex, chunk.heads);
      upload(prefill.entries, chunk.entries);
      upload(prefill.copyPairs, chunk.copies);
      prefill.rows.set(chunk.ids.length);
      prefill.heads.set(chunk.heads.length);
      prefill.samples.set(chunk.entries.length / ENTRY_WORDS);
      prefill.copies.set(chunk.copies.length / 2);
      submission.run(prefill.program);
    }
    if (steps > 0) {
      for (const extent of [decode.rows, decode.heads, decode.samples]) extent.set(running.length);
      for (let i = 0; i < steps; i++) submission.run(decode.program);
    }
    const { vocabSize } = this.weights.config;
    const watched = chunk?.watched ?? [];
    const round: Round = {
      ...{ sampled, running, steps, watched },
      tokens: submission.read(results, (steps + 1) * capacity.slots * RESULT_WORDS),
      counts: submission.read(control),
      logits: watched.length > 0 ? submission.read(prefill.logits, chunk!.heads.length * vocabSize) : undefined,
    };
    submission.submit();
    return round;
  }

  /** Follows on the host what the GPU did: one token per sampled sequence at step 0, then one per running sequence. */
  async #collect(round: Round): Promise<void> {
    const { sampled, running, steps, watched } = round;
    const [words, counts, logits] = await Promise.all([round.tokens, round.counts, round.logits]);
    const { vocabSize } = this.weights.config;
    for (const { row, position, onLogits } of watched) {
      onLogits(position, new Float32Array(logits!, row * vocabSize * 4, vocabSize));
    }
    this.stats.decodeRowSteps = new Uint32Array(counts)[1]!;
    const tokens = new Uint32Array(words);
    const logprobs = new Float32Array(words);
    const take = (sequence: Sequence, step: number) => {
      const at = (step * this.state.capacity.slots + sequence.slot) * RESULT_WORDS;
      const token = tokens[at]!;
      if (token === NO_TOKEN) {
        const where = sequence.request.promptIds.length + sequence.ids.length;
        this.#finish(sequence, new NonFiniteLogitsError(`the model's logits at position ${where} are not finite`));
        return;
      }
      sequence.ids.push(token);
      sequence.logprobs.push(logprobs[at + 1]!);
      this.stats.sampledTokens++;
      const { stopTokens, maxTokens } = sequence.request.sampling;
      if (stopTokens.includes(token) || sequence.ids.length === maxTokens) this.#finish(sequence);
    };
    for (const sequence of sampled) if (sequence.running) take(sequence, 0);
    for (let step = 1; step <= steps; step++) {
      for (const sequence of running) if (sequence.running) take(sequence, step);
    }
    for (const sequence of sampled) sequence.ahead--;
    for (const sequence of running) {
      sequence.ahead -= steps;
      tell(sequence);
    }
  }

  #finish(sequence: Sequence, error?: Error): void {
    const { request, ids, logprobs, pages, slot } = sequence;
    sequence.running = false;
    this.#running.delete(slot);
    this.#freeSlots.push(slot);
    if (error) {
      this.#pool.release(pages);
      sequence.reject(error);
      return;
    }
    // The last token was sampled but never fed: its key and value are not in the cache.
    const cached = [...request.promptIds, ...ids.slice(0, -1)];
    const used = Math.ceil(cached.length / PAGE);
    this.#pool.release(pages.slice(used));
    const cacheId = this.#nextCacheId++;
    this.#kept.set(cacheId, { ids: cached, pages: pages.slice(0, used) });
    const stopped = request.sampling.stopTokens.includes(ids.at(-1)!);
    sequence.resolve({ ids, logprobs, finishReason: stopped ? 'stop' : 'length', cacheId });
  }
}

/** Hands a sequence's new tokens to whoever waits for them. */
function tell(sequence: Sequence): void {
  const { request, ids, logprobs, told } = sequence;
  if (!request.onTokens || told === ids.length) return;
  sequence.told = ids.length;
  request.onTokens(ids.slice(told), logprobs.slice(told));
}

/** What is recorded for weights and what lies beside them. */
interface Programs {
  adapter: Adapter | undefined;
  prefill: GenerationProgram;
  decode: GenerationProgram;
}

/** @throws GpuLimitError, GpuMemoryError; nothing is left allocated then */
function recordPrograms(weights: Weights, state: GenerationState, adapter: Adapter | undefined): Promise<Programs> {
  return allOrNothing(async (own) => ({
    adapter,
    prefill: own(await GenerationProgram.create(weights, state, 'prefill', adapter)),
    decode: own(await GenerationProgram.create(weights, state, 'decode', adapter)),
  }));
}

function freePrograms({ prefill, decode }: Programs): void {
  prefill.destroy();
  decode.destroy();
}

/** What each sampling setting must be, in words and as a test that NaN fails. */
const SETTINGS: [name: keyof Omit<TokenSampling, 'stopTokens'>, wanted: string, valid: (value: number) => boolean][] = [
  ['temperature', '0 or a positive number', (value) => value >= 0 && value < Infinity],
  ['topK', 'a whole number, 0 for off', (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32],
  ['topP', 'above 0 and at most 1', (value) => value > 0 && value <= 1],
  ['minP', 'from 0 to 1', (value) => value >= 0 && value <= 1],
  ['maxTokens', 'a whole number, at least 1', (value) => Number.isInteger(value) && value >= 1],
];

/** @throws RangeError naming the setting, its value and what it must be */
export function checkSampling(sampling: TokenSampling): void {
  for (const [name, wanted, valid] of SETTINGS) {
    if (!valid(sampling[name])) throw new RangeError(`${name} is ${sampling[name]}; it must be ${wanted}`);
  }
  const { length } = sampling.stopTokens;
  if (length > MAX_STOP_TOKENS) {
    throw new RangeError(`${length} stop tokens; at most ${MAX_STOP_TOKENS} stop tokens are possible`);
  }
}

interface PrefillChunk {
  ids: number[];
  /** Slot and position of each id. */
  places: number[];
  /** Rows whose logits are wanted. */
  heads: number[];
  /** Those of them that somebody wants to see: row of the logits, and the position it is of. */
  watched: { row: number; position: number; onLogits: LogitsRequest['onLogits'] }[];
  /** ENTRY_WORDS per sample. */
  entries: number[];
  /** Pairs of pages, from and to. */
  copies: number[];
  sampled: Sequence[];
}

/** A submission whose results are on their way. */
interface Round {
  /** Sequences that the prefill sampled a token for. */
  sampled: readonly Sequence[];
  /** Those that ran during the decode steps, when they were submitted. */
  running: readonly Sequence[];
  steps: number;
  watched: PrefillChunk['watched'];
  /** RESULT_WORDS per slot and step. */
  tokens: Promise<ArrayBuffer>;
  counts: Promise<ArrayBuffer>;
  logits: Promise<ArrayBuffer> | undefined;
}

/** Pages that hold a sequence at its longest. */
function pagesOf({ request }: Sequence): number {
  return Math.ceil((request.promptIds.length + request.sampling.maxTokens) / PAGE);
}

/** Pages that the prompt fills, which a gang shares. */
function fullPagesOf({ request }: Sequence): number {
  return Math.floor(request.promptIds.length / PAGE);
}

/** Pages that a gang takes from the pool: all but those it shares, and those of the prefix it continues. */
function newPagesOf(gang: Gang, usable: Kept | undefined): number {
  const total = gang.reduce((sum, sequence, i) => sum + pagesOf(sequence) - (i > 0 ? fullPagesOf(sequence) : 0), 0);
  return total - (usable ? usable.pages.length : 0);
}

/** Whether a sequence shares its prompt with no other, even an equal one. */
function isAlone({ request: { continues, logits } }: Sequence): boolean {
  return continues !== undefined || logits !== undefined;
}

function samePrompt(a: Sequence, b: Sequence): boolean {
  const x = a.request.promptIds;
  const y = b.request.promptIds;
  return x === y || (x.length === y.length && x.every((id, i) => id === y[i]));
}

function startsWith(ids: readonly number[], prefix: readonly number[]): boolean {
  return prefix.length < ids.length && prefix.every((id, i) => id === ids[i]);
}

/** Resolves in a later task, after every promise that can settle now has settled. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}
