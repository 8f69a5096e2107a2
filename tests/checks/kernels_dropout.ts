/** @file Dropout against its definition in float64: mask, scale, and the same mask in the backward. */
import { dropout, dropoutBackward } from '../../src/kernels';
import { threefry } from '../../src/random';
import { Bench, noise } from './harness';
import { relativeError } from './report';
import type { Check, CheckCase } from './report';

const KEY = [0x12345678, 0x9abcdef0] as const;

/** The definition: one 24-bit number per element, two elements per block of random bits. */
function reference(x: ArrayLike<number>, columns: number, rate: number, firstRow: number): Float64Array {
  return Float64Array.from({ length: x.length }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const bits = threefry(KEY, [Math.floor(column / 2), firstRow + row])[column % 2]!;
    return (bits >>> 8) * 2 ** -24 >= rate ? x[at]! / (1 - rate) : 0;
  });
}

/** Rows, columns, rate, number of the first row. */
const CASES: [number, number, number, number][] = [
  [1, 1, 0.5, 0],
  [7, 33, 0.1, 5],
  [130, 64, 0.5, 1000],
  [65, 2, 0.9, 2 ** 31],
  [9, 31, 0, 3],
];

export const dropoutCheck: Check = {
  name: 'dropout',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const [rows, columns, rate, firstRow] of CASES) {
      const name = `${rows}x${columns}, rate ${rate}`;
      const x = noise(rows * columns, 90, rows, columns);
      const dy = noise(rows * columns, 91, rows, columns);
      const before = noise(rows * columns, 92, rows, columns);
      const mask = { rate, key: () => KEY, firstRow };
      const bench = new Bench(gpu);
      const out = bench.output('out', [rows, columns]);
      dropout(bench.record, { x: bench.input('x', x), out, rows, columns, mask });
      const dx = bench.input('dx', before, [rows, columns]);
      dropoutBackward(bench.record, { x: bench.input('dy', dy), out: dx, rows, columns, mask });
      const [ours, gradient] = await bench.run('out', 'dx');
      const expected = reference(x, columns, rate, firstRow);
      cases.push({ name: `${name}: forward`, error: relativeError(ours!, expected, 1), tolerance: 1e-6 });
      const zeros = (values: ArrayLike<number>) => Array.from(values, (value) => value === 0).join();
      cases.push({ name: `${name}: mask`, error: Number(zeros(ours!) !== zeros(expected)), tolerance: 0 });
      // Linear in x, element by element: its gradient is the same mask on dy.
      const added = reference(dy, columns, rate, firstRow).map((value, i) => before[i]! + value);
      cases.push({ name: `${name}: backward`, error: relativeError(gradient!, added, 1), tolerance: 1e-6 });
      const kept = expected.filter((value) => value !== 0).length / expected.length;
      const deviation = Math.sqrt((rate * (1 - rate)) / expected.length);
      cases.push({ name: `${name}: share kept`, error: Math.abs(kept - (1 - rate)), tolerance: 4 * deviation });
    }
    return cases;
  },
};
