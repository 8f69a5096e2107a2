/**
 * @file A second model that says how likely it finds the policy's tokens: the reference of a KL, or the teacher of a
 * distillation. It only looks; nothing of it is sampled or trained.
 */
import { Submission, allOrNothing } from '../kernels';
import type { Gpu } from '../kernels';
import { TrainProgram, Weights, packSequences, splitByTokens } from '../model';
import type { ModelConfig, TensorValues, TrainingSequence } from '../model';
import { UnfitConfigError } from './errors';

export class Reference {
  private constructor(
    readonly weights: Weights,
    private readonly program: TrainProgram,
  ) {}

  /**
   * Reserves memory, with weights of zero.
   * @param tokens that one forward pass takes
   * @throws GpuLimitError, GpuMemoryError; nothing is left allocated then
   */
  static create(gpu: Gpu, config: ModelConfig, tokens: number): Promise<Reference> {
    return allOrNothing(async (own) => {
      const weights = own(await Weights.create(gpu, config, 'reference'));
      const capacity = { tokens, rows: tokens, sequences: tokens };
      return new Reference(weights, own(await TrainProgram.create(weights, null, capacity)));
    });
  }

  /** @throws CheckpointError naming the tensor that does not fit */
  load(tensors: TensorValues, source: string): void {
    this.weights.write(tensors, source);
  }

  /**
   * Log-probabilities of the tokens that carry loss, under softmax(logits / temperature): per sequence one number per token,
   * 0 where the mask is 0.
   * @throws ContextLengthError for a sequence that is too long for this model
   */
  async logprobs(sequences: readonly TrainingSequence[], temperature: number): Promise<Float32Array[]> {
    const { program, weights } = this;
    program.temperature = temperature;
    const results: Float32Array[] = [];
    for (const part of splitByTokens(sequences, program.options.tokens)) {
      const batch = packSequences(part, weights.config);
      if (batch.rows === 0) {
        results.push(...part.map(({ ids }) => new Float32Array(ids.length)));
        continue;
      }
      program.load(batch);
      const submission = new Submission(weights.gpu, 'reference');
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
    this.program.destroy();
    this.weights.destroy();
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
