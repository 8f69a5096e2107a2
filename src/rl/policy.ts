/**
 * @file The policy: one set of weights that the sampler reads and the trainer updates. On-policy by construction, since
 * there is no second copy. With LoRA the weights are frozen and shared with whoever wants to look, and what is updated is
 * an adapter beside them.
 */
import { LOSS_METRICS, Submission, allOrNothing } from '../kernels';
import type { Gpu } from '../kernels';
import {
  AdamW,
  Generator,
  NativeModel,
  TrainProgram,
  Weights,
  formatCheckpoint,
  loraCode,
  packSequences,
  sha256,
  splitByTokens,
} from '../model';
import type {
  AdamWSettings,
  Adapter,
  GeneratorOptions,
  LoraConfig,
  ModelConfig,
  ModelText,
  Parameters,
  Storage,
  TensorValues,
  TrainingSequence,
} from '../model';
import type { RandomKey } from '../random';
import { lossParameters } from './losses';
import type { LossName, LossSettings } from './losses';

export interface PolicyOptions {
  optimizer: AdamWSettings;
  /** Tokens that one forward and backward pass takes; larger batches are accumulated. */
  microBatchTokens: number;
  /** Compute activations again in the backward pass instead of keeping them: the same bits from less memory. */
  recompute?: boolean;
  /** Of the sampler. */
  generator?: GeneratorOptions;
  /** Train an adapter beside frozen weights, in place of the weights. */
  lora?: LoraConfig | undefined;
  /** How frozen weights are kept. Weights that are trained are f32. */
  storage?: Storage | undefined;
  /** Longest sequence, by default the model's own. It is no part of the model: an export keeps the model's own. */
  context?: number | undefined;
}

/** Which loss an update minimises, and what it divides by. */
export interface Objective {
  loss: LossName;
  settings: LossSettings;
  /** Of the logits: log-probabilities are those of the sampling temperature. */
  temperature: number;
  /** Whether the sequences come with a reference's log-probabilities. */
  hasReference?: boolean;
  /** Sequences of the whole step, those without tokens included. */
  sequences: number;
  maxCompletionLength: number;
  /** Of a supervised update with an adapter: what of the adapter's inputs is left out. */
  dropout?: { rate: number; key: RandomKey } | undefined;
}

/** What an update measured; sums are over the tokens that carried loss. */
export interface UpdateResult {
  loss: number;
  /** Nats per token. */
  entropy: number;
  /** Share of tokens whose ratio was clipped or dropped. */
  clipFraction: number;
  /** Mean of rho - log rho - 1: sampler against trainer. */
  mismatchKl: number;
  /** Mean of exp(ref - new) - (ref - new) - 1: how far from the reference; 0 without one. */
  referenceKl: number;
  /** Largest |new - old|. */
  maxLogRatio: number;
  /** Global gradient norm before clipping. */
  gradNorm: number;
  /** False: the gradient held NaN or infinity and nothing was changed. */
  finite: boolean;
  tokens: number;
  /** Tokens that carried loss. */
  lossTokens: number;
}

/** Everything an update changes, on the host. */
export interface PolicySnapshot {
  /** `parameters`, `exp_avg`, `exp_avg_sq`, in the layout of what is trained; others are not looked at. */
  arrays: Record<string, Float32Array<ArrayBuffer>>;
  optimizerStep: number;
}

/** What a policy holds on its device. */
export interface PolicyParts {
  /** As it is computed with: its longest sequence may be shorter than the model's. */
  config: ModelConfig;
  weights: Weights;
  /** Undefined: the weights are trained. */
  adapter: Adapter | undefined;
  gradients: Parameters;
  optimizer: AdamW;
  trainProgram: TrainProgram;
  generator: Generator;
}

/**
 * Reserves what a policy holds, with weights of zero.
 * @throws GpuLimitError, GpuMemoryError before anything is computed; nothing is left allocated then
 */
