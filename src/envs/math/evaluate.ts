/**
 * @file What an expression is worth at a point: an exact fraction as long as possible, else a complex double with the scale
 * of what went into it, so that a comparison knows how much cancellation there was.
 */
import { childrenOf } from './expression';
import type { Expression, FunctionName } from './expression';
import * as Q from './rational';
import type { Rational } from './rational';

export interface Exact {
  exact: Rational;
  /** A decimal went into it. */
  decimal: boolean;
}

export interface Inexact {
  re: number;
  im: number;
  /** Of the largest term that was added up; rounding errors are proportional to it. */
  scale: number;
}

export type Value = Exact | Inexact;

/** Values of symbols. */
export type Point = (symbol: string) => Rational;

/** Factorials and binomials beyond are too large to be anyone's answer. */
const MAX_FACTORIAL = 1000n;

/** Undefined for what has no finite value, is too large, or is no number. */
export function evaluate(node: Expression, point: Point): Value | undefined {
  switch (node.kind) {
    case 'number':
      return { exact: node.value, decimal: node.decimal };
    case 'constant':
      if (node.name === 'infinity') return undefined;
      if (node.name === 'i') return inexact(0, 1);
      return inexact(node.name === 'pi' ? Math.PI : Math.E);
    case 'symbol':
      return node.name === 'i' ? inexact(0, 1) : { exact: point(node.name), decimal: false };
    case 'sum':
      return fold(node.terms, point, add);
    case 'product':
      return fold(node.factors, point, multiply);
    case 'power': {
      const base = evaluate(node.base, point);
      const exponent = base && evaluate(node.exponent, point);
      return base && exponent && power(base, exponent);
    }
    case 'call': {
      const args = node.args.map((arg) => evaluate(arg, point));
      return args.every((arg) => arg !== undefined) ? call(node.name, args) : undefined;
    }
    case 'application': {
      // An unknown function is some smooth function of its arguments, another for each name.
      const args = node.args.map((arg) => evaluate(arg, point));
      if (!args.every((arg) => arg !== undefined)) return undefined;
      let phase = 0;
      for (const character of node.name) phase = (phase * 31 + character.codePointAt(0)!) % 9973;
      args.forEach((arg, i) => (phase += toInexact(arg).re * (i + 1.5) + toInexact(arg).im));
      return checked(2 + Math.sin(phase));
    }
    case 'relation':
    case 'chain':
    case 'set':
    case 'tuple':
    case 'interval':
    case 'union':
    case 'intersection':
    case 'difference':
    case 'domain':
    case 'matrix':
    case 'undefined':
      return undefined;
  }
}

const NUMERIC = new Set<Expression['kind']>([
  'number',
  'constant',
  'symbol',
  'sum',
  'product',
  'power',
  'call',
  'application',
]);

/** Whether an expression can have a value at all: false where there is a relation, a set or a matrix in it. */
export function isNumeric(node: Expression): boolean {
  return NUMERIC.has(node.kind) && childrenOf(node).every(isNumeric);
}

export function isExact(value: Value): value is Exact {
  return 'exact' in value;
}

export function toInexact(value: Value): Inexact {
  if (!isExact(value)) return value;
  const re = Q.toNumber(value.exact);
  return { re, im: 0, scale: Math.abs(re) };
}

function inexact(re: number, im = 0, scale = Math.hypot(re, im)): Inexact {
  return { re, im, scale };
}

/** Undefined where a result is not finite, or so small that nothing is left of its digits. */
function checked(re: number, im = 0, scale = Math.hypot(re, im)): Inexact | undefined {
  return Number.isFinite(re) && Number.isFinite(im) && Number.isFinite(scale) && scale > 1e-290
    ? { re, im, scale }
    : undefined;
}

function exactly(value: Rational | undefined, ...from: Exact[]): Exact | undefined {
  return value && { exact: value, decimal: from.some(({ decimal }) => decimal) };
}

function fold(
  nodes: readonly Expression[],
  point: Point,
  combine: (a: Value, b: Value) => Value | undefined,
): Value | undefined {
  let total: Value | undefined;
  for (const node of nodes) {
    const value = evaluate(node, point);
    total = value && (total === undefined ? value : combine(total, value));
    if (total === undefined) return undefined;
  }
  return total;
}

