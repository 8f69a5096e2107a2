/**
 * @file An environment is a dataset, a way to roll out (harness) and a rubric. The same object serves evals, training and
 * synthetic data.
 *
 * The life of a rollout: set-up hooks; the conversation (`play`); scoring; clean-up hooks, whatever happened.
 */
import { PURPOSE, Random, subKey } from '../random';
import type { RandomKey } from '../random';
import { exampleAt } from './dataset';
import type { Dataset, Example, TaskRow } from './dataset';
import { TimeLimitError, withTimeLimit } from './deadline';
import { contentKey } from './key';
import { Parser } from './parser';
import { Rubric } from './rubric';
import type { ScoreCard } from './rubric';
import { traceOf } from './state';
import type { State } from './state';
import { bySeat, extendsTokens, now, traceError } from './trace';
import type { Trace } from './trace';
import type { ChatModel, Message, PreviousTurn, SamplingArgs, ToolSchema, TurnTokens } from './types';

/** Writes what a demonstrator would: the messages after the prompt. `careless` is the share of deliberate mistakes. */
export type Demonstrator = (
  row: TaskRow,
  random: Random,
  options: { careless: number },
) => Message[] | Promise<Message[]>;

export interface EnvironmentOptions {
  /** Unique name, as in the library and on the command line. */
  name: string;
  dataset: Dataset;
  /** Held-out tasks; the training dataset where there are none. */
  evalDataset?: Dataset | undefined;
  systemPrompt?: string | undefined;
  /** Messages between system prompt and question, for rows that give a question. */
  fewShot?: readonly Message[];
  parser?: Parser;
  rubric?: Rubric;
  /** Defaults of every rollout; the caller's own settings win. */
  sampling?: SamplingArgs;
  /** A reward from here on counts as solved. */
  passThreshold?: number;
  /** Seconds that a whole rollout may take; then it ends as `timeout_reached` and is scored as it is. */
  timeoutSeconds?: number;
  /** Longest sequence in tokens, prompt and reply together, for models that say their tokens. */
  maxSeqLen?: number;
  /** Demonstrations for supervised fine-tuning, where the environment can make them. */
  demonstrate?: Demonstrator | undefined;
}

/** Which rollout this is: together with the seed it decides every random number. */
export interface RolloutIdentity {
  draw: number;
  rollout: number;
}

/** What a rollout is busy with; turns count from 1. */
export type RolloutPhase = 'set-up' | `turn ${number}` | 'scoring';

export interface RolloutOptions extends RolloutIdentity {
  sampling?: SamplingArgs;
  /** Of the model's samples. */
  key: RandomKey;
  signal?: AbortSignal | undefined;
  /** Called as each phase begins. */
  onPhase?: ((phase: RolloutPhase) => void) | undefined;
}

type Hook = (state: State) => void | Promise<void>;

interface NamedHook<T> {
  name: string;
  priority: number;
  run: T;
}

/** Higher priorities first, equal ones by name. */
export function inOrder<T extends { name: string; priority: number }>(hooks: readonly T[]): T[] {
  return [...hooks].sort((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1));
}

export abstract class Environment {
  readonly name: string;
  readonly dataset: Dataset;
  readonly evalDataset: Dataset;
  readonly systemPrompt: string | undefined;
  readonly fewShot: readonly Message[];
  readonly parser: Parser;
  readonly rubric: Rubric;
  readonly sampling: SamplingArgs;
  readonly passThreshold: number;
  readonly timeoutSeconds: number;
  readonly maxSeqLen: number;
  readonly demonstrate: Demonstrator | undefined;

  readonly #setups: NamedHook<Hook>[] = [];
  readonly #cleanups: NamedHook<Hook>[] = [];
  readonly #teardowns: NamedHook<() => void | Promise<void>>[] = [];

  constructor(options: EnvironmentOptions) {
    this.name = options.name;
    this.dataset = options.dataset;
    this.evalDataset = options.evalDataset ?? options.dataset;
    this.systemPrompt = options.systemPrompt;
    this.fewShot = options.fewShot ?? [];
    this.parser = options.parser ?? options.rubric?.parser ?? new Parser();
    this.rubric = options.rubric ?? new Rubric({}, { parser: this.parser });
    this.sampling = options.sampling ?? {};
    this.passThreshold = options.passThreshold ?? 0.5;
    this.timeoutSeconds = options.timeoutSeconds ?? Infinity;
    this.maxSeqLen = options.maxSeqLen ?? Infinity;
    this.demonstrate = options.demonstrate;
  }

  /** Adds something to be done before a rollout's first turn. */
  protected addSetup(name: string, run: Hook, priority = 0): void {
    this.#setups.push({ name, run, priority });
  }

  /** Adds something to be done after every rollout, also one that failed, ran out of time or was cancelled. */
  protected addCleanup(name: string, run: Hook, priority = 0): void {
    this.#cleanups.push({ name, run, priority });
  }

