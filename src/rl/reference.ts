/**
 * @file A second model that says how likely it finds the policy's tokens: the reference of a KL, or the teacher of a
 * distillation. It only looks; nothing of it is sampled or trained.
 */
import { Submission, allOrNothing } from '../kernels';
import type { Destroyable, Gpu } from '../kernels';
import { TrainProgram, Weights, packSequences, splitByTokens } from '../model';
import type { ModelConfig, Parameters, Storage, TrainingSequence } from '../model';
import { UnfitConfigError } from './errors';
import type { Policy } from './policy';

export class Reference {
  private constructor(
    private readonly gpu: Gpu,
    private readonly config: ModelConfig,
    /** Its weights, or the adapter that it has beside the policy's frozen weights. */
    readonly values: Parameters,
    private readonly program: TrainProgram,
    private readonly parts: readonly Destroyable[],
  ) {}

  /**
   * Reserves memory for a model of its own, a teacher, with weights of zero.
   * @param tokens that one forward pass takes
   * @throws GpuLimitError, GpuMemoryError; nothing is left allocated then
   */
  static teacher(
    gpu: Gpu,
    config: ModelConfig,
    { tokens, storage }: { tokens: number; storage?: Storage | undefined },
  ): Promise<Reference> {
    return allOrNothing(async (own) => {
      const weights = own(await Weights.create(gpu, config, 'teacher', { storage }));
      const program = own(await TrainProgram.create(weights, null, { tokens, rows: tokens, sequences: tokens }));
      return new Reference(gpu, config, weights, program, [program, weights]);
    });
  }

  /**
   * Reserves memory for the policy at some moment: all its weights, or where it has an adapter, that alone, over the weights
   * that both share.
   * @throws GpuLimitError, GpuMemoryError; nothing is left allocated then
   */
  static beside(policy: Policy): Promise<Reference> {
    const { gpu, config, adapter } = policy;
    const { tokens } = policy.trainProgram.options;
    const capacity = { tokens, rows: tokens, sequences: tokens };
    return allOrNothing(async (own) => {
      if (adapter) {
        const values = own(await adapter.alike('reference'));
        const program = own(await TrainProgram.create(policy.weights, null, { ...capacity, adapter: values }));
        return new Reference(gpu, config, values, program, [program, values]);
      }
      const weights = own(await policy.weights.alike('reference'));
      const program = own(await TrainProgram.create(weights, null, capacity));
      return new Reference(gpu, config, weights, program, [program, weights]);
    });
  }

  /** Becomes the policy as it is now. */
  follow(policy: Policy): void {
    this.values.copyFrom(policy.trainable);
  }

  /**
   * Log-probabilities of the tokens that carry loss, under softmax(logits / temperature): per sequence one number per token,
   * 0 where the mask is 0.
   * @throws ContextLengthError for a sequence that is too long for this model
   */
  async logprobs(sequences: readonly TrainingSequence[], temperature: number): Promise<Float32Array[]> {
    const { program } = this;
    program.temperature = temperature;
    const results: Float32Array[] = [];
    for (const part of splitByTokens(sequences, program.options.tokens)) {
      const batch = packSequences(part, this.config);
      if (batch.rows === 0) {
        results.push(...part.map(({ ids }) => new Float32Array(ids.length)));
        continue;
      }
      program.load(batch);
      const submission = new Submission(this.gpu, 'reference');
      program.forward(submission);
      const read = program.readLogprobs(submission);
      submission.submit();
      const rows = new Float32Array(await read);
      let row = 0;
      for (const { ids, mask } of part) {
        results.push(Float32Array.from(ids, (_, i) => (mask[i] ? rows[row++]! : 0)));
      }
    }
    return results;
  }

  destroy(): void {
    for (const part of this.parts) part.destroy();
  }
}

/**
 * A teacher speaks of the same tokens as its pupil.
 * @throws UnfitConfigError naming the first token that differs
 */
export function checkSameTokens(own: readonly string[], teacher: readonly string[], source: string): void {
  if (own.length !== teacher.length) {
    throw new UnfitConfigError(
      `grpo.reference ${source}: its vocabulary has ${teacher.length} tokens, that of the policy ${own.length}`,
    );
  }
  const at = own.findIndex((token, i) => token !== teacher[i]);
  if (at >= 0) {
    throw new UnfitConfigError(
      `grpo.reference ${source}: token ${at} is ${JSON.stringify(teacher[at])}, that of the policy ${JSON.stringify(own[at])}`,
    );
  }
}
