/** @file Weights in 16 and 8 bits, matrices larger than a binding, and low-rank adapters: what the base kernels do with them. */
import {
  Arena,
  Submission,
  Tensor,
  embedding,
  embeddingBackward,
  groupRowsById,
  headBackward,
  headLinear,
  linear,
  linearBackwardInput,
  loraBackward,
  loraForward,
  rowPieces,
} from '../../src/kernels';
import type { DType, Gpu } from '../../src/kernels';
import { convert, floatToHalf, halfToFloat, unpack } from '../../src/model';
import { Bench, noise } from './harness';
import * as reference from './reference';
import { relativeError } from './report';
import type { Check, CheckCase } from './report';

const STORED = ['bf16', 'f16', 'q8'] as const;
type Stored = (typeof STORED)[number];

/** Values that a type holds exactly (q8: after its own rounding), packed and plain. */
function store(values: Float64Array, dtype: Stored): { words: Uint32Array<ArrayBuffer>; plain: Float32Array } {
  const exact = Float32Array.from(values, (value) => {
    if (dtype === 'f16') return halfToFloat(floatToHalf(value));
    return new Float32Array(Uint32Array.of(new Uint32Array(Float32Array.of(value).buffer)[0]! & 0xffff0000).buffer)[0]!;
  });
  const packed = convert(new Uint8Array(exact.buffer), 'F32', dtype);
  return { words: new Uint32Array(packed.buffer), plain: unpack(packed, dtype, values.length) };
}

/** Number of elements whose bits differ. */
function different(a: Float32Array, b: Float32Array): number {
  const bits = [a, b].map((list) => new Uint32Array(list.buffer, list.byteOffset, list.length));
  return bits[0]!.reduce((sum, word, i) => sum + Number(word !== bits[1]![i]), 0);
}

/** m, n, k; inner sizes that are and are not multiples of 4, of 2, of 32. */
const SIZES: [number, number, number][] = [
  [3, 5, 7],
  [33, 31, 2],
  [65, 36, 64],
  [7, 96, 32],
];

const storageCheck: Check = {
  name: 'matmul with weights of 16 and 8 bits: the bits of the same weights in f32',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const dtype of STORED) {
      for (const [m, n, k] of SIZES) {
        if (dtype === 'q8' && k % 32 !== 0) continue;
        const name = `${dtype} ${m}x${n}x${k}`;
        const x = noise(m * k, 1, m, n, k);
        const { words, plain } = store(noise(n * k, 2, m, n, k), dtype);
        const results = await Promise.all(
          [[words, dtype] as const, [plain, 'f32'] as const].map(async ([values, type]) => {
            const bench = new Bench(gpu);
            const weight = bench.packed('w', values, [n, k], type);
            const y = bench.output('y', [m, n]);
            linear(bench.record, { x: bench.input('x', x), weight, y, live: bench.live(), m, n, k });
            return (await bench.run('y'))[0]!;
          }),
        );
        cases.push({ name: `NT ${name}`, error: different(results[0]!, results[1]!), tolerance: 0 });
        const expected = reference.matmul(
          m,
          n,
          k,
          (i, l) => x[i * k + l]!,
          (l, j) => plain[j * k + l]!,
        );
        cases.push({
          name: `NT ${name} against float64`,
          error: relativeError(results[0]!, expected),
          tolerance: 1e-5,
        });
      }
      // dx = dy W, with W of odd and even widths
      for (const [m, n, k] of [
        [5, 7, 33],
        [9, 64, 6],
        [40, 32, 8],
      ] as const) {
        if (dtype === 'q8' && n % 32 !== 0) continue;
        const dy = noise(m * k, 3, m, n, k);
        const { words, plain } = store(noise(n * k, 4, m, n, k), dtype);
        const results = await Promise.all(
          [[words, dtype] as const, [plain, 'f32'] as const].map(async ([values, type]) => {
            const bench = new Bench(gpu);
            const weight = bench.packed('w', values, [k, n], type);
            linearBackwardInput(bench.record, {
              dy: bench.input('dy', dy),
              weight,
              dx: bench.output('dx', [m, n]),
              m,
              n,
              k,
            });
            return (await bench.run('dx'))[0]!;
          }),
        );
        cases.push({ name: `NN ${dtype} ${m}x${n}x${k}`, error: different(results[0]!, results[1]!), tolerance: 0 });
      }
      const [vocabulary, dim] = [11, 32];
      const { words, plain } = store(noise(vocabulary * dim, 5), dtype);
      const ids = [3, 0, 10, 3, 7];
      const bench = new Bench(gpu);
      const out = bench.output('out', [ids.length, dim]);
      const weight = bench.packed('w', words, [vocabulary, dim], dtype);
      embedding(bench.record, { ids: bench.ids('ids', ids), weight, out, live: bench.live(), rows: ids.length, dim });
      const [rows] = await bench.run('out');
      const expected = Float32Array.from(ids.flatMap((id) => [...plain.subarray(id * dim, (id + 1) * dim)]));
      cases.push({ name: `embedding ${dtype}`, error: different(rows!, expected), tolerance: 0 });
    }
    return cases;
  },
};

