/** @file One matrix product on made-up operands, for a tuner: its bits, and how long it takes. */
import type { CompiledKernel, Gpu } from './gpu';
import { specialize } from './kernel';
import { tiles } from './program';
import { Q8_BLOCK_BYTES, TENSOR_USAGE, bytesOf, storageFlags } from './tensor';
import type { MatmulProblem, MatmulVariant } from './tuner';

const UNIFORM_USAGE = 0x40 | 0x8; // UNIFORM | COPY_DST
const STAGING_USAGE = 0x1 | 0x8; // MAP_READ | COPY_DST

/** Sizes at which products are measured at most: larger ones are as fast per element, and operands stay below 32 MiB. */
const MOST = { m: 1024, n: 8192, k: 2048, elements: 2 ** 23 };

/** Of the made-up numbers. */
const SEEDS = { a: 1, b: 3, c: 2 };

type Sizes = Pick<MatmulProblem, 'm' | 'n' | 'k'>;

export class MatmulTrial {
  readonly #buffers: GPUBuffer[];
  readonly #bindings: Record<string, GPUBuffer>;
  readonly #bound = new Map<CompiledKernel, GPUBindGroup>();

  private constructor(
    private readonly gpu: Gpu,
    private readonly problem: MatmulProblem,
    private readonly sizes: Sizes,
  ) {
    const { m, n, k } = sizes;
    const { storage } = problem;
    const make = (label: string, bytes: number, usage = TENSOR_USAGE) =>
      gpu.createBuffer(`tuner ${label}`, Math.max(256, bytes), usage);
    // A row of q8 is whole blocks.
    const [rowsOfB, columnsOfB] = problem.layout === 'NT' ? [n, k] : [k, n];
    const bytesOfB = storage === 'q8' ? rowsOfB * bytesOf(columnsOfB, 'q8') : bytesOf(rowsOfB * columnsOfB, storage);
    this.#bindings = {
      params: make('params', 12, UNIFORM_USAGE),
      a: make('a', 4 * m * k),
      b: make('b', bytesOfB),
      c: make('c', 4 * m * n),
      live: make('live', 4),
    };
    this.#buffers = Object.values(this.#bindings);
    const { params, a, b, live } = this.#bindings;
    gpu.write(params!, 0, Uint32Array.of(m, n, k));
    gpu.write(live!, 0, Uint32Array.of(m));
    gpu.write(a!, 0, numbers(m * k, SEEDS.a));
    gpu.write(b!, 0, packed(bytesOfB / 4, problem.storage));
  }

  /** More than one tile of every kernel in both directions, and none of them full at the edge. */
  static small(gpu: Gpu, problem: MatmulProblem): Promise<MatmulTrial> {
    const sizes = problem.aligned ? { m: 148, n: 140, k: 292 } : { m: 147, n: 141, k: 291 };
    return MatmulTrial.#make(gpu, problem, sizes);
  }

  /** As large as the problem, within bounds. */
  static large(gpu: Gpu, problem: MatmulProblem, rows: number): Promise<MatmulTrial> {
    const m = Math.min(rows, MOST.m);
    const k = Math.min(problem.k, MOST.k);
    const n = Math.min(problem.n, MOST.n, Math.max(4, Math.floor(MOST.elements / Math.max(k, m) / 4) * 4));
    return MatmulTrial.#make(gpu, problem, { m, n, k });
  }

  /** @throws GpuMemoryError; nothing is left allocated then */
  static #make(gpu: Gpu, problem: MatmulProblem, sizes: Sizes): Promise<MatmulTrial> {
    return gpu.guarded('kernels are compared', () => new MatmulTrial(gpu, problem, sizes));
  }

  /** Operations of one product. */
  get flops(): number {
    return 2 * this.sizes.m * this.sizes.n * this.sizes.k;
  }

  compile(variant: MatmulVariant): Promise<CompiledKernel> {
    return this.gpu.compile(variant.kernel, this.#constants(variant), 'tunerPipelines');
  }

  /** What the product leaves in C. */
  async run(compiled: CompiledKernel, variant: MatmulVariant): Promise<Float32Array> {
    const { gpu } = this;
    const length = this.sizes.m * this.sizes.n;
    gpu.write(this.#bindings.c!, 0, numbers(length, SEEDS.c)); // TN adds to it
    const staging = gpu.createBuffer('tuner staging', 4 * length, STAGING_USAGE);
    try {
      this.#submit(compiled, variant, 1, (encoder) =>
        encoder.copyBufferToBuffer(this.#bindings.c!, 0, staging, 0, 4 * length),
      );
      await gpu.race(staging.mapAsync(1));
      return new Float32Array(staging.getMappedRange().slice(0));
    } finally {
      gpu.destroyBuffer(staging);
    }
  }

  /** What it should be, in float64; of f32 operands. */
  expected(): Float64Array {
    const { m, n, k } = this.sizes;
    const { layout } = this.problem;
    const a = numbers(m * k, SEEDS.a);
    const b = new Float32Array(packed(n * k, 'f32').buffer);
    const [aRow, aK] = layout === 'TN' ? [1, m] : [k, 1];
    const [bColumn, bK] = layout === 'NT' ? [k, 1] : [1, n];
    const result = layout === 'TN' ? Float64Array.from(numbers(m * n, SEEDS.c)) : new Float64Array(m * n);
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = 0;
        for (let i = 0; i < k; i++) sum += a[row * aRow + i * aK]! * b[column * bColumn + i * bK]!;
        result[row * n + column]! += sum;
      }
    }
    return result;
  }

  /** Milliseconds from submission to completion of so many products. */
  async time(compiled: CompiledKernel, variant: MatmulVariant, repeats: number): Promise<number> {
    await this.gpu.idle();
    const started = performance.now();
    this.#submit(compiled, variant, repeats);
    await this.gpu.idle();
    return performance.now() - started;
  }

  destroy(): void {
    for (const buffer of this.#buffers) this.gpu.destroyBuffer(buffer);
  }

  #constants({ constants }: MatmulVariant): Record<string, number> {
    const { layout, storage, aligned } = this.problem;
    const flags = storageFlags(storage);
    return {
      ...{ NT: 0, NN: 0, TN: 0, BIAS: 0, RESIDUAL: 0 },
      [layout]: 1,
      VEC: Number(aligned),
      ...flags,
      HALF: flags.BF16 + flags.F16,
      ...{ STRIDED: 0, ACC: 0, SCALE: 0, LORA: 0 },
      ...constants,
    };
  }

  #submit(
    compiled: CompiledKernel,
    variant: MatmulVariant,
    repeats: number,
    then?: (encoder: GPUCommandEncoder) => void,
  ): void {
    const { gpu } = this;
    let group = this.#bound.get(compiled);
    if (!group) {
      const { bindings } = specialize(variant.kernel, this.#constants(variant));
      const entries = bindings.map(({ name, binding }) => ({
        binding,
        resource: { buffer: this.#bindings[name]!, ...(name === 'params' && { size: 12 }) },
      }));
      group = gpu.device.createBindGroup({ label: `tuner ${variant.name}`, layout: compiled.layout, entries });
      this.#bound.set(compiled, group);
    }
    const grid = [tiles(this.sizes.n, variant.columns), tiles(this.sizes.m, variant.rows)] as [number, number];
    if (variant.rowsFirst) grid.reverse();
    const encoder = gpu.device.createCommandEncoder({ label: 'tuner' });
    const pass = encoder.beginComputePass();
    pass.setPipeline(compiled.pipeline);
    pass.setBindGroup(0, group);
    for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(...grid);
    pass.end();
    then?.(encoder);
    gpu.device.queue.submit([encoder.finish()]);
  }
}

/** Numbers of both signs and of many magnitudes. */
function numbers(length: number, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2 ** 31 - 1) * 2 ** (((state >>> 7) % 13) - 6);
  }
  return values;
}