function add(a: Value, b: Value): Value | undefined {
  const exact = isExact(a) && isExact(b) ? exactly(Q.add(a.exact, b.exact), a, b) : undefined;
  if (exact) return exact;
  const [x, y] = [toInexact(a), toInexact(b)];
  return checked(x.re + y.re, x.im + y.im, Math.max(x.scale, y.scale));
}

function multiply(a: Value, b: Value): Value | undefined {
  for (const factor of [a, b]) if (isExact(factor) && factor.exact.n === 0n) return factor;
  const exact = isExact(a) && isExact(b) ? exactly(Q.multiply(a.exact, b.exact), a, b) : undefined;
  if (exact) return exact;
  const [x, y] = [toInexact(a), toInexact(b)];
  return checked(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re, x.scale * y.scale);
}

/** The principal value. */
function power(base: Value, exponent: Value): Value | undefined {
  if (isExact(base) && isExact(exponent)) {
    const result = Q.power(base.exact, exponent.exact);
    if (result) return exactly(result, base, exponent);
  }
  const [x, y] = [toInexact(base), toInexact(exponent)];
  if (x.re === 0 && x.im === 0) return undefined;
  if (x.im === 0 && y.im === 0 && x.re > 0) {
    const result = x.re ** y.re;
    return checked(result, 0, result * Math.max(1, Math.abs(y.re)) * (x.scale / x.re));
  }
  const logarithm = complexLog(x);
  const result = complexExp({
    re: y.re * logarithm.re - y.im * logarithm.im,
    im: y.re * logarithm.im + y.im * logarithm.re,
  });
  return checked(result.re, result.im, Math.hypot(result.re, result.im) * Math.max(1, Math.hypot(y.re, y.im)));
}

interface Complex {
  re: number;
  im: number;
}

function complexLog({ re, im }: Complex): Complex {
  return { re: Math.log(Math.hypot(re, im)), im: Math.atan2(im, re) };
}

function complexExp({ re, im }: Complex): Complex {
  const size = Math.exp(re);
  return im === 0 ? { re: size, im: 0 } : { re: size * Math.cos(im), im: size * Math.sin(im) };
}

/** Functions of one real number, where they are real. Outside of that they are left without a value. */
const REAL = {
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  cot: (x: number) => 1 / Math.tan(x),
  sec: (x: number) => 1 / Math.cos(x),
  csc: (x: number) => 1 / Math.sin(x),
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  acot: (x: number) => Math.atan(1 / x),
  asec: (x: number) => Math.acos(1 / x),
  acsc: (x: number) => Math.asin(1 / x),
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
} as const satisfies Partial<Record<FunctionName, (x: number) => number>>;

function isRealFunction(name: FunctionName): name is keyof typeof REAL {
  return name in REAL;
}

function call(name: FunctionName, args: readonly Value[]): Value | undefined {
  const [a, b] = args;
  if (!a) return undefined;
  if (isRealFunction(name)) {
    const { re, im, scale } = toInexact(a);
    const result = im === 0 ? REAL[name](re) : NaN;
    // Near a zero the error is that of the argument: sin(pi) is 1e-16.
    return checked(result, 0, Math.max(1, Math.abs(result), scale));
  }
  switch (name) {
    case 'exp': {
      const x = toInexact(a);
      const result = complexExp(x);
      return checked(result.re, result.im, Math.hypot(result.re, result.im) * Math.max(1, x.scale));
    }
    case 'log':
      return b && logarithm(a, b);
    case 'abs': {
      if (isExact(a)) return { ...a, exact: a.exact.n < 0n ? Q.negate(a.exact) : a.exact };
      return checked(Math.hypot(a.re, a.im), 0, a.scale);
    }
    case 'floor':
    case 'ceil':
      return rounded(name, a);
    case 'factorial':
      return factorial(a);
    case 'binomial':
      return b && binomial(a, b);
    case 'mod':
      return b && modulo(a, b);
    case 'gcd':
    case 'lcm':
      return divisor(name, args);
    case 'max':
    case 'min':
      return extreme(name, args);
  }
}

function logarithm(a: Value, base: Value): Value | undefined {
  if (isExact(a) && isExact(base)) {
    const exact = exactLogarithm(a.exact, base.exact);
    if (exact) return exactly(exact, a, base);
  }
  const [x, y] = [complexLog(toInexact(a)), complexLog(toInexact(base))];
  const size = y.re ** 2 + y.im ** 2;
  const scale = (1 + Math.hypot(x.re, x.im)) / Math.sqrt(size);
  return checked((x.re * y.re + x.im * y.im) / size, (x.im * y.re - x.re * y.im) / size, scale);
}

