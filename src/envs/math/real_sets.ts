/**
 * @file Sets of real numbers as pieces of the line, so that (-\infty,2) \cup (2,\infty) is \mathbb{R} \setminus \{2\}; and
 * the sets that inequalities describe.
 */
import { evaluate, toInexact } from './evaluate';
import type { Point } from './evaluate';
import { INFINITY, childrenOf, integer, keyOf, negative, numberNode, symbolsOf } from './expression';
import type { Expression, Relation, RelationNode } from './expression';
import * as Q from './rational';

/** From low to high, with its ends or without. */
interface Piece {
  low: number;
  high: number;
  lowOpen: boolean;
  highOpen: boolean;
}

const NOTHING: Point = () => Q.ZERO;
/** Ends this close, relative to their size, are one end. */
const TOLERANCE = 1e-12;
/** Pieces of a set: more are nobody's answer. */
const MAX_PIECES = 200;

/** Whether two expressions are the same set of reals; undefined where one of them is no such set. */
export function sameRealSet(a: Expression, b: Expression): boolean | undefined {
  const [x, y] = [piecesOf(a), piecesOf(b)];
  if (!x || !y) return undefined;
  const [p, q] = [merged(x), merged(y)];
  return (
    p.length === q.length &&
    p.every((piece, i) => {
      const other = q[i]!;
      return (
        close(piece.low, other.low) &&
        close(piece.high, other.high) &&
        piece.lowOpen === other.lowOpen &&
        piece.highOpen === other.highOpen
      );
    })
  );
}

function close(a: number, b: number): boolean {
  return a === b || Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
}

/** The pieces of a set with numeric ends, in any order. */
function piecesOf(node: Expression): readonly Piece[] | undefined {
  if (node.kind === 'domain') return node.name === 'R' ? LINE : undefined;
  if (node.kind === 'interval') {
    const [low, high] = [endValue(node.low), endValue(node.high)];
    if (low === undefined || high === undefined) return undefined;
    return low <= high ? [{ low, high, lowOpen: node.lowOpen, highOpen: node.highOpen }] : [];
  }
  if (node.kind === 'set') {
    const ends = node.elements.map(endValue);
    if (!ends.every((end) => end !== undefined && Number.isFinite(end))) return undefined;
    return ends.map((end) => ({ low: end!, high: end!, lowOpen: false, highOpen: false }));
  }
  if (node.kind !== 'union' && node.kind !== 'intersection' && node.kind !== 'difference') return undefined;
  const [left, right] = [piecesOf(node.left), piecesOf(node.right)];
  if (!left || !right || left.length * right.length > MAX_PIECES) return undefined;
  if (node.kind === 'union') return [...left, ...right];
  return intersection(left, node.kind === 'intersection' ? right : complement(right));
}

const LINE: readonly Piece[] = [{ low: -Infinity, high: Infinity, lowOpen: true, highOpen: true }];

/** An end of an interval as a double; undefined where it is no real number. */
export function endValue(node: Expression): number | undefined {
  if (node === INFINITY) return Infinity;
  if (node.kind === 'product' && node.factors.length === 2 && node.factors[1] === INFINITY) {
    const factor = endValue(node.factors[0]!);
    return factor === undefined || factor === 0 ? undefined : factor * Infinity;
  }
  if (symbolsOf(node).size > 0) return undefined;
  const value = evaluate(node, NOTHING);
  if (!value) return undefined;
  const { re, im } = toInexact(value);
  return im === 0 ? re : undefined;
}

/** In order, without overlaps, joined where they touch. */
function merged(pieces: readonly Piece[]): Piece[] {
  const sorted = pieces
    .filter(({ low, high, lowOpen, highOpen }) => low < high || (low === high && !lowOpen && !highOpen))
    .sort((a, b) => a.low - b.low || Number(a.lowOpen) - Number(b.lowOpen));
  const result: Piece[] = [];
  for (const piece of sorted) {
    const last = result.at(-1);
    const joins = last && (piece.low < last.high || (close(piece.low, last.high) && !(piece.lowOpen && last.highOpen)));
    if (!last || !joins) {
      result.push({ ...piece });
    } else if (piece.high > last.high) {
      last.high = piece.high;
      last.highOpen = piece.highOpen;
    } else if (piece.high === last.high) {
      last.highOpen &&= piece.highOpen;
    }
  }
  return result;
}

function complement(pieces: readonly Piece[]): Piece[] {
  const gaps: Piece[] = [];
  let low = -Infinity;
  let lowOpen = true;
  for (const piece of merged(pieces)) {
    gaps.push({ low, high: piece.low, lowOpen, highOpen: !piece.lowOpen || piece.low === -Infinity });
    low = piece.high;
    lowOpen = !piece.highOpen;
  }
  gaps.push({ low, high: Infinity, lowOpen, highOpen: true });
  return merged(gaps);
}

function intersection(a: readonly Piece[], b: readonly Piece[]): Piece[] {
  return a.flatMap((x) =>
    b.map((y) => {
      const low = Math.max(x.low, y.low);
      const high = Math.min(x.high, y.high);
      return {
        low,
        high,
        lowOpen: (x.low === low && x.lowOpen) || (y.low === low && y.lowOpen),
        highOpen: (x.high === high && x.highOpen) || (y.high === high && y.highOpen),
      };
    }),
  );
}

/**
 * The reals that satisfy relations in one unknown, each of them linear or quadratic in it between the zeros of what stands
 * in |...|; undefined for any other. The unknown may be the value of an unknown function, f(x).
 */
