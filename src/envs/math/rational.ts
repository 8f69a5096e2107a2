/** @file Exact fractions of arbitrary size, bounded so that no answer can make them grow without end. */

/** n/d in lowest terms, d > 0. */
export interface Rational {
  readonly n: bigint;
  readonly d: bigint;
}

/** Numbers of more bits are refused: those of doubles have 1,024, a googol 333, 170! 1,019. */
const MAX_BITS = 1100;
const LIMIT = 1n << BigInt(MAX_BITS);

/** n/d in lowest terms; undefined for d = 0 and for what is too large to go on with. */
export function rational(n: bigint, d = 1n): Rational | undefined {
  if (d === 0n || tooLarge(n) || tooLarge(d)) return undefined;
  const divisor = gcd(n, d);
  const sign = d < 0n ? -1n : 1n;
  return { n: (sign * n) / divisor, d: (sign * d) / divisor };
}

export const ZERO: Rational = { n: 0n, d: 1n };
export const ONE: Rational = { n: 1n, d: 1n };

/** Digits with or without a decimal point and an exponent, such as 1.5E-3; undefined when too large. */
export function parseDecimal(text: string): Rational | undefined {
  const [, whole = '', part = '', exponent = '0'] = /^(\d*)\.?(\d*)(?:E([+-]?\d+))?$/.exec(text) ?? [];
  const power = Number(exponent) - part.length;
  if (Math.abs(power) > MAX_BITS / 3 || whole.length + part.length > MAX_BITS / 3) return undefined;
  const digits = BigInt(whole + part || '0');
  return power < 0 ? rational(digits, 10n ** BigInt(-power)) : rational(digits * 10n ** BigInt(power));
}

export function add(a: Rational, b: Rational): Rational | undefined {
  return rational(a.n * b.d + b.n * a.d, a.d * b.d);
}

export function multiply(a: Rational, b: Rational): Rational | undefined {
  return rational(a.n * b.n, a.d * b.d);
}

export function negate({ n, d }: Rational): Rational {
  return { n: -n, d };
}

/** Undefined for b = 0. */
export function divide(a: Rational, b: Rational): Rational | undefined {
  return rational(a.n * b.d, a.d * b.n);
}

/** Below 0, 0 or above 0 as a is less than, equal to or greater than b. */
export function compare(a: Rational, b: Rational): number {
  const difference = a.n * b.d - b.n * a.d;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** The largest whole number that is not above a. */
export function floor({ n, d }: Rational): bigint {
  const quotient = n / d; // towards zero
  return n % d < 0n ? quotient - 1n : quotient;
}

/** base^exponent where that is a fraction; undefined where it is not, or is too large. */
export function power(base: Rational, exponent: Rational): Rational | undefined {
  if (base.n === 0n) return exponent.n > 0n ? ZERO : exponent.n === 0n ? ONE : undefined;
  const root = nthRoot(base, exponent.d);
  if (!root) return undefined;
  const size = exponent.n < 0n ? -exponent.n : exponent.n;
  if (!isUnit(root.n) || root.d !== 1n) {
    const bits = Math.max(root.n.toString(16).length, root.d.toString(16).length) * 4;
    if (size > BigInt(MAX_BITS) || bits * Number(size) > MAX_BITS + 4 * Number(size)) return undefined;
  }
  const odd = size % 2n;
  const raised = isUnit(root.n) ? (root.n === 1n || odd === 0n ? 1n : -1n) : root.n ** size;
  const below = root.d === 1n ? 1n : root.d ** size;
  return exponent.n < 0n ? rational(below, raised) : rational(raised, below);
}

/** The exact root, where there is one; even and odd roots of negative numbers are not real or not principal. */
function nthRoot(a: Rational, degree: bigint): Rational | undefined {
  if (degree === 1n) return a;
  if (a.n < 0n || degree > 64n) return undefined;
  const [n, d] = [integerRoot(a.n, degree), integerRoot(a.d, degree)];
  return n === undefined || d === undefined ? undefined : { n, d };
}

function integerRoot(a: bigint, degree: bigint): bigint | undefined {
  // Bisection between powers of two: as many steps as the root has bits.
  const bits = BigInt(a.toString(2).length);
  let low = 0n;
  let high = 1n << (bits / degree + 1n);
  while (low < high) {
    const middle = (low + high + 1n) / 2n;
    if (middle ** degree <= a) low = middle;
    else high = middle - 1n;
  }
  return low ** degree === a ? low : undefined;
}

/** The nearest double; infinite beyond its range. */
export function toNumber({ n, d }: Rational): number {
  const [above, below] = [Number(n), Number(d)];
  if (Number.isFinite(above) && Number.isFinite(below)) return above / below;
  // Both are cut to 1,000 bits less than the larger one has beyond them.
  const excess = BigInt(Math.max(n.toString(2).length, d.toString(2).length) - 1000);
  const [high, low] = [Number(n >> excess), Number(d >> excess)];
  return low === 0 ? Math.sign(high) * Infinity : high / low;
}

/** The fraction that a finite double is. */
export function fromNumber(value: number): Rational | undefined {
  if (!Number.isFinite(value)) return undefined;
  let scaled = value;
  let shift = 0n;
  while (!Number.isInteger(scaled)) {
    scaled *= 2;
    shift++;
  }
  return rational(BigInt(scaled), 1n << shift);
}

/** value x 10^digits rounded to a whole number, halves to even. */
export function roundScaled({ n, d }: Rational, digits: number): bigint {
  const scaled = n * 10n ** BigInt(digits);
  const whole = floor({ n: scaled, d });
  const twice = 2n * (scaled - whole * d);
  return twice > d || (twice === d && whole % 2n !== 0n) ? whole + 1n : whole;
}

export function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x === 0n ? 1n : x;
}

function isUnit(n: bigint): boolean {
  return n === 1n || n === -1n;
}

function tooLarge(n: bigint): boolean {
  return n > LIMIT || n < -LIMIT;
}
