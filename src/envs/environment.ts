/**
 * @file An environment is a dataset, a way to roll out (harness) and a rubric. The same object serves evals, training and
 * synthetic data.
 */
import type { Random, RandomKey } from '../random';
import { exampleAt } from './dataset';
import type { Dataset, Example, TaskRow } from './dataset';
import { Parser } from './parser';
import { Rubric } from './rubric';
import type { Trace, TraceError } from './trace';
import type { ChatModel, Message, PreviousTurn, SamplingArgs } from './types';

/** Writes what a demonstrator would: the messages after the prompt. `careless` is the share of deliberate mistakes. */
export type Demonstrator = (row: TaskRow, random: Random, options: { careless: number }) => Message[];

export interface EnvironmentOptions {
  /** Unique name, as in the library and on the command line. */
  name: string;
  dataset: Dataset;
  /** Held-out tasks; the training dataset where there are none. */
  evalDataset?: Dataset | undefined;
  systemPrompt?: string;
  /** Messages between system prompt and question, for rows that give a question. */
  fewShot?: readonly Message[];
  parser?: Parser;
  rubric?: Rubric;
  /** Defaults of every rollout; the caller's own settings win. */
  sampling?: SamplingArgs;
  /** A reward from here on counts as solved. */
  passThreshold?: number;
  /** Demonstrations for supervised fine-tuning, where the environment can make them. */
  demonstrate?: Demonstrator | undefined;
}

/** Which rollout this is: together with the seed it decides every random number. */
export interface RolloutIdentity {
  draw: number;
  rollout: number;
}

export interface RolloutOptions extends RolloutIdentity {
  sampling?: SamplingArgs;
  /** Of the model's samples. */
  key: RandomKey;
  signal?: AbortSignal | undefined;
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
  readonly demonstrate: Demonstrator | undefined;

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
    this.demonstrate = options.demonstrate;
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

  /**
   * Plays one task with a model and scores it. Failures end up in the trace's `error`; only a cancel is thrown.
   */
  async rollout(example: Example, model: ChatModel, options: RolloutOptions): Promise<Trace> {
    const trace = this.#begin(example, options);
    const started = performance.now();
    try {
      await this.play(trace, model, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      trace.error = errorOf('environment', error);
    }
    trace.timing.generationSeconds = (performance.now() - started) / 1000;
    if (!trace.error) {
      const scoring = performance.now();
      await this.rubric.score(trace);
      trace.timing.scoringSeconds = (performance.now() - scoring) / 1000;
    }
    return trace;
  }

  /** The harness: talks to the model until the rollout is over, filling `completion`, `turns` and `stopCondition`. */
  protected abstract play(trace: Trace, model: ChatModel, options: RolloutOptions): Promise<void>;

  /**
   * Asks the model for one reply and records it.
   * @returns false when the rollout is over: the conversation did not fit, or the model failed
   */
  protected async takeTurn(trace: Trace, model: ChatModel, options: RolloutOptions): Promise<boolean> {
    const messages = [...trace.prompt, ...trace.completion];
    const previousTurn = trace.turns.at(-1);
    const previous: PreviousTurn | undefined = previousTurn?.tokens && {
      tokens: previousTurn.tokens,
      messages: previousTurn.promptMessages + 1,
      ended: previousTurn.finishReason !== 'length',
    };
    const started = performance.now();
    try {
      const sampling = { ...this.sampling, ...options.sampling };
      const reply = await model.complete(
        { messages, sampling, key: options.key, previous },
        { signal: options.signal },
      );
      trace.completion.push(reply.message);
      trace.turns.push({
        promptMessages: messages.length,
        finishReason: reply.finishReason,
        seconds: (performance.now() - started) / 1000,
        ...(reply.tokens && { tokens: reply.tokens }),
      });
      if (reply.finishReason === 'length') trace.isTruncated = true;
      return true;
    } catch (error) {
      if (options.signal?.aborted) throw error;
      if (error instanceof Error && error.name === 'ContextLengthError') {
        trace.stopCondition = 'prompt_too_long';
        trace.isTruncated = true;
      } else trace.error = errorOf('model', error);
      return false;
    }
  }

  #begin(example: Example, { draw, rollout }: RolloutIdentity): Trace {
    return {
      environment: this.name,
      exampleId: example.exampleId,
      draw,
      rollout,
      prompt: this.promptFor(example),
      completion: [],
      answer: example.answer ?? '',
      info: example.info ?? {},
      turns: [],
      reward: null,
      metrics: {},
      advantage: null,
      stopCondition: null,
      isTruncated: false,
      error: null,
      timing: { generationSeconds: 0, scoringSeconds: 0 },
    };
  }
}

function errorOf(source: TraceError['source'], error: unknown): TraceError {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  return { source, name, message };
}
