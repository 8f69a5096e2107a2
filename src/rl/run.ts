/**
 * @file A training run from start to end: starting weights, supervised warm-up where asked for, eval, GRPO, eval.
 *
 * A run is an async generator of events. Whoever consumes it is in control: not pulling the next event is a pause,
 * pulling one step is a single step, leaving the loop is a stop.
 */
import { libraryEntry } from '../envs';
import type { Environment } from '../envs';
import type { DeviceLimits, Gpu } from '../kernels';
import { countParameters, loraCode } from '../model';
import type { TrainConfig } from './config';
import { UnfitConfigError } from './errors';
import { samplingArgs } from './batch';
import { grpoStep } from './grpo';
import type { GrpoFunctions } from './grpo';
import type { MemoryPlan } from './memory';
import type { ModelSources } from './load_model';
import { NO_SOURCES, fill, namesFolder, planRun, readModels, reserve } from './models';
import type { Alongside } from './models';
import type { RolloutPipeline } from './pipeline';
import type { Policy, UpdateResult } from './policy';
import type { Reference } from './reference';
import type { StepReport } from './report';
import { solveRates } from './rollouts';
import type { EvalResult, Group } from './rollouts';
import { learningRate, warmedUp } from './schedule';
import { sftStep } from './sft';
import type { RunSnapshot, WarmUpPosition } from './snapshot';

export type RunEvent =
  | {
      event: 'start';
      env: string;
      seed: number;
      adapter: string;
      parameters: number;
      /** All of them, or with LoRA those of the adapter beside them. */
      trained: number;
      start: string;
      memory: MemoryPlan;
    }
  | { event: 'sft'; phase: 'skill' | 'careless'; step: number; steps: number; update: UpdateResult; t1: number | null }
  | { event: 'eval'; when: 'before' | 'during' | 'after'; step: number; result: EvalResult }
  | ({ event: 'step'; groups_detail: Group[] } & StepReport)
  | {
      event: 'done';
      weights_sha256: string;
      eval_before: EvalResult;
      eval_after: EvalResult;
      steps: number;
      seconds: number;
    };

/** How far the work between two events has come. */
export interface Progress {
  phase: 'evaluating' | 'sampling' | 'updating';
  done: number;
  total: number;
}

export interface RunOptions {
  signal?: AbortSignal | undefined;
  /** Called as work inside an event goes on. */
  onProgress?: ((progress: Progress) => void) | undefined;
  /**
   * Called where a run could be taken up again: after every eval, every `checkpoint.interval` steps, and in the warm-up at
   * its own evals. What it holds has been told in events before; the next event waits for it.
   */
  onSnapshot?: ((snapshot: RunSnapshot) => void | Promise<void>) | undefined;
  /** Go on from here instead of from the start. */
  resume?: RunSnapshot | undefined;
}

/** What settings cannot say. */
export interface RunExtras {
  /** Code in place of settings. */
  functions?: GrpoFunctions | undefined;
  /** What the caller will reserve on the run's device for itself; it counts as part of the memory that the run takes. */
  alongside?: Alongside | undefined;
}

/** Emits an event; the clock stands still while its consumer has it. */
type Emit = (event: RunEvent) => Generator<RunEvent, void, void>;

export class Run {
  /** GRPO steps done. */
  #step = 0;
  #warmUp: WarmUpPosition | null;
  #base: string | undefined;
  /** What is trained, as GRPO started from it. */
  #start: Float32Array<ArrayBuffer> | undefined;
  #evalBefore: EvalResult | null = null;
  #evalLast: EvalResult | null = null;
  #best: { step: number; t1: number } | null = null;
  /** Time spent waiting for the consumer (a pause) does not count. */
  #clock = new Stopwatch(0);

