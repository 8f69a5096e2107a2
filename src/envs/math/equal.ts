/**
 * @file Whether two answers mean the same. The rules are math-verify 0.8.0's, which verifiers' MathRubric asks; where it
 * goes wrong for reasons of its own implementation we do not follow, as docs/MATH.md lists.
 *
 * The order of the two matters: the target's form leads. "x = 3" is accepted for 3 and 3 for "x = 3"; but an inequality is
 * not accepted for an interval, while an interval is for an inequality.
 */
import { evaluate, isExact, isNumeric, toInexact } from './evaluate';
import type { Inexact, Point, Value } from './evaluate';
import { keyOf, negative, sum, symbolsOf } from './expression';
import type { Expression, RelationNode } from './expression';
import { isOnlySymbols } from './parse';
import * as Q from './rational';
import type { Rational } from './rational';
import { readAnswer } from './read';
import { sameRealSet, solutionSet } from './real_sets';

/** Decimals are equal to other numbers when both round to the same at this many places. */
const DECIMAL_PLACES = 6;
/** For numbers that have no exact value, relative to the largest term in them. */
const CONSTANT_TOLERANCE = 1e-13;
/** For functions at a point, where errors of several operations come together. */
const FUNCTION_TOLERANCE = 1e-10;
/** Points at which functions are compared, and how many of them must have a value. */
const POINTS = 6;
const MIN_POINTS = 3;
/** Sets of more elements are equal only as they are written. */
const MAX_ELEMENTS = 64;

/**
 * Whether an answer means the same as the target. Both are what stands in a box, or text without one.
 * Never throws; takes time bounded by the length of the two, for any text.
 */
export function mathEqual(answer: string, target: string): boolean {
  const [a, b] = [readAnswer(answer), readAnswer(target)];
  if (a.text !== '' && a.text === b.text) return true;
  return a.value !== undefined && b.value !== undefined && equal(b.value, a.value);
}

/** MathRubric's score of a parsed response: 1 where it equals the answer, else 0. An empty response is never right. */
export function scoreMath(response: string, answer: string): number {
  return response !== '' && mathEqual(response, answer) ? 1 : 0;
}

function equal(target: Expression, answer: Expression): boolean {
  const [gold, given] = inTheFormOfTheTarget(target, answer);
  if (gold.kind === 'undefined' || given.kind === 'undefined') return false;
  if (keyOf(gold) === keyOf(given)) return true;
  const [goldRelations, givenRelations] = [relationsOf(gold), relationsOf(given)];
  if (goldRelations && givenRelations) return sameRelations(goldRelations, givenRelations);
  if (isSet(gold) || isSet(given)) return sameSets(gold, given);
  if (gold.kind === 'matrix' || given.kind === 'matrix') return sameMatrices(gold, given);
  if (gold.kind === 'symbol' || given.kind === 'symbol') {
    // Nothing else: A1 is a product to us, but is not A.
    return sameWord(gold, given) || sameWord(given, gold);
  }
  return isNumeric(gold) && isNumeric(given) && sameNumbers(gold, given);
}

/** Unwraps x = 3 to 3 where only one of the two has it, and turns inequalities into sets where the answer is a set. */
function inTheFormOfTheTarget(target: Expression, answer: Expression): [Expression, Expression] {
  let [gold, given] = [target, answer];
  const [goldDefines, givenDefines] = [definition(gold), definition(given)];
  if (goldDefines) gold = goldDefines;
  if (givenDefines) given = givenDefines;
  if (isEquation(given) && !isEquation(gold)) given = relationsOf(given)!.at(-1)!.right;
  else if (goldDefines && !isEquation(given)) gold = goldDefines.right;
  const relations = relationsOf(gold);
  if (relations && isSet(given) && given.kind !== 'tuple') gold = solutionSet(relations) ?? gold;
  return [gold, given];
}

function relationsOf(node: Expression): readonly RelationNode[] | undefined {
  if (node.kind === 'relation') return [node];
  return node.kind === 'chain' ? node.relations : undefined;
}

function isEquation(node: Expression): boolean {
  return relationsOf(node)?.every(({ relation }) => relation === '=') ?? false;
}

/** x = 2 + 1 = 3 as x = 3; undefined for what defines nothing. */
function definition(node: Expression): RelationNode | undefined {
  const relations = relationsOf(node);
  if (!relations || !isEquation(node) || !isOnlySymbols(relations[0]!.left)) return undefined;
  return { ...relations[0]!, right: relations.at(-1)!.right };
}