  /** Adds something to be done when the environment itself is no longer needed. */
  protected addTeardown(name: string, run: () => void | Promise<void>, priority = 0): void {
    this.#teardowns.push({ name, run, priority });
  }

  /** Ends the environment: runs its teardown hooks. */
  async teardown(): Promise<void> {
    for (const { run } of inOrder(this.#teardowns)) await run();
  }

  /**
   * A checked row of the training or eval dataset.
   * @throws DatasetError
   */
  example(index: number, split: 'train' | 'eval' = 'train'): Promise<Example> {
    return exampleAt(split === 'train' ? this.dataset : this.evalDataset, index);
  }

  /** The messages a rollout starts from. A row's own prompt gets the system prompt only where it has none. */
  promptFor(row: TaskRow): Message[] {
    const system: Message[] = this.systemPrompt === undefined ? [] : [{ role: 'system', content: this.systemPrompt }];
    if (row.prompt) return row.prompt[0]?.role === 'system' ? [...row.prompt] : [...system, ...row.prompt];
    return [...system, ...this.fewShot, { role: 'user', content: row.question! }];
  }

  /** Tools that the model is offered. */
  toolSchemas(): readonly ToolSchema[] {
    return [];
  }

  /**
   * Plays one task with a model and scores it as a group of one. Failures end up in the trace's `error`; only a cancel is
   * thrown.
   */
  async rollout(example: Example, model: ChatModel, options: RolloutOptions): Promise<Trace> {
    const [trace] = await this.rolloutGroup(example, model, [options]);
    return trace!;
  }

  /**
   * Plays one task several times, all at once, and scores the rollouts as a group. In an environment of several seats
   * each seat that is trained has a trace, and the traces of a seat are a group of their own.
   * @param onTrace called as each rollout is done: scored, unless the rubric has group functions, which need them all
   * @returns in the order of `rollouts`, those of one rollout in the order of its seats
   */
  async rolloutGroup(
    example: Example,
    model: ChatModel,
    rollouts: readonly RolloutOptions[],
    onTrace?: (trace: Trace) => void,
  ): Promise<Trace[]> {
    const { rubric, parser } = this;
    const played = await Promise.all(
      rollouts.map(async (options) => {
        const states = this.scoredStates(await this.#play(example, model, options));
        options.onPhase?.('scoring');
        const cards = states.map((state) => rubric.open(state, parser));
        for (const card of cards) await scored(card, () => card.scoreAlone());
        if (!rubric.hasGroupRewards) onTrace?.(traceOf(states[0]!));
        return cards;
      }),
    );
    const cards = played.flat();
    for (const group of bySeat(cards, ({ state }) => state.seat)) await rubric.close(group);
    if (rubric.hasGroupRewards && onTrace) for (const [first] of played) onTrace(traceOf(first!.state));
    return cards.map(({ state }) => traceOf(state));
  }

  /** What of a rollout is scored and recorded, at least one state: itself, or in a game of several seats each one's view. */
  protected scoredStates(rollout: State): readonly State[] {
    return [rollout];
  }

  /** The harness: talks to the model until the rollout is over, filling `completion`, `turns` and `stopCondition`. */
  protected abstract play(state: State, model: ChatModel, options: RolloutOptions): Promise<void>;

  /** From the prompt to the last turn, under the time limit, with hooks around it. */
  async #play(example: Example, model: ChatModel, options: RolloutOptions): Promise<State> {
    const whole = this.#begin(example, options);
    let state = whole;
    const { signal } = options;
    options.onPhase?.('set-up');
    try {
      await withTimeLimit('the rollout', this.timeoutSeconds, signal, async (limited) => {
        whole.signal = limited;
        await this.#timed(whole, 'setup', () => this.#runHooks(inOrder(this.#setups), whole));
        await this.#timed(whole, 'generation', () => this.play(whole, model, options));
      });
    } catch (error) {
      signal?.throwIfAborted();
      // Code that was left behind may still write to the state it knows: go on with a copy.
      state = { ...whole, ...structuredClone(traceOf(whole)) };
      if (error instanceof TimeLimitError && whole.signal.aborted) {
        state.stopCondition = 'timeout_reached';
        state.isTruncated = true;
        state.timing.generation.end = now();
      } else {
        state.error = traceError('environment', error, error instanceof HookError ? error.hook : undefined);
        state.stopCondition = 'has_error';
      }
    } finally {
      await this.#cleanUp(state, signal);
    }
    state.signal = signal ?? NEVER;
    return state;
  }

  async #cleanUp(state: State, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#runHooks(inOrder(this.#cleanups), state);
    } catch (error) {
      if (!signal?.aborted) state.error ??= traceError('environment', error, (error as HookError).hook);
    }
  }

