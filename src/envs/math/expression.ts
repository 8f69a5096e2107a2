/**
 * @file Mathematical answers as trees. Nothing is evaluated while a tree is made, but for what makes a single number of
 * number tokens: signs, fractions of whole numbers, percentages, mixed numbers.
 */
import * as Q from './rational';
import type { Rational } from './rational';

/** Functions with a meaning; `log` takes its base second. */
export type FunctionName =
  | 'sin'
  | 'cos'
  | 'tan'
  | 'cot'
  | 'sec'
  | 'csc'
  | 'asin'
  | 'acos'
  | 'atan'
  | 'acot'
  | 'asec'
  | 'acsc'
  | 'sinh'
  | 'cosh'
  | 'tanh'
  | 'asinh'
  | 'acosh'
  | 'atanh'
  | 'log'
  | 'exp'
  | 'abs'
  | 'floor'
  | 'ceil'
  | 'factorial'
  | 'binomial'
  | 'gcd'
  | 'lcm'
  | 'max'
  | 'min'
  | 'mod';

export type Relation = '=' | '!=' | '<' | '<=' | '>' | '>=';

export interface NumberNode {
  kind: 'number';
  value: Rational;
  /** Written with a decimal point or an exponent: compared after rounding. */
  decimal: boolean;
}

export interface RelationNode {
  kind: 'relation';
  relation: Relation;
  left: Expression;
  right: Expression;
}

export type Expression =
  | NumberNode
  | { kind: 'constant'; name: 'pi' | 'e' | 'i' | 'infinity' }
  | { kind: 'symbol'; name: string }
  | { kind: 'sum'; terms: Expression[] }
  | { kind: 'product'; factors: Expression[] }
  | { kind: 'power'; base: Expression; exponent: Expression }
  | { kind: 'call'; name: FunctionName; args: Expression[] }
  /** f(x) for an unknown f. */
  | { kind: 'application'; name: string; args: Expression[] }
  | RelationNode
  /** a < b < c; at least two. */
  | { kind: 'chain'; relations: RelationNode[] }
  /** A finite set in the order of writing; empty for the empty set. */
  | { kind: 'set'; elements: Expression[] }
  | { kind: 'tuple'; elements: Expression[] }
  | { kind: 'interval'; low: Expression; high: Expression; lowOpen: boolean; highOpen: boolean }
  | { kind: 'union' | 'intersection' | 'difference'; left: Expression; right: Expression }
  | { kind: 'domain'; name: 'N' | 'Z' | 'Q' | 'R' | 'C' }
  | { kind: 'matrix'; rows: Expression[][] }
  /** Something without a value, such as 1/0: equal to nothing. */
  | { kind: 'undefined' };

export const UNDEFINED: Expression = { kind: 'undefined' };
export const E: Expression = { kind: 'constant', name: 'e' };
export const INFINITY: Expression = { kind: 'constant', name: 'infinity' };

export function numberNode(value: Rational | undefined, decimal = false): Expression {
  return value ? { kind: 'number', value, decimal } : UNDEFINED;
}

export function integer(value: number | bigint): Expression {
  return numberNode(Q.rational(BigInt(value)));
}

export const HALF = numberNode({ n: 1n, d: 2n });

export function isInteger(node: Expression): node is NumberNode {
  return node.kind === 'number' && !node.decimal && node.value.d === 1n;
}

/** A sum whose sums are taken in, in the order of writing. */
export function sum(...terms: Expression[]): Expression {
  return { kind: 'sum', terms: terms.flatMap((term) => (term.kind === 'sum' ? term.terms : [term])) };
}

/** A product whose products are taken in. */
export function product(...factors: Expression[]): Expression {
  return { kind: 'product', factors: factors.flatMap((f) => (f.kind === 'product' ? f.factors : [f])) };
}

/** Minus a number is a number. */
export function negative(node: Expression): Expression {
  return node.kind === 'number' ? { ...node, value: Q.negate(node.value) } : product(integer(-1), node);
}

/** A fraction of whole numbers is a number. */
export function quotient(above: Expression, below: Expression): Expression {
  if (isInteger(above) && isInteger(below)) return numberNode(Q.divide(above.value, below.value));
  return product(above, { kind: 'power', base: below, exponent: integer(-1) });
}

/** Children in order. */
export function childrenOf(node: Expression): readonly Expression[] {
  switch (node.kind) {
    case 'number':
    case 'constant':
    case 'symbol':
    case 'domain':
    case 'undefined':
      return [];
    case 'sum':
      return node.terms;
    case 'product':
      return node.factors;
    case 'power':
      return [node.base, node.exponent];
    case 'call':
    case 'application':
      return node.args;
    case 'relation':
    case 'union':
    case 'intersection':
    case 'difference':
      return [node.left, node.right];
    case 'chain':
      return node.relations;
    case 'set':
    case 'tuple':
      return node.elements;
    case 'interval':
      return [node.low, node.high];
    case 'matrix':
      return node.rows.flat();
  }
}

/** Nodes of a tree. */
export function sizeOf(node: Expression): number {
  return childrenOf(node).reduce((size, child) => size + sizeOf(child), 1);
}

/** Names of the symbols in an expression. */
export function symbolsOf(node: Expression, into = new Set<string>()): Set<string> {
  if (node.kind === 'symbol') into.add(node.name);
  for (const child of childrenOf(node)) symbolsOf(child, into);
  return into;
}

/**
 * A text that is the same for the same expression up to the order of terms, factors and elements. Equal keys mean equal
 * expressions; different ones nothing.
 */
export function keyOf(node: Expression): string {
  const keys = childrenOf(node).map(keyOf);
  switch (node.kind) {
    case 'number':
      return `${node.value.n}/${node.value.d}`;
    case 'constant':
      return `\\${node.name}`;
    case 'symbol':
      return JSON.stringify(node.name);
    case 'domain':
      return `\\${node.name}`;
    case 'sum':
    case 'product':
    case 'union':
    case 'intersection':
      return `${node.kind}(${keys.sort().join()})`;
    case 'set':
      return `set(${[...new Set(keys)].sort().join()})`;
    case 'call':
      return `${node.name}(${keys.join()})`;
    case 'application':
      return `${JSON.stringify(node.name)}(${keys.join()})`;
    case 'relation':
      return `${node.relation}(${keys.join()})`;
    case 'interval':
      return `${node.lowOpen ? '(' : '['}${keys.join()}${node.highOpen ? ')' : ']'}`;
    case 'matrix':
      return `matrix${node.rows.length}(${keys.join()})`;
    case 'power':
    case 'chain':
    case 'tuple':
    case 'difference':
    case 'undefined':
      return `${node.kind}(${keys.join()})`;
  }
}