/** Runs `work` on a device that claims to bind no more than this. */
async function withBindingLimit<T>(gpu: Gpu, bytes: number, work: () => Promise<T>): Promise<T> {
  const { device } = gpu;
  const own = Object.getOwnPropertyDescriptor(device, 'limits');
  const limits = new Proxy(device.limits, {
    get: (target, key) =>
      key === 'maxStorageBufferBindingSize' ? bytes : (Reflect.get(target, key, target) as unknown),
  });
  Object.defineProperty(device, 'limits', { value: limits, configurable: true });
  try {
    return await work();
  } finally {
    if (own) Object.defineProperty(device, 'limits', own);
    else delete (device as { limits?: unknown }).limits;
  }
}

const piecesCheck: Check = {
  name: 'embedding and head in pieces: the bits of one piece',
  async run(gpu) {
    const [vocabulary, dim, m] = [5001, 12, 4];
    const wide = noise(vocabulary * dim, 1);
    const x = noise(m * dim, 2);
    const dy = noise(m * vocabulary, 3);
    const before = noise(vocabulary * dim, 4);
    const ids = Uint32Array.of(2048, 5000, 0, 2047);
    const run = async (dtype: DType) => {
      const weight = new Tensor('w', [vocabulary, dim], dtype);
      const gradient = new Tensor('gradient', [vocabulary, dim]);
      const large = await Arena.create(gpu, 'large', [weight, gradient], new Set(['w', 'gradient']));
      const words = dtype === 'f32' ? Float32Array.from(wide) : store(wide, dtype as Stored).words;
      gpu.write(weight.buffer, weight.offset, words);
      gpu.write(gradient.buffer, gradient.offset, Float32Array.from(before));
      const bench = new Bench(gpu);
      const input = bench.input('x', x, [m, dim]);
      const live = bench.live();
      const grouped = groupRowsById(ids, vocabulary);
      const y = bench.output('y', [m, vocabulary]);
      headLinear(bench.record, { x: input, weight, y, live, m, n: vocabulary, k: dim });
      headBackward(bench.record, {
        dy: bench.input('dy', dy, [m, vocabulary]),
        x: input,
        weight,
        dx: bench.output('dx', [m, dim]),
        dWeight: gradient,
        rows: m,
        vocabulary,
        dim,
      });
      const out = bench.output('out', [m, dim]);
      embedding(bench.record, { ids: bench.ids('ids', ids), weight, out, live, rows: m, dim });
      embeddingBackward(bench.record, {
        dx: input,
        distinctIds: bench.ids('distinct', grouped.ids),
        begin: bench.ids('begin', grouped.begin),
        order: bench.ids('order', grouped.order),
        gradient,
        distinct: grouped.ids.length,
        dim,
      });
      const outputs = await bench.run('y', 'dx', 'out');
      const read = new Submission(gpu);
      const after = read.read(gradient);
      read.submit();
      outputs.push(new Float32Array(await after));
      large.destroy();
      return { outputs, pieces: rowPieces(gpu, weight).length };
    };
    const cases: CheckCase[] = [];
    // A binding holds 2,048 rows of 12 columns in f32, 4,096 in 16 bits.
    for (const [dtype, pieces] of [
      ['f32', 3],
      ['bf16', 2],
      ['f16', 2],
    ] as const) {
      const whole = await run(dtype);
      const cut = await withBindingLimit(gpu, 2048 * dim * 4, () => run(dtype));
      const counts = Math.abs(cut.pieces - pieces) + Math.abs(whole.pieces - 1);
      cases.push({ name: `${dtype}: number of pieces`, error: counts, tolerance: 0 });
      ['logits', 'dx', 'embedding', 'gradient'].forEach((name, i) =>
        cases.push({ name: `${dtype}: ${name}`, error: different(cut.outputs[i]!, whole.outputs[i]!), tolerance: 0 }),
      );
    }
    return cases;
  },
};