function isSet(node: Expression): boolean {
  return ['set', 'tuple', 'interval', 'union', 'intersection', 'difference', 'domain'].includes(node.kind);
}

// Relations

const FLIPPED = { '=': '=', '!=': '!=', '<': '>', '<=': '>=', '>': '<', '>=': '<=' } as const;

function sameRelations(gold: readonly RelationNode[], given: readonly RelationNode[]): boolean {
  return gold.length === given.length && gold.every((relation, i) => sameRelation(relation, given[i]!));
}

/** The same difference of sides, or its negative with the relation turned around. */
function sameRelation(gold: RelationNode, given: RelationNode): boolean {
  if (isSet(gold.right) || isSet(given.right)) {
    // Beside a name (1,2) is an interval and no pair.
    if (gold.relation !== given.relation || gold.right.kind !== given.right.kind) return false;
    return equal(gold.left, given.left) && equal(gold.right, given.right);
  }
  const difference = ({ left, right }: RelationNode) => sum(left, negative(right));
  const [a, b] = [difference(gold), difference(given)];
  if (gold.relation === given.relation && equal(a, b)) return true;
  if (gold.relation === FLIPPED[given.relation] && equal(a, negative(b))) return true;
  // 2y = 4x + 2 says what y = 2x + 1 says. With one unknown that would take the question for its answer: 2x = 4.
  return gold.relation === '=' && given.relation === '=' && symbolsOf(a).size > 1 && proportional(a, b);
}

function proportional(a: Expression, b: Expression): boolean {
  if (!isNumeric(a) || !isNumeric(b)) return false;
  let ratio: Value | undefined;
  let compared = 0;
  for (let i = 0; i < POINTS; i++) {
    const point = pointAt(i);
    const [x, y] = [evaluate(a, point), evaluate(b, point)].map((value) => value && toInexact(value));
    if (!x || !y || x.im !== 0 || y.im !== 0 || y.re === 0) continue;
    const next: Inexact = { re: x.re / y.re, im: 0, scale: Math.abs(x.re / y.re) };
    if (ratio && !near(ratio, next, FUNCTION_TOLERANCE)) return false;
    ratio = next;
    compared++;
  }
  return compared >= MIN_POINTS && toInexact(ratio!).re !== 0;
}

// Sets, tuples, intervals, matrices

function sameSets(gold: Expression, given: Expression): boolean {
  const a: Expression = isSet(gold) ? gold : { kind: 'set', elements: [gold] };
  const b: Expression = isSet(given) ? given : { kind: 'set', elements: [given] };
  if (a.kind === 'interval' && b.kind === 'interval') {
    if (a.lowOpen !== b.lowOpen || a.highOpen !== b.highOpen) return false;
    return equal(a.low, b.low) && equal(a.high, b.high);
  }
  const [x, y] = [elementsOf(a), elementsOf(b)];
  if (!x || !y) return sameRealSet(a, b) ?? false;
  const ordered = a.kind !== 'set';
  const [xs, ys] = [a.kind === 'set' ? distinct(x) : x, b.kind === 'set' ? distinct(y) : y];
  if (xs.length !== ys.length || xs.length > MAX_ELEMENTS) return false;
  if (ordered) return y.length === xs.length && xs.every((element, i) => equal(element, y[i]!));
  const left = [...ys];
  return xs.every((element) => {
    const found = left.findIndex((other) => equal(element, other));
    if (found >= 0) left.splice(found, 1);
    return found >= 0;
  });
}

/** Elements of a set or tuple; the ends of an open interval, which reads like a pair. */
function elementsOf(node: Expression): readonly Expression[] | undefined {
  if (node.kind === 'set' || node.kind === 'tuple') return node.elements;
  return node.kind === 'interval' && node.lowOpen && node.highOpen ? [node.low, node.high] : undefined;
}

function distinct(elements: readonly Expression[]): Expression[] {
  return [...new Map(elements.map((element) => [keyOf(element), element])).values()];
}

function sameMatrices(gold: Expression, given: Expression): boolean {
  if (gold.kind !== 'matrix' || given.kind !== 'matrix') return false;
  const [a, b] = [gold.rows, given.rows];
  if (a.length !== b.length || a[0]!.length !== b[0]!.length) return false;
  return a.flat().every((element, i) => equal(element, b.flat()[i]!));
}