export function solutionSet(relations: readonly RelationNode[]): Expression | undefined {
  const unknowns = new Set(relations.flatMap(({ left, right }) => [...unknownsOf(left), ...unknownsOf(right)]));
  if (unknowns.size !== 1) return undefined;
  const [unknown] = unknowns;
  let pieces: readonly Piece[] = LINE;
  for (const { relation, left, right } of relations) {
    if (isEndOfLine(relation, left, right)) continue;
    const solved = solve(asUnknown(left, unknown!), asUnknown(right, unknown!), relation);
    if (!solved) return undefined;
    pieces = intersection(pieces, solved);
  }
  const [first, ...others] = merged(pieces).map(toNode);
  if (!first) return { kind: 'set', elements: [] };
  return others.reduce<Expression>((all, node) => ({ kind: 'union', left: all, right: node }), first);
}

/** Keys of symbols and of applications such as f(x), whose own symbols do not count. */
function unknownsOf(node: Expression): string[] {
  return node.kind === 'symbol' || node.kind === 'application' ? [keyOf(node)] : childrenOf(node).flatMap(unknownsOf);
}

/** f(x) as a symbol. */
function asUnknown(node: Expression, key: string): Expression {
  if (node.kind === 'application') return { kind: 'symbol', name: key };
  if (node.kind === 'sum') return { ...node, terms: node.terms.map((term) => asUnknown(term, key)) };
  if (node.kind === 'product') return { ...node, factors: node.factors.map((factor) => asUnknown(factor, key)) };
  return node;
}

/** -\infty < x and x < \infty say nothing. */
function isEndOfLine(relation: Relation, left: Expression, right: Expression): boolean {
  const [low, high] = relation.startsWith('<') ? [left, right] : [right, left];
  return /^[<>]/.test(relation) && (endValue(low) === -Infinity || endValue(high) === Infinity);
}

function toNode({ low, high, lowOpen, highOpen }: Piece): Expression {
  if (low === high) return { kind: 'set', elements: [endNode(low)] };
  return { kind: 'interval', low: endNode(low), high: endNode(high), lowOpen, highOpen };
}

function endNode(end: number): Expression {
  if (Number.isFinite(end)) return numberNode(Q.fromNumber(end), !Number.isInteger(end));
  return end > 0 ? INFINITY : negative(INFINITY);
}

/** left - right at a point; NaN where it has no real value. */
function differenceAt(left: Expression, right: Expression, x: number): number {
  const point: Point = () => Q.fromNumber(x)!;
  const [a, b] = [evaluate(left, point), evaluate(right, point)];
  if (!a || !b) return NaN;
  const [p, q] = [toInexact(a), toInexact(b)];
  return p.im === 0 && q.im === 0 ? p.re - q.re : NaN;
}

function solve(left: Expression, right: Expression, relation: Relation): Piece[] | undefined {
  const f = (x: number) => differenceAt(left, right, x);
  const kinks = [...insideBars(left), ...insideBars(right)].map((inside) => {
    const roots = rootsBetween((x) => differenceAt(inside, integer(0), x), -Infinity, Infinity);
    return roots?.length === 1 ? roots[0] : undefined;
  });
  if (!kinks.every((kink) => kink !== undefined) || kinks.length > 8) return undefined;
  const bounds = [-Infinity, ...kinks.sort((a, b) => a - b), Infinity];
  const roots = new Set<number>(kinks.filter((kink) => f(kink) === 0));
  for (let i = 0; i + 1 < bounds.length; i++) {
    if (bounds[i] === bounds[i + 1]) continue;
    const found = rootsBetween(f, bounds[i]!, bounds[i + 1]!);
    if (!found) return undefined;
    found.forEach((root) => roots.add(root));
  }
  const points = [...roots].sort((a, b) => a - b).map((x) => ({ low: x, high: x, lowOpen: false, highOpen: false }));
  if (relation === '=') return points;
  const gaps = complement(points);
  if (relation === '!=') return gaps;
  const holding = gaps.filter(({ low, high }) => f(middleOf(low, high)) < 0 === relation.startsWith('<'));
  return relation.endsWith('=') ? [...holding, ...points] : holding;
}

/** Arguments of absolute values. */
function insideBars(node: Expression): Expression[] {
  const inner = childrenOf(node).flatMap(insideBars);
  return node.kind === 'call' && node.name === 'abs' ? [...inner, ...node.args] : inner;
}

/** Some point strictly between. */
function middleOf(low: number, high: number): number {
  if (low === -Infinity) return high === Infinity ? 0 : high - 1;
  return high === Infinity ? low + 1 : (low + high) / 2;
}

/** Roots strictly between two ends of what is quadratic there, not constant; undefined for what is not. */
function rootsBetween(f: (x: number) => number, low: number, high: number): number[] | undefined {
  const centre = middleOf(low, high);
  const step = Math.min(1, (centre - low) / 4, (high - centre) / 4);
  // Through three points around the centre, and checked at three more.
  const at = (t: number) => f(centre + t * step);
  const c = at(0);
  const a = (at(1) + at(-1)) / 2 - c;
  const b = (at(1) - at(-1)) / 2;
  const scale = Math.abs(a) + Math.abs(b) + Math.abs(c);
  const fits = [2, -3, 3.5].every((t) => Math.abs(at(t) - (a * t * t + b * t + c)) <= 1e-9 * scale * t * t);
  if (!fits || scale === 0) return undefined;
  const tiny = 1e-12 * scale;
  let roots: number[];
  if (Math.abs(a) <= tiny) {
    if (Math.abs(b) <= tiny) return [];
    roots = [-c / b];
  } else {
    const discriminant = b * b - 4 * a * c;
    if (discriminant < 0) return [];
    roots = [-1, 1].map((sign) => (-b + sign * Math.sqrt(discriminant)) / (2 * a));
  }
  return [...new Set(roots.map((t) => centre + t * step))].filter((x) => x > low && x < high);
}
