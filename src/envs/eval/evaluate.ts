/**
 * @file Evaluation: plays an environment's tasks with a model, many rollouts in flight, stores each as it finishes, and
 * sums up.
 *
 * A rollout's random numbers are a function of seed, example and rollout alone. So an evaluation that was interrupted and
 * resumed is the uninterrupted one, and one with more examples contains the one with fewer.
 */
import { PURPOSE, Random, deriveKey } from '../../random';
import type { Environment, RolloutOptions, RolloutPhase } from '../environment';
import { now, traceError } from '../trace';
import type { Trace } from '../trace';
import type { ChatModel, SamplingArgs } from '../types';
import { ResultsError } from './read_results';
import { LIBRARY_VERSION, RESULTS_VERSION, resultTools, formatSampling } from './results';
import type { ResultMetadata } from './results';
import { ResultsWriter } from './results_writer';
import { resumeRun, rolloutId } from './resume';
import type { KeptRollout, ResumeReport } from './resume';
import { backOff, jitterKey, sleep } from './retry';
import { Slots } from './slots';
import type { ResultStore } from './store';
import { summarize } from './summary';
import type { Summary } from './summary';

export interface EvaluateOptions {
  /** Examples from the start of the dataset, or of its shuffled order; -1 = all. More than there are is all. */
  numExamples?: number;
  rolloutsPerExample?: number;
  /** Rollouts in flight; a group that is scored as a whole is in flight as a whole. */
  maxConcurrent?: number;
  /** Decides every random number of the rollouts. */
  seed?: number;
  /** Takes examples in random order instead of the dataset's. */
  shuffle?: boolean;
  /** Of the order; `seed` unless given. */
  shuffleSeed?: number;
  /** Over the environment's own settings. */
  sampling?: SamplingArgs;
  /** How often a rollout that the model failed is played again before it counts as failed. */
  maxRetries?: number;
  /** Seconds before the first of these; doubles with each. */
  retrySeconds?: number;
  split?: 'train' | 'eval';
  /** Cancels. What is finished stays in the store. */
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: EvalProgress) => void) | undefined;
  /** Called as a phase of a rollout begins; one that is played again begins anew. */
  onPhase?: ((exampleId: number, rollout: number, phase: RolloutPhase) => void) | undefined;
  /** Called as each rollout is finished and stored. */
  onTrace?: ((trace: Trace) => void) | undefined;
  /** Where results go; nowhere unless given. */
  store?: ResultStore | undefined;
  /** Go on with what is in the store instead of refusing to write over it. */
  resume?: boolean;
  /** Called once with what was found there. */
  onResume?: ((report: ResumeReport) => void) | undefined;
  /** Also store token ids and log-probabilities, of models that know them. */
  saveTokens?: boolean;
  labels?: RunLabels;
}

/** What metadata.json says and cannot be seen from environment and model. */
export interface RunLabels {
  envArgs?: Record<string, unknown>;
  baseUrl?: string;
  envVersion?: string;
  /** Settings that only the endpoint knows. */
  samplingArgs?: Record<string, unknown>;
}

export interface EvalProgress {
  /** Rollouts finished, those taken over by a resume included. */
  done: number;
  total: number;
  /** Failed among them. */
  errors: number;
  /** Rollouts per second since the start; 0 before the first. */
  rate: number;
  /** Null while the rate is not known. */
  secondsLeft: number | null;
}

export interface Evaluation {
  /** In the order of examples, then rollouts. Those taken over by a resume are as the file has them. */
  traces: Trace[];
  summary: Summary;
  metadata: ResultMetadata;
  /** What a resume found. */
  resumed: ResumeReport | null;
}

/** An evaluation that cannot be done as asked. Nothing was played. */
export class EvaluationError extends Error {
  override name = 'EvaluationError';
}

/** The device under the model was lost: no rollout can be played any more, and none is to blame. */
export class ModelGoneError extends Error {
  override name = 'ModelGoneError';
}

/** Errors of the model after which there is none. */
const GONE: ReadonlySet<string> = new Set(['DeviceLostError', 'GeneratorDestroyedError']);

/** Errors of the model that no second try mends. */
const HOPELESS: ReadonlySet<string> = new Set([
  ...['AuthenticationError', 'ModelNotFoundError', 'BadRequestError', 'NotAnApiError'], // an endpoint's
  ...['TokenizerError', 'NonFiniteLogitsError'], // our own model's
]);

/** Some rollouts of one example that are played and stored together. */
interface Job {
  exampleId: number;
  rollouts: number[];
}

