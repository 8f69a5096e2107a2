/** @file Conversions between the types of files and those of the GPU's memory, over more elements than are converted at once. */
import { expect, it } from 'vitest';
import { convert, halfToFloat, unpack } from '../../src/model';
import type { Storage, WeightType } from '../../src/model';

const COUNT = 3 * 2 ** 14 + 17;

/** Values that every type holds exactly: few bits, of both signs, zero among them. */
const VALUES = Float32Array.from({ length: COUNT }, (_, i) => (((i * 7919) % 255) - 127) / 64);

const FILES: Record<WeightType, Uint8Array<ArrayBuffer>> = {
  F32: new Uint8Array(VALUES.buffer),
  BF16: new Uint8Array(Uint16Array.from(new Uint32Array(VALUES.buffer), (bits) => bits >>> 16).buffer),
  F16: new Uint8Array(Uint16Array.from(VALUES, (value) => halfOf(value)).buffer),
};

/** The half whose value this is, found by bisection over the ordered positive halves. */
function halfOf(value: number): number {
  let [low, high] = [0, 0x7bff];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (halfToFloat(middle) < Math.abs(value)) low = middle + 1;
    else high = middle;
  }
  return low | (value < 0 ? 0x8000 : 0);
}

const FROM: WeightType[] = ['F32', 'BF16', 'F16'];

it.each(FROM.flatMap((from) => (['f32', 'bf16', 'f16'] as const).map((to) => [from, to] as const)))(
  '%s to %s and back is exact, also in memory that was used before and from an odd place',
  (from, to) => {
    const into = new Uint8Array(4 * COUNT + 100).fill(0xff);
    const moved = new Uint8Array(FILES[from].byteLength + 1);
    moved.set(FILES[from], 1);
    for (const packed of [
      convert(FILES[from], from, to),
      convert(FILES[from], from, to, into),
      convert(moved.subarray(1), from, to, into),
    ]) {
      expect(packed.byteLength % 4).toBe(0);
      expect(Buffer.from(unpack(packed, to, COUNT).buffer).equals(Buffer.from(VALUES.buffer))).toBe(true);
      // What fills the last word is no number.
      expect([...packed.subarray(COUNT * (to === 'f32' ? 4 : 2))].every((byte) => byte === 0)).toBe(true);
    }
  },
);

it('q8 is the same from every type, and at most half a step off', () => {
  const packed = FROM.map((from) => convert(FILES[from], from, 'q8', new Uint8Array(2 * COUNT).fill(0xff)));
  expect(Buffer.from(packed[1]!).equals(packed[0]!)).toBe(true);
  expect(Buffer.from(packed[2]!).equals(packed[0]!)).toBe(true);
  const back = unpack(packed[0]!, 'q8', COUNT);
  const worst = VALUES.reduce((most, value, i) => Math.max(most, Math.abs(value - back[i]!)), 0);
  expect(worst).toBeLessThanOrEqual(127 / 64 / 127 / 2 + 1e-6);
});

it.each<[Storage, number, string]>([
  ['bf16', 1 + 2 ** -20, '1.00000095367431640625 at 40000 has no equal in bf16'],
  ['f16', 1e6, '1000000 at 40000 has no equal in f16'],
  ['f16', Infinity, 'not a finite number at 40000'],
  ['q8', NaN, 'not a finite number at 40000'],
])('to %s: %d is refused with its place', (to, value, message) => {
  const values = VALUES.slice();
  values[40_000] = value;
  const [shown] = message.split(' at ');
  const expected = Number.isNaN(Number(shown)) ? message : message.replace(shown!, String(Number(shown)));
  expect(() => convert(new Uint8Array(values.buffer), 'F32', to)).toThrow(expected);
});