/** Words of a matrix as `storage` keeps it. */
function packed(words: number, storage: MatmulProblem['storage']): Uint32Array<ArrayBuffer> {
  const floats = numbers(words, SEEDS.b);
  const bits = new Uint32Array(floats.buffer);
  if (storage === 'q8') {
    // A scale, then bytes; here every scale is a number from the list and the bytes are its neighbours' bits.
    const block = Q8_BLOCK_BYTES / 4;
    for (let i = 0; i < words; i++) if (i % block !== 0) bits[i] = Math.imul(bits[i]!, 0x9e3779b1);
  } else if (storage !== 'f32') {
    // Both halves of a word: a sign, an exponent near 1, a mantissa. The same for both types up to the exponent's width.
    const exponent = storage === 'bf16' ? 0x3f80 : 0x3c00;
    const mantissa = storage === 'bf16' ? 0x7f : 0x3ff;
    for (let i = 0; i < words; i++) {
      const mixed = Math.imul(bits[i]!, 0x9e3779b1) >>> 0;
      const half = (from: number) => (((from & 1) << 15) | exponent | ((from >>> 1) & mantissa)) & 0xffff;
      bits[i] = (half(mixed) | (half(mixed >>> 16) << 16)) >>> 0;
    }
  }
  return bits;
}