  private constructor(
    readonly config: TrainConfig,
    readonly env: Environment,
    readonly policy: Policy,
    /** What the run takes of the device's memory. */
    readonly memory: MemoryPlan,
    /** What a KL or a distillation is measured against, where there is one. */
    readonly reference: Reference | undefined,
    private readonly rollouts: RolloutPipeline,
    private readonly functions: GrpoFunctions | undefined,
    isSkilled: boolean,
  ) {
    this.#warmUp = isSkilled || config.sft.steps === 0 ? null : { phase: 'skill', step: 0, first: 0 };
  }

  /**
   * Reads the starting weights and reserves memory; nothing is computed yet.
   * @param sources where checkpoints come from; a run from scratch needs none
   * @param environment one of your own; by default the library's that config.env names
   * @throws UnknownEnvironmentError, CheckpointError, NoStarterError, UnfitConfigError, GpuLimitError, GpuMemoryError
   */
  static async create(
    gpu: Gpu,
    config: TrainConfig,
    sources: ModelSources = NO_SOURCES,
    environment?: Environment,
    extras: RunExtras = {},
  ): Promise<Run> {
    const env = environment ?? libraryEntry(config.env).load({ seed: config.seed, ...config.env_args });
    const models = await readModels(config, sources);
    const memory = await planRun(gpu.device.limits, config, env, models, extras.alongside);
    const reserved = await reserve(gpu, config, env, models, memory);
    const { policy, reference, rollouts } = reserved;
    try {
      await fill(reserved, models, config.seed);
      await checkFit(config, env, policy);
      const isSkilled = models.start !== undefined && !config.sft.always;
      return new Run(config, env, policy, memory, reference, rollouts, extras.functions, isSkilled);
    } catch (error) {
      rollouts.destroy();
      reference?.destroy();
      policy.destroy();
      throw error;
    }
  }

  /**
   * What a run would take of a device with these limits; nothing is reserved.
   * @throws UnknownEnvironmentError, CheckpointError, NoStarterError, UnfitConfigError
   */
  static async plan(
    limits: DeviceLimits,
    config: TrainConfig,
    sources: ModelSources = NO_SOURCES,
    environment?: Environment,
    { alongside }: RunExtras = {},
  ): Promise<MemoryPlan> {
    const env = environment ?? libraryEntry(config.env).load({ seed: config.seed, ...config.env_args });
    return planRun(limits, config, env, await readModels(config, sources), alongside);
  }

