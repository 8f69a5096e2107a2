/** @file A tensor is a named, shaped, 256-byte-aligned piece of a GPU buffer. Row-major, f32 unless it says otherwise. */
import type { Gpu } from './gpu';
import { formatBytes } from './gpu';
import { GpuLimitError } from './errors';

/**
 * Element types. bf16 and f16 lie two to a 32-bit word; q8 is blocks of 32 neighbours in a row, each one f32 scale and 32
 * signed bytes. These three only store: kernels widen what they read and compute in f32.
 */
export type DType = 'f32' | 'u32' | 'bf16' | 'f16' | 'q8';

/** Elements in a block of q8, and its bytes. */
export const Q8_BLOCK = 32;
export const Q8_BLOCK_BYTES = 36;

/** Bytes of so many elements, in whole 32-bit words; of q8 in whole blocks. */
export function bytesOf(elements: number, dtype: DType): number {
  if (dtype === 'bf16' || dtype === 'f16') return Math.ceil(elements / 2) * 4;
  if (dtype === 'q8') return Math.ceil(elements / Q8_BLOCK) * Q8_BLOCK_BYTES;
  return elements * 4;
}

/** WebGPU's default minStorageBufferOffsetAlignment: a binding must start at a multiple of this many bytes. */
export const ALIGNMENT = 256;

/** Rounds a number of bytes up to where the next tensor may start. */
export function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

export class Tensor {
  #buffer: GPUBuffer | undefined;
  #offset = 0;
  /** The tensor this one is a view of, or itself. */
  readonly root: Tensor;

  constructor(
    readonly label: string,
    /** Capacity; a program may use fewer rows (the first dimension) in a run. */
    readonly shape: readonly number[],
    readonly dtype: DType = 'f32',
    private readonly base?: Tensor,
    private readonly baseOffset = 0,
  ) {
    for (const size of shape) {
      if (!Number.isInteger(size) || size < 0) throw new RangeError(`tensor ${label}: shape [${shape.join(', ')}]`);
    }
    this.root = base?.root ?? this;
  }

  /** Gives the tensor its memory: at once for arenas, at `finish()` for a program's own tensors. */
  place(buffer: GPUBuffer, offset: number): this {
    this.#buffer = buffer;
    this.#offset = offset;
    return this;
  }

  get buffer(): GPUBuffer {
    const buffer = this.base ? this.base.buffer : this.#buffer;
    if (!buffer) throw new Error(`tensor ${this.label} has no memory yet`);
    return buffer;
  }

  /** Byte offset in `buffer`. */
  get offset(): number {
    return this.base ? this.base.offset + this.baseOffset : this.#offset;
  }

  /**
   * Another shape over a part of the same memory.
   * @param begin first element; a multiple of 64 (f32), 128 (16 bits) or 2,048 (q8), so that the view can be bound
   */
  view(begin: number, shape: readonly number[]): Tensor {
    const at = bytesOf(begin, this.dtype);
    const view = new Tensor(`${this.label}[${begin}...]`, shape, this.dtype, this, at);
    if (at % ALIGNMENT !== 0 || begin + view.length > this.length) {
      throw new RangeError(`view of ${view.length} elements at ${begin} of ${this.label} [${this.shape.join(', ')}]`);
    }
    return view;
  }

  /** Number of elements. */
  get length(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  get byteLength(): number {
    return bytesOf(this.length, this.dtype);
  }

  /** The binding of this tensor. An empty tensor binds 4 bytes, since WebGPU refuses empty bindings. */
  binding(): GPUBufferBinding {
    return { buffer: this.buffer, offset: this.offset, size: Math.max(4, this.byteLength) };
  }
}

/** Storage that can be copied in both directions: what every tensor's buffer needs. */
export const TENSOR_USAGE = 0x80 | 0x8 | 0x4; // STORAGE | COPY_DST | COPY_SRC (GPUBufferUsage is no global in Node)

/**
 * Throws unless the device can bind a tensor of this shape in one piece.
 * @throws GpuLimitError naming the tensor and both sizes
 */
export function checkBindable(gpu: Gpu, tensor: Tensor): void {
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  if (tensor.byteLength > limit) {
    throw new GpuLimitError(
      `tensor ${tensor.label} [${tensor.shape.join(', ')}] has ${formatBytes(tensor.byteLength)}; ` +
        `this device binds at most ${formatBytes(limit)} at once`,
    );
  }
}

/** How a kernel reads a matrix of this type: the constants of its source. */
export function storageFlags(dtype: DType): Record<'WIDE' | 'BF16' | 'F16' | 'Q8', number> {
  const flags = { BF16: Number(dtype === 'bf16'), F16: Number(dtype === 'f16'), Q8: Number(dtype === 'q8') };
  return { WIDE: 1 - flags.BF16 - flags.F16 - flags.Q8, ...flags };
}

/** Rows of a matrix that one binding can cover. */
export interface RowPiece {
  /** [rows, columns] */
  tensor: Tensor;
  /** First row. */
  first: number;
  rows: number;
}

/** Pieces begin at multiples of this many rows, so that they can be bound whatever the type and the width of a row. */
const PIECE_ROWS = 2048;

/**
 * A matrix in pieces that this device can bind, most often one: the whole.
 * @throws GpuLimitError when not even PIECE_ROWS rows can be bound
 */
export function rowPieces(gpu: Gpu, tensor: Tensor): RowPiece[] {
  const [rows, columns] = tensor.shape as [number, number];
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  if (tensor.byteLength <= limit) return [{ tensor, first: 0, rows }];
  const unit = bytesOf(PIECE_ROWS * columns, tensor.dtype);
  const most = Math.floor(limit / unit) * PIECE_ROWS;
  if (most === 0) checkBindable(gpu, tensor);
  return Array.from({ length: Math.ceil(rows / most) }, (_, i) => {
    const first = i * most;
    const count = Math.min(most, rows - first);
    return { tensor: tensor.view(first * columns, [count, columns]), first, rows: count };
  });
}

/** Of an arena's buffers all but the last are a multiple of this: a table with an entry per 64 words can be bound from there on. */
const BUFFER_UNIT = ALIGNMENT * 64;

/**
 * Memory for tensors, one after the other: one buffer, or several where one would exceed the device's limit. Parameters,
 * gradients and moments each live in an arena of the same layout, so that the optimizer sees flat arrays and a snapshot is
 * one copy.
 */
export class Arena {
  private constructor(
    readonly gpu: Gpu,
    readonly label: string,
    private readonly buffers: readonly GPUBuffer[],
    /** 32-bit words in the arena, padding included. Padding is zero and stays zero. */
    readonly length: number,
    readonly tensors: ReadonlyMap<string, Tensor>,
  ) {}

