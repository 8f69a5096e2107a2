/**
 * @file Counter-based random numbers, the same function here and in kernels/random.wgsl.
 *
 * There is no generator state: a number is a function of a key and a counter, and a key is derived from the seed by the
 * path to its use (purpose, draw, example, rollout, seat). So a rollout does not depend on what else was drawn before it.
 */

/** Two 32-bit words. */
export type RandomKey = readonly [number, number];

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];

/** Threefry-2x32, 20 rounds (Salmon et al. 2011): one block of 64 random bits for a counter under a key. */
export function threefry(key: RandomKey, counter: RandomKey): [number, number] {
  const keys = [key[0], key[1], (key[0] ^ key[1] ^ 0x1bd11bda) >>> 0];
  let x = (counter[0] + keys[0]!) >>> 0;
  let y = (counter[1] + keys[1]!) >>> 0;
  for (let round = 0; round < 20; round++) {
    const rotation = ROTATIONS[round % 8]!;
    x = (x + y) >>> 0;
    y = (((y << rotation) | (y >>> (32 - rotation))) ^ x) >>> 0;
    if (round % 4 === 3) {
      const group = (round + 1) / 4;
      x = (x + keys[group % 3]!) >>> 0;
      y = (y + keys[(group + 1) % 3]! + group) >>> 0;
    }
  }
  return [x, y];
}

/** Splits a whole number below 2^53 into two words. */
function words(value: number): RandomKey {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not a whole number below 2^53`);
  return [value >>> 0, Math.floor(value / 2 ** 32)];
}

/** What random numbers are drawn for; streams of different purposes never meet. */
export const PURPOSE = {
  initialization: 1,
  dataset: 2,
  demonstration: 3,
  sampling: 4,
  environment: 5,
  order: 6,
  evaluation: 7,
  seat: 8,
  judge: 9,
  adapter: 10,
  dropout: 11,
} as const;

/** The key at the end of a path: `deriveKey(seed, PURPOSE.sampling, draw, example, rollout, seat)`. */
export function deriveKey(seed: number, ...path: readonly number[]): RandomKey {
  return subKey(words(seed), ...path);
}

/** The key further along a path that begins with a key. */
export function subKey(key: RandomKey, ...path: readonly number[]): RandomKey {
  return path.reduce<RandomKey>((inner, value) => threefry(inner, words(value)), key);
}

/** Uniform in [0, 1) with 24 bits: the number the GPU's sampler uses at this counter. */
export function uniform(key: RandomKey, counter: number): number {
  return (threefry(key, [counter >>> 0, 0])[0] >>> 8) * 2 ** -24;
}

/** A sequence of draws from one key, for code that wants a generator. */
export class Random {
  #counter = 0;

  constructor(readonly key: RandomKey) {}

  /** Uniform in [0, 1) with 53 bits. */
  next(): number {
    const [high, low] = threefry(this.key, [this.#counter++, 1]);
    return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
  }

  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** One element of a non-empty list. */
  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('pick from an empty list');
    return list[this.below(list.length)]!;
  }

  /** `count` different elements of a list, in random order. */
  sample<T>(list: readonly T[], count: number): T[] {
    if (count > list.length) throw new RangeError(`sample ${count} of ${list.length}`);
    const rest = [...list];
    return Array.from({ length: count }, () => rest.splice(this.below(rest.length), 1)[0]!);
  }

  /** A shuffled copy. */
  shuffle<T>(list: readonly T[]): T[] {
    return this.sample(list, list.length);
  }

  /** Standard normal, by Box and Muller's method. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }
}
