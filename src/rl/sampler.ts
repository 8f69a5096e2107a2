/** @file A copy of the policy that samples while the original learns. */
import { allOrNothing } from '../kernels';
import { Generator, NativeModel, Weights } from '../model';
import type { GeneratorOptions } from '../model';
import type { Policy } from './policy';

export class Sampler {
  private constructor(
    readonly weights: Weights,
    readonly generator: Generator,
    readonly model: NativeModel,
  ) {}

  /**
   * Reserves memory for weights and cache.
   * @throws GpuLimitError, GpuMemoryError; nothing is left allocated then
   */
  static create(policy: Policy, options?: GeneratorOptions): Promise<Sampler> {
    return allOrNothing(async (own) => {
      const weights = own(await Weights.create(policy.gpu, policy.config, 'sampler'));
      const generator = own(await Generator.create(weights, options));
      return new Sampler(weights, generator, new NativeModel('policy', policy.text.chat, generator));
    });
  }

  /** Takes the policy's weights as they are now. No sequence may be in flight. */
  follow(policy: Policy): void {
    this.weights.copyFrom(policy.weights);
    this.generator.invalidate();
  }

  /** Takes weights that were read back before. No sequence may be in flight. */
  take(flat: Float32Array<ArrayBuffer>): void {
    this.weights.writeFlat(flat);
    this.generator.invalidate();
  }

  destroy(): void {
    this.generator.destroy();
    this.weights.destroy();
  }
}
