/** @file Every kernel that a tuner may choose for a matrix product gives the base kernel's bits, in all that a product can be. */
import { linear, linearBackwardInput, linearBackwardWeight } from '../../src/kernels';
import type { DType, Gpu, MatmulVariant, Tuner } from '../../src/kernels';
import { MATMUL_VARIANTS, canDo } from '../../src/kernels/matmul_variants';
import { Bench, noise } from './harness';
import { different, store } from './kernels_storage';
import type { Stored } from './kernels_storage';
import type { Check, CheckCase } from './report';

/** A tuner that always says the same, where the kernel can do the layout at all. */
export function forced(gpu: Gpu, variant: MatmulVariant): Tuner {
  return {
    matmul: (problem) =>
      Promise.resolve(canDo(variant, problem, gpu.device.features) ? [{ variant, upTo: Infinity }] : []),
  };
}

/** Runs `work` with one variant forced; undefined: the base kernels. */
export async function withVariant<T>(gpu: Gpu, variant: MatmulVariant | undefined, work: () => Promise<T>): Promise<T> {
  const before = gpu.tuner;
  gpu.tuner = variant && forced(gpu, variant);
  try {
    return await work();
  } finally {
    gpu.tuner = before;
  }
}

/** Variants other than the base kernel that this device can run. */
export function variantsOf({ device }: Gpu): MatmulVariant[] {
  const layouts = ['NT', 'NN', 'TN'] as const;
  const like = { storage: 'f32', aligned: true, m: 1, n: 1, k: 1, few: false } as const;
  return MATMUL_VARIANTS.slice(1).filter((variant) =>
    layouts.some((layout) => canDo(variant, { ...like, layout }, device.features)),
  );
}

/** m, n, k: less than a tile, and more than one of the largest kernel; rows of A and B in vec4 or not. */
const SMALL = [5, 12, 36] as const;
const LARGE = [133, 131, 70] as const;
const LARGE_ALIGNED = [70, 132, 68] as const;

type Run = (gpu: Gpu) => Promise<Float32Array[]>;