/** Whole exponents: log_2 8 is 3. */
function exactLogarithm(a: Rational, base: Rational): Rational | undefined {
  const guess = Math.round(Math.log(Q.toNumber(a)) / Math.log(Q.toNumber(base)));
  if (!Number.isFinite(guess)) return undefined;
  const exponent = { n: BigInt(guess), d: 1n };
  const result = Q.power(base, exponent);
  return result && Q.compare(result, a) === 0 ? exponent : undefined;
}

function rounded(name: 'floor' | 'ceil', a: Value): Value | undefined {
  if (!('exact' in a)) return a.im === 0 ? checked(Math[name](a.re), 0, Math.max(1, a.scale)) : undefined;
  const whole = name === 'floor' ? Q.floor(a.exact) : -Q.floor(Q.negate(a.exact));
  return { exact: { n: whole, d: 1n }, decimal: false };
}

function factorial(a: Value): Value | undefined {
  if (!isExact(a) || a.exact.d !== 1n) return gammaPlusOne(toInexact(a));
  if (a.exact.n < 0n || a.exact.n > MAX_FACTORIAL) return undefined;
  let result = 1n;
  for (let i = 2n; i <= a.exact.n; i++) result *= i;
  return exactly(Q.rational(result));
}

/** Gamma(x + 1) by Lanczos's approximation (g = 7, n = 9), to 15 digits for x > -0.5. */
function gammaPlusOne({ re: x, im }: Inexact): Inexact | undefined {
  if (im !== 0) return undefined;
  if (x < -0.5) {
    // Gamma(1 + x) Gamma(-x) = -pi / sin(pi x)
    const other = gammaPlusOne(inexact(-x - 1));
    return other && checked(-Math.PI / (Math.sin(Math.PI * x) * other.re));
  }
  const coefficients = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
    -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  const series = coefficients.reduce((total, c, i) => total + c / (x + i + 1), 0.9999999999998099);
  const t = x + 7.5;
  return checked(Math.sqrt(2 * Math.PI) * t ** (x + 0.5) * Math.exp(-t) * series);
}

function binomial(above: Value, below: Value): Value | undefined {
  if (!isExact(below) || below.exact.d !== 1n) return undefined;
  const k = below.exact.n;
  if (k < 0n) return exactly(Q.ZERO);
  if (k > MAX_FACTORIAL) return undefined;
  let result: Value | undefined = { exact: Q.ONE, decimal: false };
  for (let i = 0n; i < k && result; i++) {
    const factor = add(above, { exact: { n: -i, d: 1n }, decimal: false });
    const scaled: Value | undefined = factor && multiply(result, factor);
    result = scaled && multiply(scaled, { exact: { n: 1n, d: i + 1n }, decimal: false });
  }
  return result;
}

/** With the sign of the divisor. */
function modulo(a: Value, b: Value): Value | undefined {
  if (!isExact(a) || !isExact(b)) return undefined;
  const quotient = Q.divide(a.exact, b.exact);
  const whole = quotient && Q.multiply({ n: Q.floor(quotient), d: 1n }, b.exact);
  return whole && exactly(Q.add(a.exact, Q.negate(whole)), a, b);
}

function divisor(name: 'gcd' | 'lcm', args: readonly Value[]): Value | undefined {
  let result: bigint | undefined;
  for (const arg of args) {
    if (!isExact(arg) || arg.exact.d !== 1n) return undefined;
    const n = arg.exact.n < 0n ? -arg.exact.n : arg.exact.n;
    if (result === undefined) result = n;
    else result = name === 'gcd' ? Q.gcd(result, n) : (result * n) / Q.gcd(result, n);
    if (!Q.rational(result)) return undefined;
  }
  return result === undefined ? undefined : exactly(Q.rational(result));
}

function extreme(name: 'max' | 'min', args: readonly Value[]): Value | undefined {
  if (args.some((arg) => !isExact(arg) && arg.im !== 0)) return undefined;
  const sign = name === 'max' ? 1 : -1;
  return args.reduce((best, arg) => (sign * (toInexact(arg).re - toInexact(best).re) > 0 ? arg : best));
}
