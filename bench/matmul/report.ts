/** @file What matrix products came to. */
import { describeRatio, geometricMean, median, ratioOf } from '../statistics';
import type { Ratio } from '../statistics';
import { textTable } from '../table';
import { flopsOf } from './shapes';
import type { Shape } from './shapes';

/** Sums of float32 in another order may differ by this share of the largest. */
export const PRODUCT_TOLERANCE = 1e-4;

export interface ShapeResult extends Shape {
  /** Products in a sample. */
  times: number;
  /** Ours first. */
  products: { name: string; ms: number[]; cpuMs: number[] }[];
  /** Of the others' results from ours, as a share of the largest value. */
  differences: number[];
}

export interface ShapeReport extends Shape {
  gflops: Record<string, number>;
  /** Our speed over that of the others, by wall time and by CPU time. */
  over: Record<string, { wall: Ratio; cpu: Ratio; difference: number }>;
}

export interface MatmulReport {
  rounds: number;
  shapes: ShapeReport[];
  /** Per other: geometric mean over the shapes, and the worst of them. */
  summary: Record<string, { wall: Summary; cpu: Summary }>;
}

export interface Summary {
  mean: number;
  worst: number;
  worstShape: string;
}

export function describeShape({ layout, m, n, k }: Shape): string {
  return `${layout} ${m} x ${n} x ${k}`;
}

export function makeMatmulReport(results: readonly ShapeResult[]): MatmulReport {
  const shapes = results.map(({ name, layout, m, n, k, products, differences }): ShapeReport => {
    const [ours, ...others] = products as [ShapeResult['products'][number], ...ShapeResult['products']];
    const shape = { name, layout, m, n, k };
    return {
      ...shape,
      gflops: Object.fromEntries(products.map((each) => [each.name, flopsOf(shape) / median(each.ms) / 1e6])),
      over: Object.fromEntries(
        others.map((other, i) => [
          other.name,
          { wall: ratioOf(other.ms, ours.ms), cpu: ratioOf(other.cpuMs, ours.cpuMs), difference: differences[i]! },
        ]),
      ),
    };
  });
  const others = Object.keys(shapes[0]!.over);
  const summary = (other: string, figure: 'wall' | 'cpu'): Summary => {
    const ratios = shapes.map((shape) => shape.over[other]![figure].ofMedians);
    const worst = Math.min(...ratios);
    return { mean: geometricMean(ratios), worst, worstShape: describeShape(shapes[ratios.indexOf(worst)]!) };
  };
  return {
    rounds: results[0]!.products[0]!.ms.length,
    shapes,
    summary: Object.fromEntries(
      others.map((other) => [other, { wall: summary(other, 'wall'), cpu: summary(other, 'cpu') }]),
    ),
  };
}

/** Why the figures mean nothing, if they do. */
export function matmulProblems({ shapes }: MatmulReport): string[] {
  return shapes.flatMap((shape) =>
    Object.entries(shape.over)
      .filter(([, { difference }]) => !(difference <= PRODUCT_TOLERANCE))
      .map(
        ([other, { difference }]) =>
          `${describeShape(shape)}: ours and ${other} differ by ${difference.toExponential(1)} of the largest value`,
      ),
  );
}

export function formatMatmul({ shapes, summary, rounds }: MatmulReport): string {
  const others = Object.keys(summary);
  const names = ['ours', ...others];
  const head = ['', 'layer', ...names.map((name) => `${name} GFLOP/s`), ...others.map((name) => `over ${name}`)];
  const rows = shapes.map((shape) => [
    describeShape(shape),
    shape.name,
    ...names.map((name) => shape.gflops[name]!.toFixed(2)),
    ...others.map((name) => describeRatio(shape.over[name]!.wall)),
  ]);
  const totals = others.map((name) => {
    const { wall, cpu } = summary[name]!;
    return (
      `over ${name}: geometric mean ${wall.mean.toFixed(2)}, worst ${wall.worst.toFixed(2)} (${wall.worstShape}); ` +
      `by CPU time ${cpu.mean.toFixed(2)}, worst ${cpu.worst.toFixed(2)} (${cpu.worstShape})\n`
    );
  });
  return `medians of ${rounds}, in turns\n${textTable(head, rows)}${totals.join('')}`;
}