export function reservePolicy(gpu: Gpu, model: ModelConfig, options: PolicyOptions): Promise<PolicyParts> {
  const { optimizer: settings, microBatchTokens, recompute = false, generator: sampler, lora, storage } = options;
  const config = { ...model, maxPositions: options.context ?? model.maxPositions };
  return allOrNothing(async (own) => {
    const weights = own(await Weights.create(gpu, config, 'parameters', lora && { storage }));
    const adapter = lora && own(await (await loraCode()).Adapter.create(gpu, config, lora));
    const trainable = adapter ?? weights;
    const gradients = own(await trainable.alike('gradients'));
    const optimizer = own(await AdamW.create(trainable, gradients, settings));
    const tokens = Math.max(microBatchTokens, config.maxPositions);
    const train = { tokens, rows: tokens, sequences: tokens, recompute, adapter, dropout: (lora?.dropout ?? 0) > 0 };
    const trainProgram = own(await TrainProgram.create(weights, gradients, train));
    const generator = own(await Generator.create(weights, { ...sampler, adapter }));
    return { config, weights, adapter, gradients, optimizer, trainProgram, generator };
  });
}

export class Policy {
  readonly config: ModelConfig;
  readonly weights: Weights;
  /** Undefined: the weights are trained. */
  readonly adapter: Adapter | undefined;
  readonly gradients: Parameters;
  readonly optimizer: AdamW;
  readonly trainProgram: TrainProgram;
  readonly generator: Generator;

  private constructor(
    readonly gpu: Gpu,
    /** As an export writes it. */
    readonly modelConfig: ModelConfig,
    readonly text: ModelText,
    parts: PolicyParts,
  ) {
    this.config = parts.config;
    this.weights = parts.weights;
    this.adapter = parts.adapter;
    this.gradients = parts.gradients;
    this.optimizer = parts.optimizer;
    this.trainProgram = parts.trainProgram;
    this.generator = parts.generator;
  }

  /**
   * Reserves everything a run needs on the device, with weights of zero.
   * @throws GpuLimitError, GpuMemoryError before anything is computed; nothing is left allocated then
   */
  static async create(gpu: Gpu, model: ModelConfig, text: ModelText, options: PolicyOptions): Promise<Policy> {
    return new Policy(gpu, model, text, await reservePolicy(gpu, model, options));
  }

  /** What an update changes. */
  get trainable(): Parameters {
    return this.adapter ?? this.weights;
  }

  /** The policy as a model that environments can talk to. */
  chatModel(name = 'policy'): NativeModel {
    return new NativeModel(name, this.text.chat, this.generator);
  }

  /**
   * One optimizer step on all sequences: forward and backward in micro-batches whose gradients add up, then AdamW. One
   * submission where one micro-batch is enough.
   * @throws ContextLengthError for a sequence that is too long, before anything is changed
   */
  async update(sequences: readonly TrainingSequence[], objective: Objective, lr: number): Promise<UpdateResult> {
    const { trainProgram: train } = this;
    const batches = splitByTokens(sequences, train.options.tokens).map((part) => packSequences(part, this.config));
    const lossTokens = batches.reduce((sum, batch) => sum + batch.rows, 0);
    const totals = { ...objective, tokens: lossTokens };
    Object.assign(train.loss, lossParameters(objective.loss, objective.settings, totals));
    train.temperature = objective.temperature;
    const { dropout = NO_DROPOUT } = objective;

    let firstToken = 0;
    let report: Awaited<ReturnType<AdamW['update']>> | undefined;
    let metrics: ArrayBuffer | undefined;
    for (const [i, batch] of batches.entries()) {
      train.load(batch);
      train.dropout = { ...dropout, firstToken };
      firstToken += batch.tokens;
      const submission = new Submission(this.gpu, 'train');
      if (i === 0) {
        this.gradients.clear(submission);
        train.clearMetrics(submission);
      }
      train.forward(submission);
      train.backward(submission);
      if (i < batches.length - 1) submission.submit();
      else {
        const update = this.optimizer.update(submission, lr);
        const read = train.readMetrics(submission);
        submission.submit();
        [report, metrics] = await Promise.all([update, read]);
      }
    }
    if (!report || !metrics) throw new RangeError('an update needs at least one sequence');
    this.generator.invalidate();
    const values = new Float32Array(metrics);
    const sum = (name: (typeof LOSS_METRICS)[number]) => values[LOSS_METRICS.indexOf(name)]!;
    const perToken = (value: number) => value / Math.max(1, lossTokens);
    const clipped = sum('clipLow') + sum('clipHigh');
    return {
      loss: sum('loss'),
      entropy: perToken(sum('entropy')),
      clipFraction:
        objective.loss === 'gspo' ? clipped / Math.max(1, objective.sequences) : perToken(clipped + sum('masked')),
      mismatchKl: perToken(sum('mismatchKl')),
      referenceKl: objective.hasReference ? perToken(sum('referenceKl')) : 0,
      maxLogRatio: sum('maxLogRatio'),
      ...report,
      tokens: batches.reduce((total, batch) => total + batch.tokens, 0),
      lossTokens,
    };
  }

