import { expect, it } from 'vitest';
import { plan } from '../../src/kernels/planner';
import type { Use } from '../../src/kernels/planner';
import { Tensor, align } from '../../src/kernels/tensor';
import { Random, deriveKey } from '../../src/random';

it('keeps WebGPU rules and never overlaps living tensors, for random programs', () => {
  for (let trial = 0; trial < 100; trial++) {
    const random = new Random(deriveKey(trial));
    const tensors = Array.from({ length: 30 }, (_, i) => new Tensor(`${i}`, [1 + random.below(500)]));
    // Each step writes the next tensor and reads up to four written before, as a network does.
    const uses: Use[] = tensors.map((tensor, i) => ({
      writes: [tensor],
      reads: i === 0 ? [] : random.sample(tensors.slice(0, i), Math.min(i, 1 + random.below(4))),
    }));
    const pinned = new Set(random.sample(tensors, 3));
    const limit = 64 * 1024;
    const { places, arenaBytes } = plan(new Set(tensors), uses, pinned, limit);
    for (const { reads, writes } of uses) {
      for (const read of reads) {
        for (const write of writes) expect(places.get(read)!.arena).not.toBe(places.get(write)!.arena);
      }
    }
    const lifetimes = tensors.map((tensor) => {
      const steps = uses.flatMap(({ reads, writes }, i) => ([...reads, ...writes].includes(tensor) ? [i] : []));
      return pinned.has(tensor) ? [0, Infinity] : [Math.min(...steps), Math.max(...steps)];
    });
    tensors.forEach((a, i) => {
      const place = places.get(a)!;
      expect(place.offset % 256).toBe(0);
      expect(place.offset + align(a.byteLength)).toBeLessThanOrEqual(arenaBytes[place.arena]!);
      tensors.slice(0, i).forEach((b, j) => {
        const other = places.get(b)!;
        const together = lifetimes[i]![0]! <= lifetimes[j]![1]! && lifetimes[j]![0]! <= lifetimes[i]![1]!;
        if (other.arena !== place.arena || !together) return;
        const apart =
          place.offset >= other.offset + align(b.byteLength) || other.offset >= place.offset + align(a.byteLength);
        expect(apart).toBe(true);
      });
    });
  }
});

it('shares bytes between tensors that are never alive together', () => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((label) => new Tensor(label, [1000])) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const uses: Use[] = [
    { reads: [], writes: [a] },
    { reads: [a], writes: [b] },
    { reads: [b], writes: [c] },
    { reads: [c], writes: [d] },
  ];
  const { arenaBytes } = plan(new Set([a, b, c, d]), uses, new Set(), 1e9);
  expect(arenaBytes).toEqual([4096, 4096]);
});

it('opens another arena rather than exceed the largest buffer', () => {
  const tensors = Array.from({ length: 4 }, (_, i) => new Tensor(`${i}`, [1000]));
  const { arenaBytes } = plan(new Set(tensors), [], new Set(tensors), 10_000);
  expect(arenaBytes).toEqual([8192, 8192]);
});