/**
 * Evaluates a model in an environment.
 *
 * A rollout that the model failed (an endpoint that is down, a lost device) is played again with growing pauses; where
 * that does not help it stays with its error, and is left out of every mean: it is never a reward of 0. Errors of the
 * environment or of a reward function are kept as they are.
 * @throws EvaluationError for settings that make no sense, ResultsError for a store that holds something else,
 * ModelGoneError when the model's device is lost (what is finished stays, a resume goes on), the signal's reason when
 * cancelled, and whatever the store throws
 */
export async function evaluate(env: Environment, model: ChatModel, options: EvaluateOptions = {}): Promise<Evaluation> {
  return new EvalRun(env, model, options).run();
}

class EvalRun {
  readonly #finished = new Map<string, Trace>();
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  readonly #settings;
  readonly #order: readonly number[];
  readonly #start = now();
  #secondsBefore = 0;
  #takenOver = 0;
  #errors = 0;
  #writer: ResultsWriter | undefined;

  constructor(
    readonly env: Environment,
    readonly model: ChatModel,
    readonly options: EvaluateOptions,
  ) {
    const { numExamples = -1, rolloutsPerExample = 1, maxConcurrent = 32, maxRetries = 3, retrySeconds = 1 } = options;
    const { seed = 0, shuffle = false, shuffleSeed = seed, split = 'eval' } = options;
    requireWhole('numExamples', numExamples, -1);
    requireWhole('rolloutsPerExample', rolloutsPerExample, 1);
    if (maxConcurrent !== Infinity) requireWhole('maxConcurrent', maxConcurrent, 1);
    requireWhole('maxRetries', maxRetries, 0);
    requireWhole('seed', seed, 0);
    requireWhole('shuffleSeed', shuffleSeed, 0);
    this.#settings = { rolloutsPerExample, maxConcurrent, maxRetries, retrySeconds, seed, shuffle, shuffleSeed, split };
    this.#order = exampleOrder(env, { numExamples, shuffle, shuffleSeed, split });
    const { signal } = this.#controller;
    this.#signal = options.signal ? AbortSignal.any([options.signal, signal]) : signal;
  }

