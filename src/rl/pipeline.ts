/**
 * @file Where the batches of a run come from. On-policy (level 0), a step's rollouts are sampled by the policy itself when
 * the step begins. One step ahead (level 1), two copies of the policy take turns: while one batch is finished, scored and
 * learned from, the next is already sampled with the weights before that update, so the GPU works while environments make
 * it wait.
 *
 * A batch is a function of the seed, its step and the weights that sampled it, never of what finished first.
 */
import type { Environment } from '../envs';
import type { GeneratorOptions, NativeModel } from '../model';
import { scoredOf, sampleBatch } from './batch';
import type { Batch } from './batch';
import type { TrainConfig } from './config';
import type { Policy } from './policy';
import { Sampler } from './sampler';
import { TaskQueue } from './tasks';
import type { Task, TaskState } from './tasks';

export interface TakeOptions {
  signal?: AbortSignal | undefined;
  /** Rollouts of this step scored so far, of `total`. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What the next batches depend on, beside the policy's weights; plain JSON. */
export interface PipelineState {
  tasks: TaskState;
  /** The batch that is under way. It is sampled again, with the weights it was sampled with. */
  ahead: { step: number; tasks: Task[]; staleness: number } | null;
}

interface Flight {
  step: number;
  tasks: Task[];
  staleness: number;
  sampler: Sampler;
  batch: Promise<Batch>;
}

export class RolloutPipeline {
  readonly queue: TaskQueue;
  #flights: Flight[] = [];
  /** A batch that was under way when the snapshot was taken: to be started with these weights. */
  #resumed: { step: number; tasks: Task[]; staleness: number; weights: Float32Array<ArrayBuffer> } | undefined;
  readonly #ended = new AbortController();
  #watched: { step: number; onProgress: TakeOptions['onProgress'] } | undefined;

  private constructor(
    private readonly policy: Policy,
    private readonly env: Environment,
    private readonly config: TrainConfig,
    /** None: on-policy. */
    private readonly samplers: readonly Sampler[],
  ) {
    this.queue = new TaskQueue(env, config);
  }

  /** On-policy rollouts, whatever the settings say of levels. */
  static onPolicy(policy: Policy, env: Environment, config: TrainConfig): RolloutPipeline {
    return new RolloutPipeline(policy, env, config, []);
  }

  /**
   * At the level that the settings ask for.
   * @param options of the copies that sample
   * @throws UnfitConfigError when the dataset cannot serve them; GpuLimitError, GpuMemoryError
   */
  static async create(
    policy: Policy,
    env: Environment,
    config: TrainConfig,
    options?: GeneratorOptions,
  ): Promise<RolloutPipeline> {
    const samplers: Sampler[] = [];
    try {
      const pipeline = new RolloutPipeline(policy, env, config, samplers);
      for (let i = 0; i < 2 * config.grpo.async_level; i++) samplers.push(await Sampler.create(policy, options));
      return pipeline;
    } catch (error) {
      for (const sampler of samplers) sampler.destroy();
      throw error;
    }
  }

  /** The scored rollouts of a step. To be called once per step, in order, before the step's update. */
  async take(step: number, { signal, onProgress }: TakeOptions = {}): Promise<Batch> {
    this.#watched = { step, onProgress };
    let batch: Batch;
    if (this.samplers.length === 0)
      batch = await this.#sample(step, this.queue.next(step), 0, this.policy.chatModel(), signal);
    else {
      for (let ahead = step; ahead <= Math.min(step + 1, this.config.grpo.steps); ahead++)
        this.#start(ahead, step, signal);
      batch = await this.#flights[0]!.batch;
      this.#flights.shift();
    }
    this.queue.record(
      batch.groups.map(({ exampleId, traces }) => ({
        exampleId,
        rewards: scoredOf(traces).map((trace) => trace.reward!),
      })),
    );
    return batch;
  }

  /** Starts the batch of `step` with the weights before the update of `current`, unless it is under way. */
  #start(step: number, current: number, signal: AbortSignal | undefined): void {
    if (this.#flights.some((flight) => flight.step === step)) return;
    const sampler = this.samplers.find((each) => !this.#flights.some((flight) => flight.sampler === each))!;
    const resumed = this.#resumed?.step === step ? this.#resumed : undefined;
    if (resumed) sampler.take(resumed.weights);
    else sampler.follow(this.policy);
    this.#resumed = undefined;
    const tasks = resumed?.tasks ?? this.queue.next(step);
    const staleness = resumed?.staleness ?? step - current;
    const ended = this.#ended.signal;
    const batch = this.#sample(
      step,
      tasks,
      staleness,
      sampler.model,
      signal ? AbortSignal.any([signal, ended]) : ended,
    );
    batch.catch(() => undefined); // whoever takes the batch hears of it
    this.#flights.push({ step, tasks, staleness, sampler, batch });
  }

  #sample(step: number, tasks: Task[], staleness: number, model: NativeModel, signal: AbortSignal | undefined) {
    return sampleBatch(this.env, model, {
      step,
      tasks,
      staleness,
      config: this.config,
      replacements: (round, count, asked) => this.queue.replacements(step, round, count, asked),
      signal,
      onProgress: (done, total) => {
        if (this.#watched?.step === step) this.#watched.onProgress?.(done, total);
      },
    });
  }

  /** Between two steps: the position, and the weights of the batch under way where there is one. */
  async snapshot(): Promise<{ state: PipelineState; behind: Float32Array<ArrayBuffer> | undefined }> {
    const flight = this.#flights[0];
    const ahead = flight ?? this.#resumed;
    return {
      state: {
        tasks: this.queue.state,
        ahead: ahead ? { step: ahead.step, tasks: ahead.tasks, staleness: ahead.staleness } : null,
      },
      behind: flight ? await flight.sampler.values.readFlat() : this.#resumed?.weights,
    };
  }

  /** Goes on from a snapshot. To be called before the first batch is taken. */
  restore({ tasks, ahead }: PipelineState, behind: Float32Array<ArrayBuffer> | undefined): void {
    this.queue.restore(tasks);
    this.#resumed = ahead && behind ? { ...ahead, weights: behind } : undefined;
  }

  /** Gives up the batches under way and frees the copies. Safe to call twice. */
  destroy(): void {
    this.#ended.abort(new DOMException('the run has ended', 'AbortError'));
    for (const sampler of this.samplers) sampler.destroy();
  }
}
