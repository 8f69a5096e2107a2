/** @file A tensor is a named, shaped, 256-byte-aligned piece of a GPU buffer. Row-major, f32 unless it says u32. */
import type { Gpu } from './gpu';
import { formatBytes } from './gpu';
import { GpuLimitError } from './errors';

export type DType = 'f32' | 'u32';

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
   * @param begin first element; a multiple of 64, so that the view can be bound
   */
  view(begin: number, shape: readonly number[]): Tensor {
    const view = new Tensor(`${this.label}[${begin}...]`, shape, this.dtype, this, begin * 4);
    if ((begin * 4) % ALIGNMENT !== 0 || begin + view.length > this.length) {
      throw new RangeError(`view of ${view.length} elements at ${begin} of ${this.label} [${this.shape.join(', ')}]`);
    }
    return view;
  }

  /** Number of elements. */
  get length(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  get byteLength(): number {
    return this.length * 4;
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

/**
 * One buffer holding tensors one after the other. Parameters, gradients and moments each live in an arena of the same
 * layout, so that the optimizer sees flat arrays and a snapshot is one copy.
 */
export class Arena {
  private constructor(
    readonly gpu: Gpu,
    readonly buffer: GPUBuffer,
    /** Elements in the arena, padding included. Padding is zero and stays zero. */
    readonly length: number,
    readonly tensors: ReadonlyMap<string, Tensor>,
  ) {}

  /**
   * Lays out and creates an arena, filled with zeros.
   * @throws GpuLimitError, GpuMemoryError
   */
  static async create(gpu: Gpu, label: string, tensors: readonly Tensor[]): Promise<Arena> {
    let bytes = 0;
    const offsets = tensors.map((tensor) => {
      checkBindable(gpu, tensor);
      const offset = bytes;
      bytes += align(tensor.byteLength);
      return offset;
    });
    const buffer = await gpu.guarded(`allocating ${label} (${formatBytes(bytes)})`, () =>
      gpu.createBuffer(label, Math.max(ALIGNMENT, bytes), TENSOR_USAGE),
    );
    tensors.forEach((tensor, i) => tensor.place(buffer, offsets[i]!));
    return new Arena(gpu, buffer, bytes / 4, new Map(tensors.map((tensor) => [tensor.label, tensor])));
  }

  /** The tensor of that label. */
  get(label: string): Tensor {
    const tensor = this.tensors.get(label);
    if (!tensor) throw new Error(`no tensor ${label} in this arena`);
    return tensor;
  }

  /** The whole arena, or a range of it, as one flat tensor over the same memory. */
  flat(label: string, begin = 0, end = this.length): Tensor {
    return new Tensor(label, [end - begin]).place(this.buffer, begin * 4);
  }

  /** Frees the memory. */
  destroy(): void {
    this.gpu.destroyBuffer(this.buffer);
  }
}
