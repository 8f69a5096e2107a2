/**
 * @file What is trained, or has the layout of what is trained: gradients, moments, snapshots, the copies of a sampler and of a
 * reference. A model's weights are parameters, and so is an adapter beside frozen weights; an optimizer, a snapshot or a
 * copy does not ask which.
 */
import { DECAY_BLOCK, Submission, Tensor, bytesOf, rangeOf } from '../kernels';
import type { Arena, Gpu } from '../kernels';
import { CheckpointError } from './errors';
import { FILE_TYPE, StorageError, WEIGHT_BYTES, convert, unpack, widen } from './storage';
import type { Storage, WeightType } from './storage';

/** One tensor by the name it has in files: which arena tensor it is part of, and where. */
export interface NamedTensor {
  name: string;
  shape: number[];
  tensor: Tensor;
  /** First element inside `tensor`. */
  offset: number;
  /** Subject to weight decay: matrices are, norms and biases are not (as in the Hugging Face Trainer). */
  decayed: boolean;
}

/** Values by the names that tensors have in files, in the order of the arena. */
export type TensorValues = Map<string, { shape: number[]; values: Float32Array<ArrayBuffer> }>;

export interface Parameters {
  readonly gpu: Gpu;
  readonly label: string;
  readonly arena: Arena;
  readonly named: readonly NamedTensor[];
  readonly parameterCount: number;
  /** Reserves memory of the same layout, filled with zeros. @throws GpuLimitError, GpuMemoryError */
  alike(label: string): Promise<Parameters>;
  /**
   * Replaces all values. Checks every name, shape and value before the first write.
   * @param source where the values come from, for messages
   * @throws CheckpointError naming the tensor: missing, extra, of another shape, or not finite
   */
  write(values: TensorValues, source: string): void;
  /** Values by name, as f32 whatever they are kept in. */
  read(): Promise<TensorValues>;
  /** Replaces the flat arena, padding included: what `readFlat` returned. */
  writeFlat(words: Float32Array<ArrayBuffer>): void;
  /** The flat arena as it is after everything submitted so far. */
  readFlat(): Promise<Float32Array<ArrayBuffer>>;
  /** Cuts a flat arena into tensors by name. */
  split(flat: Float32Array<ArrayBuffer>): TensorValues;
  /** Fills with zeros, in a submission of its own unless one is given. */
  clear(submission?: Submission): void;
  /** Copies another arena of the same layout, on the GPU. */
  copyFrom(other: Parameters): void;
  /** Weight decay per DECAY_BLOCK words of the arena. */
  decayTable(decay: number): Float32Array<ArrayBuffer>;
  destroy(): void;
}

/** Parameters in an arena. */
export abstract class FlatParameters implements Parameters {
  protected constructor(
    readonly gpu: Gpu,
    readonly label: string,
    readonly arena: Arena,
    readonly named: readonly NamedTensor[],
  ) {}

  abstract get parameterCount(): number;

  abstract alike(label: string): Promise<Parameters>;

  /** Refuses values of other names or shapes. @throws CheckpointError naming the tensor */
  protected abstract check(values: TensorValues, source: string): void;

  write(values: TensorValues, source: string): void {
    this.check(values, source);
    for (const { name } of this.named) {
      const { values: numbers } = values.get(name)!;
      const broken = numbers.findIndex((value) => !Number.isFinite(value));
      if (broken >= 0) throw new CheckpointError(`${source}: tensor ${name} holds ${numbers[broken]} at ${broken}`);
    }
    for (const { name } of this.named) {
      const { buffer, byteOffset, byteLength } = values.get(name)!.values;
      this.writeElements(name, 0, new Uint8Array(buffer, byteOffset, byteLength), 'F32', source);
    }
  }

  /**
   * Writes consecutive elements of a tensor, converted to how it is kept.
   * @param first element; a multiple of 64. Only a tensor's last elements may be of another number.
   * @param bytes elements of the file's type
   * @param source where they come from, for messages
   * @throws CheckpointError naming the tensor, for a value that is not finite or cannot be kept without loss
   */
  writeElements(name: string, first: number, bytes: Uint8Array, type: WeightType, source = this.label): void {
    const { buffer, offset, packed } = this.packElements(name, first, bytes, type, source);
    this.gpu.write(buffer, offset, packed);
  }

  /**
   * What `writeElements` would write, and where: for who brings it there by other means.
   * @param into memory that the result may be in
   */
  packElements(
    name: string,
    first: number,
    bytes: Uint8Array,
    type: WeightType,
    source: string,
    into?: Uint8Array<ArrayBuffer>,
  ): { buffer: GPUBuffer; offset: number; packed: Uint8Array<ArrayBuffer> } {
    const entry = this.entry(name);
    const { tensor, offset, shape } = entry;
    const count = bytes.byteLength / WEIGHT_BYTES[type];
    if (first % 64 !== 0 || first + count > shape.reduce((product, size) => product * size, 1)) {
      throw new RangeError(`${name}: ${count} elements from ${first} on`);
    }
    try {
      const packed = convert(bytes, type, tensor.dtype, into);
      return { buffer: tensor.buffer, offset: tensor.offset + bytesOf(offset + first, tensor.dtype), packed };
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      throw new CheckpointError(`${source}: tensor ${name}, from element ${first} on: ${error.message}`);
    }
  }

