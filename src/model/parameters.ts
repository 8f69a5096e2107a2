/**
 * @file What is trained, or has the layout of what is trained: gradients, moments, snapshots, the copies of a sampler and of a
 * reference. A model's weights are parameters, and so is an adapter beside frozen weights; an optimizer, a snapshot or a
 * copy does not ask which.
 */
import type { Arena, Gpu } from '../kernels';
import { DECAY_BLOCK, Submission } from '../kernels';
import { CheckpointError } from './errors';
import type { NamedTensor, TensorValues } from './weights';

export interface Parameters {
  readonly gpu: Gpu;
  readonly label: string;
  readonly arena: Arena;
  readonly named: readonly NamedTensor[];
  readonly parameterCount: number;
  /** Reserves memory of the same layout, filled with zeros. @throws GpuLimitError, GpuMemoryError */
  alike(label: string): Promise<Parameters>;
  /** Replaces all values. @throws CheckpointError naming the tensor that does not fit or is not finite */
  write(values: TensorValues, source: string): void;
  /** Values by name. */
  read(): Promise<TensorValues>;
  /** Replaces the flat arena, padding included: what `readFlat` returned. */
  writeFlat(words: Float32Array<ArrayBuffer>): void;
  /** The flat arena as it is after everything submitted so far. */
  readFlat(): Promise<Float32Array<ArrayBuffer>>;
  /** Cuts a flat arena into tensors by name. */
  split(flat: Float32Array<ArrayBuffer>): TensorValues;
  /** Fills with zeros. */
  clear(): void;
  /** Copies another arena of the same layout, on the GPU. */
  copyFrom(other: Parameters): void;
  /** Weight decay per DECAY_BLOCK elements of the arena. */
  decayTable(decay: number): Float32Array<ArrayBuffer>;
  destroy(): void;
}

/** Float32 parameters in one flat arena. */
export abstract class FlatParameters implements Parameters {
  protected constructor(
    readonly gpu: Gpu,
    readonly label: string,
    readonly arena: Arena,
    readonly named: readonly NamedTensor[],
  ) {}

  abstract get parameterCount(): number;

  abstract alike(label: string): Promise<Parameters>;

  /** Refuses values of other names or shapes. @throws CheckpointError */
  protected abstract check(values: TensorValues, source: string): void;

  write(values: TensorValues, source: string): void {
    this.check(values, source);
    const words = new Float32Array(this.arena.length);
    for (const { name, tensor, offset } of this.named) {
      const given = values.get(name)!;
      const broken = given.values.findIndex((value) => !Number.isFinite(value));
      if (broken >= 0)
        throw new CheckpointError(`${source}: tensor ${name} holds ${given.values[broken]} at ${broken}`);
      words.set(given.values, tensor.offset / 4 + offset);
    }
    this.gpu.write(this.arena.buffer, 0, words);
  }

  async read(): Promise<TensorValues> {
    return this.split(await this.readFlat());
  }

  writeFlat(words: Float32Array<ArrayBuffer>): void {
    if (words.length !== this.arena.length) throw new Error(`${this.label}: ${words.length} of ${this.arena.length}`);
    this.gpu.write(this.arena.buffer, 0, words);
  }

  async readFlat(): Promise<Float32Array<ArrayBuffer>> {
    const submission = new Submission(this.gpu, `read ${this.label}`);
    const bytes = submission.read(this.arena.flat(this.label));
    submission.submit();
    return new Float32Array(await bytes);
  }

  split(flat: Float32Array<ArrayBuffer>): TensorValues {
    return new Map(
      this.named.map(({ name, shape, tensor, offset }) => {
        const begin = tensor.offset / 4 + offset;
        const length = shape.reduce((product, size) => product * size, 1);
        return [name, { shape, values: flat.slice(begin, begin + length) }];
      }),
    );
  }

  clear(): void {
    new Submission(this.gpu, `clear ${this.label}`).clear(this.arena.flat(this.label)).submit();
  }

  copyFrom(other: Parameters): void {
    const submission = new Submission(this.gpu, `copy ${other.label} to ${this.label}`);
    submission.copy(other.arena.flat(other.label), this.arena.flat(this.label)).submit();
  }

  decayTable(decay: number): Float32Array<ArrayBuffer> {
    const table = new Float32Array(this.arena.length / DECAY_BLOCK);
    for (const { tensor, decayed } of this.named) {
      if (!decayed) continue;
      const begin = tensor.offset / 4 / DECAY_BLOCK;
      table.fill(decay, begin, begin + Math.ceil(tensor.length / DECAY_BLOCK));
    }
    return table;
  }

  destroy(): void {
    this.arena.destroy();
  }
}