  async #runHooks(hooks: readonly NamedHook<Hook>[], state: State): Promise<void> {
    for (const { name, run } of hooks) {
      try {
        await run(state);
      } catch (error) {
        throw new HookError(name, error);
      }
    }
  }

  async #timed(state: State, what: 'setup' | 'generation', task: () => Promise<void>): Promise<void> {
    state.timing[what].start = now();
    try {
      await task();
    } finally {
      state.timing[what].end = now();
    }
  }

  /**
   * Asks the model for one reply and records it. A conversation that does not fit sets `promptTooLong`; a model that fails
   * is the state's `error`.
   */
  protected async takeTurn(state: State, model: ChatModel, options: RolloutOptions): Promise<void> {
    const messages = [...state.prompt, ...state.completion];
    const previousTurn = state.turns.at(-1);
    const previous: PreviousTurn | undefined = previousTurn?.tokens && {
      tokens: previousTurn.tokens,
      messages: previousTurn.promptMessages + 1,
      ended: previousTurn.finishReason !== 'length',
    };
    const start = now();
    options.onPhase?.(`turn ${state.turns.length + 1}`);
    try {
      const sampling = { ...this.sampling, ...options.sampling };
      const tools = state.tools.length > 0 ? { tools: state.tools } : {};
      const reply = await model.complete(
        { messages, sampling, key: options.key, previous, ...tools },
        { signal: state.signal },
      );
      const fitted = reply.tokens && fitTokens(reply.tokens, this.maxSeqLen);
      if (fitted?.overlongPrompt) {
        state.promptTooLong = true;
        state.isTruncated = true;
        return;
      }
      state.completion.push(reply.message);
      state.turns.push({
        promptMessages: messages.length,
        finishReason: fitted?.isTruncated ? 'length' : reply.finishReason,
        span: { start, end: now() },
        usage: reply.usage,
        ...(fitted && { tokens: fitted.tokens }),
        ...(previous && fitted && !continues(fitted.tokens, previous.tokens) && { breaksPrefix: true }),
      });
      if (reply.finishReason === 'length' || fitted?.isTruncated) state.isTruncated = true;
    } catch (error) {
      if (state.signal.aborted) throw error;
      if (error instanceof Error && error.name === 'ContextLengthError') {
        state.promptTooLong = true;
        state.isTruncated = true;
      } else state.error = traceError('model', error);
    }
  }

  #begin(example: Example, { draw, rollout, key, signal }: RolloutOptions): State {
    const start = now();
    const span = () => ({ start, end: start });
    const { exampleId, ...row } = example;
    return {
      environment: this.name,
      task: example.task ?? '',
      taskKey: contentKey(row),
      exampleId,
      draw,
      rollout,
      prompt: this.promptFor(example),
      completion: [],
      answer: example.answer ?? '',
      info: example.info ?? {},
      tools: [...this.toolSchemas()],
      turns: [],
      reward: null,
      metrics: {},
      advantage: null,
      stopCondition: null,
      isTruncated: false,
      error: null,
      timing: { setup: span(), generation: span(), scoring: span(), environment: [] },
      example,
      scratch: {},
      random: new Random(subKey(key, PURPOSE.environment)),
      signal: signal ?? NEVER,
      finalEnvResponse: null,
      promptTooLong: false,
    };
  }
}

/** Whether a turn's prompt goes on from all that the turn before read and wrote. */
function continues({ promptIds }: TurnTokens, before: TurnTokens): boolean {
  return extendsTokens(promptIds, [...before.promptIds, ...before.completionIds]);
}

/** A signal that never aborts. */
const NEVER = new AbortController().signal;

/** A hook that failed, with its name and its own words. */
class HookError extends Error {
  constructor(
    readonly hook: string,
    cause: unknown,
  ) {
    const { name, message } = cause instanceof Error ? cause : new Error(String(cause));
    super(message, { cause });
    this.name = name;
  }
}

/** Times a scoring. */
async function scored({ state }: ScoreCard, score: () => Promise<void>): Promise<void> {
  state.timing.scoring.start = now();
  await score();
  state.timing.scoring.end = now();
}

/**
 * Cuts a turn's tokens to a sequence length. A prompt over the limit, or that leaves no room, has no completion left.
 * @param maxSeqLen tokens of prompt and completion together; Infinity = no limit
 */
export function fitTokens(
  tokens: TurnTokens,
  maxSeqLen: number,
): { tokens: TurnTokens; overlongPrompt: boolean; isTruncated: boolean } {
  const { promptIds, completionIds, logprobs } = tokens;
  const room = Math.max(0, maxSeqLen - promptIds.length);
  if (completionIds.length <= room && promptIds.length <= maxSeqLen) {
    return { tokens, overlongPrompt: false, isTruncated: false };
  }
  return {
    tokens: {
      ...tokens,
      promptIds: promptIds.slice(0, maxSeqLen),
      completionIds: completionIds.slice(0, room),
      logprobs: logprobs.slice(0, room),
    },
    overlongPrompt: promptIds.length > maxSeqLen,
    isTruncated: true,
  };
}
