/**
 * @file A copy of the policy that samples while the original learns. Where the policy has an adapter, the adapter alone is
 * copied: the weights below it do not change, and are shared.
 */
import { allOrNothing } from '../kernels';
import { Generator, NativeModel } from '../model';
import type { GeneratorOptions, Parameters } from '../model';
import type { Policy } from './policy';

export class Sampler {
  private constructor(
    /** The copy: of the policy's weights, or of its adapter. */
    readonly values: Parameters,
    readonly generator: Generator,
    readonly model: NativeModel,
  ) {}

  /**
   * Reserves memory for the copy and its cache.
   * @param name of the model, and `label` of its memory
   * @throws GpuLimitError, GpuMemoryError; nothing is left allocated then
   */
  static create(
    policy: Policy,
    options: GeneratorOptions = {},
    { name = 'policy', label = 'sampler' } = {},
  ): Promise<Sampler> {
    return allOrNothing(async (own) => {
      const adapter = policy.adapter && own(await policy.adapter.alike(label));
      const weights = adapter ? policy.weights : own(await policy.weights.alike(label));
      const generator = own(await Generator.create(weights, { ...options, adapter }));
      return new Sampler(adapter ?? weights, generator, new NativeModel(name, policy.text.chat, generator));
    });
  }

  /** Becomes the policy as it is now. No sequence may be in flight. */
  follow(policy: Policy): void {
    this.values.copyFrom(policy.trainable);
    this.generator.invalidate();
  }

  /** Takes what was read back of a policy before. No sequence may be in flight. */
  take(flat: Float32Array<ArrayBuffer>): void {
    this.values.writeFlat(flat);
    this.generator.invalidate();
  }

  destroy(): void {
    this.generator.destroy();
    this.values.destroy();
  }
}