  /**
   * Elements of a tensor as they are after everything submitted so far, in the file type that holds them exactly.
   * @param first element; a multiple of 64
   */
  async readElements(
    name: string,
    first: number,
    count: number,
  ): Promise<{ type: WeightType; bytes: Uint8Array<ArrayBuffer> }> {
    const { tensor, offset } = this.entry(name);
    const begin = tensor.offset + bytesOf(offset + first, tensor.dtype);
    const words = bytesOf(count, tensor.dtype) / 4;
    const submission = new Submission(this.gpu, `read ${this.label}`);
    const read = submission.read(new Tensor(name, [words]).place(tensor.buffer, begin));
    submission.submit();
    const bytes = new Uint8Array(await read);
    const storage = tensor.dtype as Storage;
    const type = FILE_TYPE[storage];
    if (storage === 'q8') return { type, bytes: new Uint8Array(unpack(bytes, 'q8', count).buffer) };
    return { type, bytes: bytes.subarray(0, count * WEIGHT_BYTES[type]) };
  }

  /** All values of a tensor, as f32 whatever they are kept in. */
  async readTensor(name: string): Promise<Float32Array<ArrayBuffer>> {
    const { shape } = this.entry(name);
    const length = shape.reduce((product, size) => product * size, 1);
    const values = new Float32Array(length);
    const most = READ_BYTES / 4;
    for (let first = 0; first < length; first += most) {
      const { type, bytes } = await this.readElements(name, first, Math.min(most, length - first));
      values.set(widen(bytes, type), first);
    }
    return values;
  }

  /** @throws RangeError for a name that is not there */
  entry(name: string): NamedTensor {
    const entry = this.named.find((candidate) => candidate.name === name);
    if (!entry) throw new RangeError(`no tensor ${name} in ${this.label}`);
    return entry;
  }

  writeFlat(words: Float32Array<ArrayBuffer>): void {
    this.arena.write(words);
  }

  async readFlat(): Promise<Float32Array<ArrayBuffer>> {
    return readArena(this.arena);
  }

  async read(): Promise<TensorValues> {
    return this.split(await this.readFlat());
  }

  split(flat: Float32Array<ArrayBuffer>): TensorValues {
    const bytes = new Uint8Array(flat.buffer, flat.byteOffset, flat.byteLength);
    return new Map(
      this.named.map(({ name, shape, tensor, offset }) => {
        const begin = this.arena.wordOf(tensor) * 4 + bytesOf(offset, tensor.dtype);
        const length = shape.reduce((product, size) => product * size, 1);
        const own = bytes.subarray(begin, begin + bytesOf(length, tensor.dtype));
        return [name, { shape, values: unpack(own, tensor.dtype, length) }];
      }),
    );
  }

  clear(submission?: Submission): void {
    const given = submission ?? new Submission(this.gpu, `clear ${this.label}`);
    for (const piece of this.arena.flat()) given.clear(piece);
    if (!submission) given.submit();
  }

  copyFrom(other: Parameters): void {
    const submission = new Submission(this.gpu, `copy ${other.label} to ${this.label}`);
    const targets = this.arena.flat();
    other.arena.flat().forEach((piece, i) => submission.copy(piece, targets[i]!));
    submission.submit();
  }

  decayTable(decay: number): Float32Array<ArrayBuffer> {
    const table = new Float32Array(this.arena.length / DECAY_BLOCK);
    for (const { tensor, decayed } of this.named) {
      if (!decayed) continue;
      const begin = this.arena.wordOf(tensor) / DECAY_BLOCK;
      table.fill(decay, begin, begin + Math.ceil(tensor.length / DECAY_BLOCK));
    }
    return table;
  }

  destroy(): void {
    this.arena.destroy();
  }
}

/** Bytes of one readback of a long arena: few enough that the copies do not add up, many enough to be fast. */
export const READ_BYTES = 64 * 2 ** 20;

/** A whole arena, read piece by piece. */
async function readArena(arena: Arena): Promise<Float32Array<ArrayBuffer>> {
  const words = new Float32Array(arena.length);
  let at = 0;
  for (const flat of arena.flat()) {
    for (let begin = 0; begin < flat.length; begin += READ_BYTES / 4) {
      const submission = new Submission(arena.gpu, `read ${arena.label}`);
      const read = submission.read(rangeOf(flat, begin, Math.min(flat.length, begin + READ_BYTES / 4)));
      submission.submit();
      const part = new Float32Array(await read);
      words.set(part, at);
      at += part.length;
    }
  }
  return words;
}