/** Parts of a fused matrix, rank, rows, inner size. */
const LORA_SIZES: [number[], number, number, number][] = [
  [[6, 10, 14], 3, 5, 7],
  [[24, 32, 40], 4, 33, 36],
  [[17, 34], 2, 9, 12],
  [[64], 8, 40, 32],
];

const loraCheck: Check = {
  name: 'LoRA: forward and every gradient against the merged matrix in float64',
  async run(gpu) {
    const cases: CheckCase[] = [];
    const scale = 0.75;
    for (const [ends, rank, m, k] of LORA_SIZES) {
      const n = ends.at(-1)!;
      const width = ends.length * rank;
      const [x, w, down, up] = [noise(m * k, 1), noise(n * k, 2), noise(width * k, 3), noise(n * rank, 4)] as const;
      const [dy, downBefore, upBefore, bias] = [noise(m * n, 5), noise(width * k, 6), noise(n * rank, 7), noise(n, 8)];
      const part = (row: number) => ends.findIndex((end) => row < end);
      const delta = (j: number, l: number) => {
        let sum = 0;
        for (let r = 0; r < rank; r++) sum += up[j * rank + r]! * down[(part(j) * rank + r) * k + l]!;
        return scale * sum;
      };
      const merged = Float64Array.from({ length: n * k }, (_, i) => w[i]! + delta(Math.floor(i / k), i % k));
      const dMerged = reference.matmul(
        n,
        k,
        m,
        (j, i) => dy[i * n + j]!,
        (i, l) => x[i * k + l]!,
      );
      const expected = {
        y: reference
          .matmul(
            m,
            n,
            k,
            (i, l) => x[i * k + l]!,
            (l, j) => merged[j * k + l]!,
          )
          .map((v, i) => v + bias[i % n]!),
        dx: reference.matmul(
          m,
          k,
          n,
          (i, j) => dy[i * n + j]!,
          (j, l) => merged[j * k + l]!,
        ),
        down: downBefore.map((before, at) => {
          const [p, r, l] = [Math.floor(at / (rank * k)), Math.floor(at / k) % rank, at % k];
          let sum = 0;
          for (let j = p === 0 ? 0 : ends[p - 1]!; j < ends[p]!; j++) sum += up[j * rank + r]! * dMerged[j * k + l]!;
          return before + scale * sum;
        }),
        up: upBefore.map((before, at) => {
          const [j, r] = [Math.floor(at / rank), at % rank];
          let sum = 0;
          for (let l = 0; l < k; l++) sum += dMerged[j * k + l]! * down[(part(j) * rank + r) * k + l]!;
          return before + scale * sum;
        }),
      };
      const bench = new Bench(gpu);
      const tensors = {
        down: bench.input('down', down, [width, k]),
        up: bench.input('up', up, [n, rank]),
      };
      const lora = { ...tensors, rank, scale, ends };
      const input = bench.input('x', x, [m, k]);
      const weight = bench.input('w', w, [n, k]);
      const live = bench.live();
      const t = bench.output('t', [m, width]);
      const gradientOfY = bench.input('dy', dy, [m, n]);
      const lowRank = loraForward(bench.record, lora, { x: input, t, live, m, k });
      const y = bench.output('y', [m, n]);
      linear(bench.record, { x: input, weight, y, live, bias: bench.input('bias', bias), m, n, k, lora: lowRank });
      const gradients = {
        down: bench.input('dDown', downBefore, [width, k]),
        up: bench.input('dUp', upBefore, [n, rank]),
      };
      const u = bench.output('u', [m, width]);
      const back = loraBackward(bench.record, lora, gradients, { dy: gradientOfY, x: input, t, u, m, n, k });
      linearBackwardInput(bench.record, {
        dy: gradientOfY,
        weight,
        dx: bench.output('dx', [m, k]),
        m,
        n: k,
        k: n,
        lora: back,
      });
      const [ours, dx, dDown, dUp] = await bench.run('y', 'dx', 'dDown', 'dUp');
      const size = `${ends.join('+')} rank ${rank}, ${m}x${k}`;
      cases.push(
        { name: `y ${size}`, error: relativeError(ours!, expected.y), tolerance: 1e-5 },
        { name: `dx ${size}`, error: relativeError(dx!, expected.dx), tolerance: 2e-5 },
        { name: `d down ${size}`, error: relativeError(dDown!, expected.down), tolerance: 2e-5 },
        { name: `d up ${size}`, error: relativeError(dUp!, expected.up), tolerance: 2e-5 },
      );
    }
    return cases;
  },
};

export const storageKernelChecks: Check[] = [storageCheck, piecesCheck, loraCheck];