  async run(): Promise<Evaluation> {
    const { options } = this;
    options.signal?.throwIfAborted();
    const report = options.store ? await this.#open(options.store) : null;
    if (report) options.onResume?.(report);
    this.#report();
    try {
      await this.#playAll();
    } finally {
      const written = this.#writer?.flush();
      // On the way out with an error that one counts, not a store that is broken as well.
      await (this.#signal.aborted ? written?.catch(() => undefined) : written);
    }
    const traces = this.#traces();
    return { traces, summary: this.#summary(traces), metadata: this.#metadata(), resumed: report };
  }

  /** Takes over what is in the store, or makes sure that there is nothing. */
  async #open(store: ResultStore): Promise<ResumeReport | null> {
    const { resume = false, saveTokens = false } = this.options;
    let report: ResumeReport | null = null;
    let lines: string[] = [];
    if (resume) {
      const saved = await resumeRun(store, this.#metadata(), new Set(this.#order));
      report = saved.report;
      this.#secondsBefore = saved.seconds;
      lines = this.#takeOver(saved.kept);
    } else if (!(await isEmpty(store))) {
      throw new ResultsError(`${store.name} already holds results: resume that run, or write to another folder`);
    }
    // Only now: lines without a torn end and without those that are played again.
    await store.replace(lines);
    this.#writer = new ResultsWriter(store, () => this.#metadata(), saveTokens);
    await this.#writer.flush();
    return report && { ...report, kept: this.#takenOver };
  }

  /** @returns the lines that stay */
  #takeOver(kept: ReadonlyMap<string, KeptRollout>): string[] {
    const { rolloutsPerExample } = this.#settings;
    const lines: string[] = [];
    for (const exampleId of this.#order) {
      const group = Array.from({ length: rolloutsPerExample }, (_, i) => kept.get(rolloutId(exampleId, i)));
      // Functions that score a group need all of it: half a group begins again.
      if (this.env.rubric.hasGroupRewards && group.includes(undefined)) continue;
      for (const rollout of group) {
        if (!rollout) continue;
        lines.push(rollout.text);
        this.#finished.set(rolloutId(exampleId, rollout.trace.rollout), rollout.trace);
      }
    }
    this.#takenOver = lines.length;
    return lines;
  }

  async #playAll(): Promise<void> {
    const { maxConcurrent } = this.#settings;
    const slots = new Slots(maxConcurrent);
    const running = new Set<Promise<void>>();
    try {
      for (const job of this.#jobs()) {
        const size = Math.min(job.rollouts.length, maxConcurrent);
        await slots.take(size, this.#signal);
        const task = this.#playJob(job)
          .catch((error: unknown) => this.#controller.abort(error))
          .finally(() => {
            running.delete(task);
            slots.give(size);
          });
        running.add(task);
      }
    } finally {
      await Promise.all(running);
    }
    if (this.#finished.size < this.#total) this.#signal.throwIfAborted();
  }

  /** What is left to do, in order: rollouts one by one where they are scored one by one, else whole groups. */
  *#jobs(): Generator<Job, void, void> {
    for (const exampleId of this.#order) {
      const rollouts = Array.from({ length: this.#settings.rolloutsPerExample }, (_, i) => i).filter(
        (rollout) => !this.#finished.has(rolloutId(exampleId, rollout)),
      );
      if (rollouts.length === 0) continue;
      if (this.env.rubric.hasGroupRewards) yield { exampleId, rollouts };
      else for (const rollout of rollouts) yield { exampleId, rollouts: [rollout] };
    }
  }

  async #playJob(job: Job): Promise<void> {
    const { rolloutsPerExample } = this.#settings;
    const traces = await this.#playWithRetries(job);
    await this.#writer?.append(traces);
    for (const trace of traces) {
      this.#finished.set(rolloutId(trace.exampleId, trace.rollout), trace);
      if (trace.error) this.#errors++;
      this.options.onTrace?.(trace);
    }
    const group = Array.from({ length: rolloutsPerExample }, (_, i) => rolloutId(job.exampleId, i));
    if (group.every((id) => this.#finished.has(id))) this.#writer?.touchMetadata();
    this.#report();
  }

  async #playWithRetries(job: Job): Promise<Trace[]> {
    const { maxRetries, retrySeconds } = this.#settings;
    const random = new Random(jitterKey(this.#options(job, job.rollouts[0]!).key));
    for (let attempt = 0; ; attempt++) {
      const traces = await this.#play(job);
      if (traces.length > job.rollouts.length) {
        throw new EvaluationError(
          `${this.env.name}: several seats are trained in its ${this.#settings.split} tasks, and an evaluation is of one: ` +
            'take tasks with a fixed opponent',
        );
      }
      const gone = traces.find(({ error }) => error && GONE.has(error.name))?.error;
      if (gone) throw new ModelGoneError(`the model is gone: ${gone.name}: ${gone.message}`);
      const worthIt = traces.some(({ error }) => error?.source === 'model' && !HOPELESS.has(error.name));
      if (!worthIt || attempt >= maxRetries) return traces;
      await sleep(backOff(attempt, retrySeconds, random), this.#signal);
    }
  }

  async #play(job: Job): Promise<Trace[]> {
    const { env, model } = this;
    const rollouts = job.rollouts.map((rollout) => this.#options(job, rollout));
    try {
      const example = await env.example(job.exampleId, this.#settings.split);
      return await env.rolloutGroup(example, model, rollouts);
    } catch (error) {
      this.#signal.throwIfAborted();
      return rollouts.map((options) => unplayed(env, job.exampleId, options, error));
    }
  }

  #options({ exampleId }: Job, rollout: number): RolloutOptions {
    const key = deriveKey(this.#settings.seed, PURPOSE.evaluation, 0, exampleId, rollout, 0);
    const { sampling = {}, onPhase } = this.options;
    const phases = onPhase && { onPhase: (phase: RolloutPhase) => onPhase(exampleId, rollout, phase) };
    return { draw: 0, rollout, key, sampling, signal: this.#signal, ...phases };
  }

  get #total(): number {
    return this.#order.length * this.#settings.rolloutsPerExample;
  }

  #report(): void {
    const done = this.#finished.size;
    const rate = (done - this.#takenOver) / Math.max(1e-3, now() - this.#start);
    const secondsLeft = rate > 0 ? (this.#total - done) / rate : null;
    this.options.onProgress?.({ done, total: this.#total, errors: this.#errors, rate, secondsLeft });
  }

  /** Finished rollouts in order, each with its advantage in its group. */
  #traces(): Trace[] {
    const { rolloutsPerExample } = this.#settings;
    return this.#order.flatMap((exampleId) => {
      const group = Array.from({ length: rolloutsPerExample }, (_, rollout) =>
        this.#finished.get(rolloutId(exampleId, rollout)),
      ).filter((trace) => trace !== undefined);
      const rewards = group.flatMap(({ reward }) => reward ?? []);
      const mean = rewards.reduce((sum, reward) => sum + reward, 0) / Math.max(1, rewards.length);
      return group.map((trace) => ({ ...trace, advantage: trace.reward === null ? null : trace.reward - mean }));
    });
  }

  #summary(traces: readonly Trace[]): Summary {
    const { rolloutsPerExample } = this.#settings;
    return summarize(traces, { rolloutsPerExample, passThreshold: this.env.passThreshold });
  }

  #metadata(): ResultMetadata {
    const { env, model, options } = this;
    const { rolloutsPerExample, seed, shuffle, shuffleSeed, split } = this.#settings;
    const { envArgs = {}, baseUrl = '', envVersion = null, samplingArgs: labelled = {} } = options.labels ?? {};
    const traces = [...this.#finished.values()];
    const summary = this.#summary(traces);
    const tools = env.toolSchemas();
    return {
      env_id: env.name,
      env_args: envArgs,
      model: model.name,
      base_url: baseUrl,
      num_examples: this.#order.length,
      rollouts_per_example: rolloutsPerExample,
      shuffle,
      shuffle_seed: shuffle ? shuffleSeed : null,
      sampling_args: { ...formatSampling({ ...env.sampling, ...options.sampling }), ...labelled },
      time: this.#secondsBefore + now() - this.#start,
      avg_reward: summary.reward?.mean ?? null,
      avg_metrics: Object.fromEntries(Object.entries(summary.metrics).map(([name, { mean }]) => [name, mean])),
      avg_error: summary.failed / Math.max(1, summary.rollouts),
      pass_at_k: summary.passAtK,
      pass_all_k: summary.passAllK,
      pass_threshold: summary.passThreshold,
      usage: summary.usage,
      version_info: { vf_version: LIBRARY_VERSION, vf_commit: null, env_version: envVersion, env_commit: null },
      state_columns: [],
      tools: tools.length > 0 ? resultTools(tools) : null,
      terrarium: {
        version: RESULTS_VERSION,
        seed,
        split,
        done: traces.length,
        total: this.#total,
        reward_interval: summary.reward?.interval ?? null,
        weights: weightsOf(env),
      },
    };
  }
}

function requireWhole(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new EvaluationError(`${name}: ${value} is not a whole number of at least ${least}`);
}

/** Which examples, in which order. More examples begin with the same ones. */
function exampleOrder(
  env: Environment,
  options: { numExamples: number; shuffle: boolean; shuffleSeed: number; split: 'train' | 'eval' },
): number[] {
  const { numExamples, shuffle, shuffleSeed, split } = options;
  const { length } = split === 'eval' ? env.evalDataset : env.dataset;
  if (numExamples === 0) throw new EvaluationError('numExamples: 0 examples are nothing to evaluate; -1 means all');
  if (length === 0) throw new EvaluationError(`the ${split} dataset of ${env.name} is empty`);
  if (length === Infinity) {
    const endless = `the ${split} dataset of ${env.name} has no end`;
    if (numExamples < 0) throw new EvaluationError(`numExamples: ${endless}; say how many examples`);
    if (shuffle) throw new EvaluationError(`shuffle: ${endless}; its rows come in the order of their seed`);
  }
  const count = numExamples < 0 ? length : Math.min(numExamples, length);
  const random = new Random(deriveKey(shuffleSeed, PURPOSE.order));
  const moved = new Map<number, number>(); // a shuffle from the front, as far as it is needed
  return Array.from({ length: count }, (_, i) => {
    if (!shuffle) return i;
    const from = random.between(i, length - 1);
    const picked = moved.get(from) ?? from;
    moved.set(from, moved.get(i) ?? i);
    return picked;
  });
}

async function isEmpty(store: ResultStore): Promise<boolean> {
  if ((await store.readMetadata()) !== undefined) return false;
  for await (const _ of store.lines()) return false;
  return true;
}

/** The record of a rollout that could not even begin: its row lacks something, say. */
function unplayed(env: Environment, exampleId: number, { draw, rollout }: RolloutOptions, error: unknown): Trace {
  const start = now();
  const span = () => ({ start, end: start });
  return {
    environment: env.name,
    task: '',
    taskKey: '',
    exampleId,
    draw,
    rollout,
    prompt: [],
    completion: [],
    answer: '',
    info: {},
    tools: [...env.toolSchemas()],
    turns: [],
    reward: null,
    metrics: {},
    advantage: null,
    stopCondition: 'has_error',
    isTruncated: false,
    error: traceError('environment', error),
    timing: { setup: span(), generation: span(), scoring: span(), environment: [] },
  };
}

/** Weights by name, where each function has a name of its own. */
function weightsOf({ rubric }: Environment): Record<string, number> {
  const { names, weights } = rubric;
  if (names.length !== weights.length) return {};
  return Object.fromEntries(names.map((name, i) => [name, weights[i]!]));
}
