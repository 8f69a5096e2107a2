/**
 * @file The policy: one set of weights that the sampler reads and the trainer updates. On-policy by construction, since
 * there is no second copy.
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
  hashWeights,
  loadCheckpoint,
  loadText,
  packSequences,
  splitByTokens,
} from '../model';
import type {
  AdamWSettings,
  FileSource,
  GeneratorOptions,
  ModelConfig,
  ModelText,
  TensorValues,
  TrainingSequence,
} from '../model';
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
  /** `parameters`, `exp_avg`, `exp_avg_sq`, in the layout of the weights' arena; others are not looked at. */
  arrays: Record<string, Float32Array<ArrayBuffer>>;
  optimizerStep: number;
}

export class Policy {
  private constructor(
    readonly gpu: Gpu,
    readonly config: ModelConfig,
    readonly text: ModelText,
    readonly weights: Weights,
    readonly gradients: Weights,
    readonly optimizer: AdamW,
    readonly trainProgram: TrainProgram,
    readonly generator: Generator,
  ) {}

  /**
   * Reserves everything a run needs on the device, with weights of zero.
   * @throws GpuLimitError, GpuMemoryError before anything is computed; nothing is left allocated then
   */
  static create(
    gpu: Gpu,
    config: ModelConfig,
    text: ModelText,
    { optimizer: settings, microBatchTokens, recompute = false, generator: sampler }: PolicyOptions,
  ): Promise<Policy> {
    return allOrNothing(async (own) => {
      const weights = own(await Weights.create(gpu, config));
      const gradients = own(await Weights.create(gpu, config, 'gradients'));
      const optimizer = own(await AdamW.create(weights, gradients, settings));
      const tokens = Math.max(microBatchTokens, config.maxPositions);
      const capacity = { tokens, rows: tokens, sequences: tokens };
      const trainProgram = own(await TrainProgram.create(weights, gradients, { ...capacity, recompute }));
      const generator = own(await Generator.create(weights, sampler));
      return new Policy(gpu, config, text, weights, gradients, optimizer, trainProgram, generator);
    });
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

    let report: Awaited<ReturnType<AdamW['update']>> | undefined;
    let metrics: ArrayBuffer | undefined;
    for (const [i, batch] of batches.entries()) {
      train.load(batch);
      const submission = new Submission(this.gpu, 'train');
      if (i === 0) {
        submission.clear(this.gradients.arena.flat('gradients'));
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
  get #arrays(): Record<string, Weights> {
    const { weights, optimizer } = this;
    return { parameters: weights, exp_avg: optimizer.expAvg, exp_avg_sq: optimizer.expAvgSq };
  }

  /** Copies weights and optimizer state to the host. */
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

  /** Forgets moments and step count: a new phase of training begins. */
  resetOptimizer(): void {
    this.optimizer.expAvg.clear();
    this.optimizer.expAvgSq.clear();
    this.optimizer.step = 0;
  }

  /** The model as a Hugging Face folder: file names and bytes. */
  async export(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    return new Map([...formatCheckpoint(this.config, await this.weights.read()), ...this.text.files()]);
  }

  /** SHA-256 of the exported model.safetensors. */
  async hash(): Promise<string> {
    return hashWeights(await this.weights.read());
  }

  /** Frees everything on the device, at any moment: what the generator still owes is rejected. Safe to call twice. */
  destroy(): void {
    this.generator.destroy();
    this.trainProgram.destroy();
    this.optimizer.destroy();
    this.gradients.destroy();
    this.weights.destroy();
  }
}

/** What a folder needs to become a policy. */
export interface LoadedModel {
  config: ModelConfig;
  text: ModelText;
  tensors: TensorValues;
  source: string;
}

/**
 * Reads a checkpoint: config, weights, tokenizer and chat format.
 * @throws CheckpointError naming file and tensor
 */
export async function loadModel(folder: FileSource): Promise<LoadedModel> {
  const { config, tensors } = await loadCheckpoint(folder);
  return { config, text: await loadText(folder, config), tensors, source: folder.name };
}
