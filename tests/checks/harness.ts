/** @file Runs kernels on given data and reads the results: what every kernel check needs. */
import { Recorder, Submission } from '../../src/kernels';
import type { DType, Gpu, Tensor } from '../../src/kernels';
import { Random, deriveKey } from '../../src/random';

export type Values = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

export class Bench {
  readonly #uploads: { tensor: Tensor; data: Values }[] = [];
  readonly #outputs = new Map<string, Tensor>();
  readonly record: Recorder;

  constructor(
    readonly gpu: Gpu,
    label = 'check',
  ) {
    this.record = new Recorder(gpu, label);
  }

  /** A tensor with these contents; what a kernel writes into it can be read back under its label. */
  input(label: string, data: ArrayLike<number>, shape: number[] = [data.length], dtype: DType = 'f32'): Tensor {
    const tensor = this.record.input(label, shape, dtype);
    const values = dtype === 'f32' ? new Float32Array(data) : new Uint32Array(data);
    if (values.length > 0) this.#uploads.push({ tensor, data: values });
    this.#outputs.set(label, tensor);
    return tensor;
  }

  /** A matrix as it is stored: words of a packed type, or plain f32. */
  packed(label: string, words: ArrayLike<number>, shape: number[], dtype: DType): Tensor {
    if (dtype === 'f32') return this.input(label, words, shape);
    return this.input(label, words, shape, dtype);
  }

  ids(label: string, data: ArrayLike<number>, shape?: number[]): Tensor {
    return this.input(label, data, shape, 'u32');
  }

  /** A tensor to be written and read back; starts as NaN, so that what a kernel leaves out is seen. */
  output(label: string, shape: number[]): Tensor {
    return this.input(label, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(NaN), shape);
  }

  /** One u32 that lets every row count. */
  live(count = 0xffffffff): Tensor {
    return this.ids('live', [count]);
  }

  /** Runs everything recorded and returns the contents of the named tensors. */
  async run(...labels: string[]): Promise<Float32Array[]> {
    const program = await this.record.finish();
    for (const { tensor, data } of this.#uploads) this.gpu.write(tensor.buffer, 0, data);
    const submission = new Submission(this.gpu).run(program);
    const reads = labels.map((label) => submission.read(this.#outputs.get(label)!));
    submission.submit();
    const results = (await Promise.all(reads)).map((bytes) => new Float32Array(bytes));
    program.destroy();
    return results;
  }
}

/** Normal numbers, the same for the same path. */
export function noise(length: number, ...path: number[]): Float64Array {
  const random = new Random(deriveKey(12345, ...path));
  // Rounded to float32, so that reference and kernel see the same inputs.
  return Float64Array.from(Float32Array.from({ length }, () => random.normal()));
}

/** Numbers from -1 to 1, quickly: for arrays of millions. The same for the same seed, and float32 already. */
export function quickNoise(length: number, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    let h = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca77);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    h = Math.imul(h ^ (h >>> 13), 0x297a2d39);
    values[i] = ((h ^ (h >>> 16)) >>> 8) * 2 ** -23 - 1;
  }
  return values;
}

/**
 * Central differences of a scalar function at `x`, in float64.
 * @returns d f / d x_i
 */
export function numericGradient(f: (x: Float64Array) => number, x: Float64Array, step = 1e-5): Float64Array {
  const at = Float64Array.from(x);
  return Float64Array.from(x, (value, i) => {
    at[i] = value + step;
    const high = f(at);
    at[i] = value - step;
    const low = f(at);
    at[i] = value;
    return (high - low) / (2 * step);
  });
}

/** Sum of products: makes a scalar of an output, so that its gradient is the given upstream gradient's pullback. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