  /**
   * Lays out and creates an arena, filled with zeros.
   * @param split labels of matrices that are only ever bound in `rowPieces`
   * @throws GpuLimitError, GpuMemoryError
   */
  static async create(
    gpu: Gpu,
    label: string,
    tensors: readonly Tensor[],
    split: ReadonlySet<string> = new Set(),
  ): Promise<Arena> {
    const most = Math.floor(gpu.device.limits.maxBufferSize / BUFFER_UNIT) * BUFFER_UNIT;
    const sizes: number[] = [0];
    const places = tensors.map((tensor) => {
      if (split.has(tensor.label)) rowPieces(gpu, tensor);
      else checkBindable(gpu, tensor);
      const bytes = align(tensor.byteLength);
      if (bytes > most) {
        throw new GpuLimitError(
          `tensor ${tensor.label} [${tensor.shape.join(', ')}] has ${formatBytes(bytes)}; ` +
            `this device's buffers have at most ${formatBytes(most)}`,
        );
      }
      if (sizes.at(-1)! + bytes > most) {
        sizes[sizes.length - 1] = Math.ceil(sizes.at(-1)! / BUFFER_UNIT) * BUFFER_UNIT;
        sizes.push(0);
      }
      const place = { index: sizes.length - 1, offset: sizes.at(-1)! };
      sizes[place.index]! += bytes;
      return place;
    });
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const buffers = await gpu.guarded(`allocating ${label} (${formatBytes(total)})`, () =>
      sizes.map((bytes) => gpu.createBuffer(label, Math.max(ALIGNMENT, bytes), TENSOR_USAGE)),
    );
    tensors.forEach((tensor, i) => tensor.place(buffers[places[i]!.index]!, places[i]!.offset));
    const byLabel = new Map(tensors.map((tensor) => [tensor.label, tensor]));
    return new Arena(gpu, label, buffers, total / 4, byLabel);
  }

  /** The tensor of that label. */
  get(label: string): Tensor {
    const tensor = this.tensors.get(label);
    if (!tensor) throw new Error(`no tensor ${label} in this arena`);
    return tensor;
  }

  /** The whole arena as flat f32 tensors over the same memory: one per buffer, in order. */
  flat(): Tensor[] {
    let left = this.length * 4;
    return this.buffers.map((buffer) => {
      const bytes = Math.min(left, buffer.size);
      left -= bytes;
      return new Tensor(this.label, [bytes / 4]).place(buffer, 0);
    });
  }

  /** First word of a tensor in the flat arena. */
  wordOf(tensor: Tensor): number {
    let begin = 0;
    for (const buffer of this.buffers) {
      if (buffer === tensor.buffer) return begin + tensor.offset / 4;
      begin += buffer.size / 4;
    }
    throw new Error(`tensor ${tensor.label} is not in arena ${this.label}`);
  }

  /** Replaces everything, padding included. */
  write(words: Float32Array<ArrayBuffer>): void {
    if (words.length !== this.length) throw new Error(`${this.label}: ${words.length} words for ${this.length}`);
    let begin = 0;
    for (const { buffer, length } of this.flat()) {
      this.gpu.write(buffer, 0, words.subarray(begin, begin + length));
      begin += length;
    }
  }

  /** Frees the memory. */
  destroy(): void {
    for (const buffer of this.buffers) this.gpu.destroyBuffer(buffer);
  }
}

/** A range of a flat tensor. */
export function rangeOf(flat: Tensor, begin: number, end: number): Tensor {
  return new Tensor(flat.label, [end - begin]).place(flat.buffer, flat.offset + begin * 4);
}