  /** Runs to the end, event by event. Throws the signal's reason when it aborts; the weights are then those of the last step. */
  async *events(options: RunOptions = {}): AsyncGenerator<RunEvent, void, void> {
    const { config, policy } = this;
    const { grpo } = config;
    if (options.resume) await this.#restore(options.resume);
    const clock = this.#clock;
    const emit: Emit = function* (event) {
      clock.stop();
      yield event;
      clock.start();
    };
    clock.start();
    yield* emit({
      event: 'start',
      env: config.env,
      seed: config.seed,
      adapter: policy.gpu.adapterName,
      parameters: countParameters(policy.config),
      trained: policy.trainable.parameterCount,
      start: config.start,
      memory: this.memory,
    });
    if (this.#warmUp) yield* this.#warmUpSteps(emit, options);

    if (!this.#evalBefore) {
      this.#start = await policy.trainable.readFlat();
      if (!this.#hasTeacher) this.reference?.follow(policy);
      this.#evalBefore = this.#evalLast = await this.evaluate(options);
      this.#rememberBest(0, this.#evalBefore);
      yield* emit({ event: 'eval', when: 'before', step: 0, result: this.#evalBefore });
      await this.#save(options);
    }
    while (this.#step < grpo.steps) {
      const step = this.#step + 1;
      const { report, groups } = await grpoStep(policy, this.env, {
        step,
        config,
        rollouts: this.rollouts,
        reference: this.reference,
        functions: this.functions,
        signal: options.signal,
        onProgress: (done, total) =>
          options.onProgress?.({ phase: done < total ? 'sampling' : 'updating', done, total }),
      });
      this.#step = step;
      if (isDue(step, grpo.reference_sync_interval)) this.reference?.follow(policy);
      yield* emit({ event: 'step', ...report, groups_detail: groups });
      const isLast = step === grpo.steps;
      const evalDue = isLast || isDue(step, config.eval.interval);
      if (evalDue) {
        this.#evalLast = await this.evaluate(options);
        this.#rememberBest(step, this.#evalLast);
        yield* emit({ event: 'eval', when: isLast ? 'after' : 'during', step, result: this.#evalLast });
      }
      if (evalDue || isDue(step, config.checkpoint.interval)) await this.#save(options);
    }
    const hash = await policy.hash();
    yield* emit({
      event: 'done',
      weights_sha256: hash,
      eval_before: this.#evalBefore,
      eval_after: this.#evalLast ?? this.#evalBefore,
      steps: grpo.steps,
      seconds: clock.seconds,
    });
  }

  /** A teacher is read from its folder and never changes. */
  get #hasTeacher(): boolean {
    return namesFolder(this.config.grpo.reference);
  }

  /** Keeps the step of the best eval, and where the reference is to be the best, its weights. */
  #rememberBest(step: number, { t1 }: EvalResult): void {
    if (this.#best && t1 <= this.#best.t1) return;
    this.#best = { step, t1 };
    if (this.config.grpo.reference === 'best') this.reference?.follow(this.policy);
  }

  /** Everything needed to go on from here. To be called between two events. */
  async snapshot(): Promise<RunSnapshot> {
    const { arrays, optimizerStep } = await this.policy.snapshot();
    const { state: rollouts, behind } = await this.rollouts.snapshot();
    const reference = this.#hasTeacher ? undefined : await this.reference?.values.readFlat();
    const base = await this.#fingerprint();
    return {
      step: this.#step,
      arrays: {
        ...arrays,
        ...(this.#start && { start: this.#start }),
        ...(reference && { reference }),
        ...(behind && { behind }),
      },
      state: {
        warmUp: this.#warmUp,
        optimizerStep,
        evalBefore: this.#evalBefore,
        evalLast: this.#evalLast,
        best: this.#best,
        rollouts,
        ...(base !== undefined && { base }),
        seconds: this.#clock.seconds,
      },
    };
  }

  /** Of the weights below the adapter, where there is one. */
  async #fingerprint(): Promise<string | undefined> {
    const { adapter, weights } = this.policy;
    return adapter && (this.#base ??= await (await loraCode()).fingerprint(weights));
  }

  /** @throws UnfitConfigError when the weights below the adapter are not those of the snapshot */
  async #restore({ step, arrays, state }: RunSnapshot): Promise<void> {
    if (state.base !== undefined && state.base !== (await this.#fingerprint())) {
      throw new UnfitConfigError(
        `the base model in ${this.config.base ?? this.config.start} is not the one that this run was started on: ` +
          'its adapter would be of no use',
      );
    }
    this.policy.restore({ arrays, optimizerStep: state.optimizerStep });
    if (arrays.reference && !this.#hasTeacher) this.reference?.values.writeFlat(arrays.reference);
    this.rollouts.restore(state.rollouts, arrays.behind);
    this.#step = step;
    this.#warmUp = state.warmUp;
    this.#start = arrays.start;
    this.#evalBefore = state.evalBefore;
    this.#evalLast = state.evalLast;
    this.#best = state.best;
    this.#clock = new Stopwatch(state.seconds);
  }

  async #save({ onSnapshot }: RunOptions): Promise<void> {
    if (onSnapshot) await onSnapshot(await this.snapshot());
  }

  /** Evaluates the policy as it is on held-out tasks. */
  async evaluate(
    { signal, onProgress }: Pick<RunOptions, 'signal' | 'onProgress'> = {},
    examples = this.config.eval.examples,
  ): Promise<EvalResult> {
    const { env, policy, config } = this;
    return solveRates(env, policy.chatModel(), {
      examples: Math.min(examples, env.evalDataset.length),
      seed: config.seed,
      sampling: samplingArgs(config),
      signal,
      onProgress: (done, total) => onProgress?.({ phase: 'evaluating', done, total }),
    }).finally(() => policy.gpu.check()); // a lost device is no failed eval
  }

  /** Supervised warm-up: first the skill, then (where asked for) a few steps with a careless demonstrator. */
  async *#warmUpSteps(emit: Emit, options: RunOptions): AsyncGenerator<RunEvent, void, void> {
    const { env, policy } = this;
    const { sft, seed } = this.config;
    for (let at = this.#warmUp; at; at = this.#warmUp) {
      options.signal?.throwIfAborted();
      const { phase, first } = at;
      const step = at.step + 1;
      const skill = phase === 'skill';
      const steps = skill ? sft.steps : sft.careless_steps;
      const lr = learningRate(step, warmedUp(skill ? sft.lr : sft.careless_lr, sft.warmup_steps));
      const dropout = policy.adapter?.lora.dropout ?? 0;
      const batch = { first, batchSize: sft.batch_size, seed, careless: skill ? 0 : sft.careless, lr, dropout };
      const update = await sftStep(policy, env, batch);
      const due = step % sft.eval_interval === 0;
      const t1 = due && skill ? (await this.evaluate(options, sft.eval_examples)).t1 : null;
      this.#warmUp = { phase, step, first: first + sft.batch_size };
      if (step === steps || (t1 !== null && t1 >= sft.target)) {
        policy.resetOptimizer();
        this.#warmUp = skill && sft.careless_steps > 0 ? { ...this.#warmUp, phase: 'careless', step: 0 } : null;
      }
      yield* emit({ event: 'sft', phase, step, steps, update, t1 });
      if (due) await this.#save(options);
    }
  }

  /** Frees everything on the device, at any moment. Safe to call twice. */
  destroy(): void {
    this.rollouts.destroy();
    this.reference?.destroy();
    this.policy.destroy();
  }
}

/**
 * What can be known before the first step: that a reply fits the context, and that what is sampled is what is trained on.
 * @throws UnfitConfigError
 */
async function checkFit(config: TrainConfig, env: Environment, policy: Policy): Promise<void> {
  const { topK = 0, topP = 1, minP = 0 } = env.sampling;
  if (config.grpo.steps > 0 && (topK > 0 || topP < 1 || minP > 0)) {
    throw new UnfitConfigError(
      `${env.name} samples with top-k, top-p or min-p: a policy cannot be trained on tokens of a cut distribution`,
    );
  }
  const tools = env.toolSchemas();
  const prompt = policy.text.chat.render(env.promptFor(await env.example(0)), { tools }).length;
  const reply = config.sampling.max_tokens ?? env.sampling.maxTokens ?? 1;
  const context = policy.config.maxPositions;
  if (prompt + reply > context) {
    throw new UnfitConfigError(
      `a prompt of ${prompt} tokens and a reply of up to ${reply} (sampling.max_tokens) do not fit the model's context of ${context}`,
    );
  }
  const { cacheTokens } = policy.generator;
  if (prompt + reply > cacheTokens) {
    throw new UnfitConfigError(
      `a prompt of ${prompt} tokens and a reply of up to ${reply} do not fit the ${cacheTokens} tokens that ` +
        `${config.memory.cache_mb} MiB of keys and values hold (memory.cache_mb)`,
    );
  }
}

function isDue(step: number, interval: number): boolean {
  return interval > 0 && step % interval === 0;
}

/** Seconds of work, pauses left out. */
class Stopwatch {
  #total: number;
  #since: number | undefined;

  constructor(seconds: number) {
    this.#total = seconds;
  }

  start(): void {
    this.#since = performance.now();
  }

  stop(): void {
    this.#total = this.seconds;
    this.#since = undefined;
  }

  get seconds(): number {
    return this.#total + (this.#since === undefined ? 0 : (performance.now() - this.#since) / 1000);
  }
}