  /** What an update changes, by the name it has in a snapshot. */
  get #arrays(): Record<string, Parameters> {
    const { trainable, optimizer } = this;
    return { parameters: trainable, exp_avg: optimizer.expAvg, exp_avg_sq: optimizer.expAvgSq };
  }

  /** Copies what is trained and the optimizer's state to the host. */
  async snapshot(): Promise<PolicySnapshot> {
    const entries = Object.entries(this.#arrays).map(
      async ([name, values]) => [name, await values.readFlat()] as const,
    );
    return { arrays: Object.fromEntries(await Promise.all(entries)), optimizerStep: this.optimizer.step };
  }

  /** Puts a snapshot back, bit for bit. */
  restore({ arrays, optimizerStep }: PolicySnapshot): void {
    for (const [name, values] of Object.entries(this.#arrays)) values.writeFlat(arrays[name]!);
    this.optimizer.step = optimizerStep;
    this.generator.invalidate();
  }

  /** Replaces the weights and starts the optimizer anew. */
  setWeights(tensors: TensorValues, source: string): void {
    this.weights.write(tensors, source);
    this.resetOptimizer();
    this.generator.invalidate();
  }

  /**
   * Replaces the adapter and starts the optimizer anew. No sequence may be in flight.
   * @param tensors by PEFT's names
   * @throws CheckpointError naming the tensor
   */
  setAdapter(tensors: TensorValues, source: string): void {
    if (!this.adapter) throw new Error('this policy has no adapter: its weights are trained');
    this.adapter.write(tensors, source);
    this.resetOptimizer();
    this.generator.invalidate();
  }

  /** Forgets moments and step count: a new phase of training begins. */
  resetOptimizer(): void {
    this.optimizer.expAvg.clear();
    this.optimizer.expAvgSq.clear();
    this.optimizer.step = 0;
  }

  /** The model as a Hugging Face folder, or its adapter as PEFT's: file names and bytes. */
  async export(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    return this.files(await this.trainable.read());
  }

  /** The same from values of what is trained: it needs no device. */
  files(tensors: TensorValues): Map<string, Uint8Array<ArrayBuffer>> {
    const { adapter, modelConfig, text } = this;
    const own = adapter ? adapter.files(tensors) : formatCheckpoint(modelConfig, tensors);
    return new Map([...own, ...text.files()]);
  }

  /** The model as a whole with the adapter merged into it, file by file: what is read of the weights is one tensor at a time. */
  async *merged(): AsyncGenerator<[file: string, bytes: Uint8Array<ArrayBuffer>], void, void> {
    const { adapter, modelConfig, text, weights } = this;
    if (!adapter) throw new Error('this policy has no adapter: its weights are trained');
    const { lora } = adapter;
    const { mergedModel } = await loraCode();
    yield* text.files();
    yield* mergedModel(modelConfig, (name) => weights.readTensor(name), { lora, tensors: await adapter.read() });
  }

  /** SHA-256 of the exported model.safetensors, or adapter_model.safetensors. */
  async hash(): Promise<string> {
    const files = await this.export();
    return sha256([...files].find(([name]) => name.endsWith('.safetensors'))![1]);
  }

  /** Frees everything on the device, at any moment: what the generator still owes is rejected. Safe to call twice. */
  destroy(): void {
    this.generator.destroy();
    this.trainProgram.destroy();
    this.optimizer.destroy();
    this.gradients.destroy();
    this.adapter?.destroy();
    this.weights.destroy();
  }
}

const NO_DROPOUT = { rate: 0, key: [0, 0] } as const;