/** Every layout, flag and storage, in as few kernels as possible: some take a software adapter seconds to compile. */
function products(): [string, Run][] {
  const packedWeights = (rows: number, columns: number, type: Stored) => store(noise(rows * columns, 4), type).words;
  const nt =
    ([m, n, k]: readonly [number, number, number], type: DType = 'f32'): Run =>
    (gpu) => {
      const bench = new Bench(gpu);
      const words = type === 'f32' ? noise(n * k, 4) : packedWeights(n, k, type as Stored);
      const weight = bench.packed('w', words, [n, k], type);
      const y = bench.output('y', [m, n]);
      linear(bench.record, { x: bench.input('x', noise(m * k, 1)), weight, y, live: bench.live(), m, n, k });
      return bench.run('y');
    };
  const nn =
    ([m, n, k]: readonly [number, number, number], type: DType = 'f32'): Run =>
    (gpu) => {
      const bench = new Bench(gpu);
      const words = type === 'f32' ? noise(k * n, 4) : packedWeights(k, n, type as Stored);
      const weight = bench.packed('w', words, [k, n], type);
      const dx = bench.output('dx', [m, n]);
      linearBackwardInput(bench.record, { dy: bench.input('dy', noise(m * k, 1)), weight, dx, m, n, k });
      return bench.run('dx');
    };
  const tn =
    ([m, n, k]: readonly [number, number, number]): Run =>
    (gpu) => {
      const bench = new Bench(gpu);
      const [dy, x] = [bench.input('dy', noise(k * m, 1)), bench.input('x', noise(k * n, 2))];
      linearBackwardWeight(bench.record, { dy, x, dWeight: bench.input('dw', noise(m * n, 3), [m, n]), m, n, k });
      return bench.run('dw');
    };
  const everything: Run = (gpu) => {
    const [m, n, k] = LARGE;
    const rank = 3;
    const bench = new Bench(gpu);
    linear(bench.record, {
      x: bench.input('x', noise(m * k, 1)),
      weight: bench.input('w', noise(n * k, 2)),
      y: bench.input('y', noise(m * n, 3), [m, n]),
      live: bench.live(m - 30),
      bias: bench.input('bias', noise(n, 4)),
      residual: bench.input('residual', noise(m * n, 5)),
      lora: {
        t: bench.input('t', noise(m * 2 * rank, 6), [m, 2 * rank]),
        up: bench.input('up', noise(n * rank, 7)),
        ...{ rank, ends: [50, n] },
      },
      ...{ m, n, k },
    });
    return bench.run('y');
  };
  const parts: Run = (gpu) => {
    const [m, n, k] = LARGE;
    const rank = 2;
    const bench = new Bench(gpu);
    linearBackwardInput(bench.record, {
      dy: bench.input('dy', noise(m * (k + 8), 1)),
      weight: bench.input('w', noise((k + 1) * (n + 8), 2)),
      dx: bench.input('dx', noise((m + 1) * (n + 3), 3), [m + 1, n + 3]),
      lora: {
        t: bench.input('t', noise(m * rank, 4), [m, rank]),
        down: bench.input('down', noise(rank * n, 5)),
        rank,
      },
      a: { stride: k + 8, column: 4 },
      b: { stride: n + 8, column: 4, row: 1 },
      c: { stride: n + 3, column: 2, row: 1 },
      ...{ accumulate: true, scale: 0.3 },
      ...{ m, n, k },
    });
    linearBackwardWeight(bench.record, {
      dy: bench.input('dy2', noise(k * (m + 4), 1)),
      x: bench.input('x', noise(k * (n + 4), 2)),
      dWeight: bench.input('dw', noise((m + 2) * n, 3), [m + 2, n]),
      ...{ a: { stride: m + 4, column: 4 }, b: { stride: n + 4 }, c: { stride: n, row: 2 } },
      ...{ m, n, k },
    });
    return bench.run('dx', 'dw');
  };
  const tiny: Run = (gpu) => {
    const bench = new Bench(gpu);
    const [m, n, k] = [5, 8, 4];
    const x = bench.input('x', new Float32Array(m * k).fill(-1e-30));
    const weight = bench.input('w', new Float32Array(n * k).fill(1e-30));
    linear(bench.record, { x, weight, y: bench.output('y', [m, n]), live: bench.live(), m, n, k });
    return bench.run('y');
  };
  return [
    ['NT', nt(LARGE_ALIGNED)],
    ['NT of one row', nt([1, 132, 68])],
    ['NT, small', nt(SMALL)],
    // Zeros that a kernel adds past the end would turn the sign.
    ['NT, sums that underflow to -0', tiny],
    ['NT with bias, residual, low rank and rows that do not count', everything],
    ['NT in bf16', nt(LARGE_ALIGNED, 'bf16')],
    ['NN', nn(LARGE_ALIGNED)],
    ['NN, small', nn(SMALL)],
    ['NN in q8', nn([33, 96, 36], 'q8')],
    ['NN and TN on parts of wider matrices: scaled, going on, low rank', parts],
    ['TN', tn([132, 68, 300])],
    ['TN, more blocks of k than are computed at once', tn([20, 24, 2200])],
  ];
}

/** What the base kernel makes of a product; computed once. */
const expectations = new Map<string, Float32Array[]>();

export const variantKernelChecks: Check[] = MATMUL_VARIANTS.slice(1).map((variant) => ({
  name: `matmul variant ${variant.name}: the bits of the base kernel, whatever the product`,
  async run(gpu) {
    if (!variantsOf(gpu).includes(variant))
      return [{ name: 'this adapter lacks what it needs', error: 0, tolerance: 0 }];
    const cases: CheckCase[] = [];
    for (const [name, run] of products()) {
      let expected = expectations.get(name);
      if (!expected) expectations.set(name, (expected = await withVariant(gpu, undefined, () => run(gpu))));
      const actual = await withVariant(gpu, variant, () => run(gpu));
      const error = actual.reduce((sum, output, i) => sum + different(output, expected[i]!), 0);
      cases.push({ name, error, tolerance: 0 });
    }
    return cases;
  },
}));