// Words

/** A symbol beside a product of symbols that spells it: \text{east} and east. Or beside what prints like it: \text{42}. */
function sameWord(symbol: Expression, other: Expression): boolean {
  if (symbol.kind !== 'symbol') return false;
  const { name } = symbol;
  if (other.kind === 'symbol') return name.toLowerCase() === other.name.toLowerCase();
  if (other.kind === 'constant') return name === other.name && name.length === 1; // E and e, I and i
  if (other.kind === 'product') {
    const letters = other.factors.map((factor) => {
      if (factor.kind === 'symbol') return factor.name;
      return factor.kind === 'constant' && factor.name === 'e' ? 'e' : undefined;
    });
    return !letters.includes(undefined) && letters.join('').toLowerCase() === name.toLowerCase();
  }
  return other.kind === 'number' && !other.decimal && name === printed(other.value);
}

function printed({ n, d }: Rational): string {
  return d === 1n ? `${n}` : `${n}/${d}`;
}

// Numbers and functions

function sameNumbers(gold: Expression, given: Expression): boolean {
  const symbols = symbolsOf(sum(gold, given));
  symbols.delete('i');
  if (symbols.size > 0) return sameFunctions(gold, given);
  const [a, b] = [evaluate(gold, pointAt(0)), evaluate(given, pointAt(0))];
  if (!a || !b) return false;
  if (near(a, b, CONSTANT_TOLERANCE)) return true;
  // Rounded only where one of the two is a decimal as it stands, and neither a whole number: 1/3 is 0.333333.
  const decimal = [gold, given].some((node) => node.kind === 'number' && node.decimal);
  return decimal && !isWhole(a) && !isWhole(b) && sameRounded(a, b);
}

function isWhole(value: Value): boolean {
  return isExact(value) && !value.decimal && value.exact.d === 1n;
}

function sameRounded(a: Value, b: Value): boolean {
  if (!isReal(a) || !isReal(b)) return false;
  const [x, y] = [toInexact(a).re, toInexact(b).re];
  // Below the last place everything rounds to 0: there the numbers' own digits count.
  if (Math.max(Math.abs(x), Math.abs(y)) < 10 ** -DECIMAL_PLACES) {
    return Math.abs(x - y) <= 10 ** -DECIMAL_PLACES * Math.abs(x);
  }
  const rounded = (value: Value) => {
    const exact = isExact(value) ? value.exact : Q.fromNumber(value.re);
    return exact && Q.roundScaled(exact, DECIMAL_PLACES);
  };
  return rounded(a) === rounded(b);
}

function isReal(value: Value): boolean {
  return isExact(value) || Math.abs(value.im) <= CONSTANT_TOLERANCE * value.scale;
}

/** Equal at every point where both have a value, and at enough of them. */
function sameFunctions(gold: Expression, given: Expression): boolean {
  let compared = 0;
  for (let i = 0; i < POINTS; i++) {
    const [a, b] = [evaluate(gold, pointAt(i)), evaluate(given, pointAt(i))];
    if (!a || !b) continue;
    if (!near(a, b, FUNCTION_TOLERANCE)) return false;
    compared++;
  }
  return compared >= MIN_POINTS;
}

function near(a: Value, b: Value, tolerance: number): boolean {
  if (isExact(a) && isExact(b)) return Q.compare(a.exact, b.exact) === 0;
  const [x, y] = [toInexact(a), toInexact(b)];
  return Math.hypot(x.re - y.re, x.im - y.im) <= tolerance * Math.max(x.scale, y.scale);
}

/**
 * A fixed point, the same in every run: fractions from 1/7 to 31/7 that look unrelated, the first points all positive
 * (where roots and logarithms are real), the later ones of both signs.
 */
function pointAt(index: number): Point {
  return (symbol) => {
    let hash = 2166136261 ^ index; // FNV-1a
    for (const character of `${symbol}#${index}`) hash = Math.imul(hash ^ character.codePointAt(0)!, 16777619);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    hash ^= hash >>> 12;
    const size = BigInt(1 + ((hash >>> 3) % 31));
    const negativeHere = index >= POINTS / 2 && (hash & 1) === 1;
    return { n: negativeHere ? -size : size, d: 7n };
  };
}
