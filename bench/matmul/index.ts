/** @file f32 matrix products at a transformer's shapes: ours, jax-js's and a plain register-tiled kernel, in turns. */
import { Random, deriveKey } from '../../src/random';
import type { Bench } from '../measure';
import { measure } from '../measure';
import { median } from '../statistics';
import { jaxProduct, ourProduct, plainProduct } from './products';
import type { Operands, Product } from './products';
import { makeMatmulReport } from './report';
import type { MatmulReport, ShapeResult } from './report';
import { FAMILIES, LAYOUTS, flopsOf, operandsOf, shapesOf } from './shapes';
import type { Family, Shape } from './shapes';

export { formatMatmul, matmulProblems } from './report';
export type { MatmulReport } from './report';

const ROUNDS = 15;

/** A sample shorter than this would measure the submission. */
const SAMPLE_MS = 20;

const MOST_TIMES = 64;

/** Its first layer is enough to run every layout. */
const QUICK_FAMILY: Family = { model: 'XS', tokens: 64, dim: 32, heads: 2, kvHeads: 1, headDim: 16, ffn: 64 };

export async function benchMatmul(bench: Bench): Promise<MatmulReport> {
  const { quick, rounds = quick ? 1 : ROUNDS } = bench.options;
  const results: ShapeResult[] = [];
  for (const shape of quick ? shapesOf([QUICK_FAMILY]).slice(0, LAYOUTS.length) : shapesOf(FAMILIES)) {
    const result = await benchShape(bench, shape, rounds);
    const rates = result.products.map(({ name, ms }) => `${name} ${(flopsOf(shape) / median(ms) / 1e6).toFixed(2)}`);
    bench.say(`matmul ${shape.layout} ${shape.m} x ${shape.n} x ${shape.k}, GFLOP/s: ${rates.join(', ')}`);
    results.push(result);
  }
  return makeMatmulReport(results);
}

async function benchShape(bench: Bench, shape: Shape, rounds: number): Promise<ShapeResult> {
  const { gpu, options } = bench;
  const operands = randomOperands(shape);
  const products: Product[] = [await ourProduct(gpu, shape, operands), await plainProduct(gpu, shape, operands)];
  if (options.peers.includes('jax-js')) products.push(await jaxProduct(gpu, shape, operands));
  const [own, ...others] = await Promise.all(products.map((product) => product.result()));
  const differences = others.map((other) => difference(own!, other));

  for (const product of products) await product.run(1); // buffers and caches as they will be
  const { wallMs } = await measure(bench, () => products[0]!.run(1));
  const times = options.quick ? 1 : Math.min(MOST_TIMES, Math.max(1, Math.ceil(SAMPLE_MS / wallMs)));
  const measured = products.map(({ name }) => ({ name, ms: [] as number[], cpuMs: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const [i, product] of products.entries()) {
      const cost = await measure(bench, () => product.run(times));
      measured[i]!.ms.push(cost.wallMs / times);
      measured[i]!.cpuMs.push(cost.cpuMs / times);
    }
  }
  for (const product of products) product.destroy();
  return { ...shape, times, products: measured, differences };
}

function randomOperands(shape: Shape): Operands {
  const { a, b } = operandsOf(shape);
  const fill = ([rows, columns]: [number, number], stream: number) => {
    const random = new Random(deriveKey(7, stream));
    return Float32Array.from({ length: rows * columns }, () => 2 * random.next() - 1);
  };
  return { a: fill(a, 0), b: fill(b, 1) };
}

/** Largest difference, as a share of the largest value. */
function difference(own: Float32Array, other: Float32Array): number {
  if (own.length !== other.length) return Infinity;
  let [largest, worst] = [0, 0];
  for (let i = 0; i < own.length; i++) {
    largest = Math.max(largest, Math.abs(own[i]!));
    const distance = Math.abs(own[i]! - other[i]!);
    if (!(distance <= worst)) worst = distance; // NaN stays
  }
  return worst / largest;
}
