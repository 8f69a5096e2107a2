/**
 * @file Sets of real numbers as pieces of the line, so that (-\infty,2) \cup (2,\infty) is \mathbb{R} \setminus \{2\}; and
 * the sets that inequalities describe.
 */
import { evaluate, toInexact } from './evaluate';
import type { Point } from './evaluate';
import { INFINITY, negative, numberNode, symbolsOf } from './expression';
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
function piecesOf(node: Expression): Piece[] | undefined {
  switch (node.kind) {
    case 'interval': {
      const [low, high] = [endOf(node.low), endOf(node.high)];
      if (low === undefined || high === undefined) return undefined;
      return low <= high ? [{ low, high, lowOpen: node.lowOpen, highOpen: node.highOpen }] : [];
    }
    case 'set': {
      const ends = node.elements.map(endOf);
      if (!ends.every((end) => end !== undefined && Number.isFinite(end))) return undefined;
      return ends.map((end) => ({ low: end!, high: end!, lowOpen: false, highOpen: false }));
    }
    case 'domain':
      return node.name === 'R' ? LINE : undefined;
    case 'union':
    case 'intersection':
    case 'difference': {
      const [left, right] = [piecesOf(node.left), piecesOf(node.right)];
      if (!left || !right || left.length * right.length > MAX_PIECES) return undefined;
      if (node.kind === 'union') return [...left, ...right];
      return intersection(left, node.kind === 'intersection' ? right : complement(right));
    }
    default:
      return undefined;
  }
}

const LINE: Piece[] = [{ low: -Infinity, high: Infinity, lowOpen: true, highOpen: true }];

function endOf(node: Expression): number | undefined {
  if (node === INFINITY) return Infinity;
  if (node.kind === 'product' && node.factors.length === 2 && node.factors[1] === INFINITY) {
    const factor = endOf(node.factors[0]!);
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
 * The reals that satisfy relations in one unknown, each of them linear or quadratic in it; undefined for any other.
 */
export function solutionSet(relations: readonly RelationNode[]): Expression | undefined {
  const symbols = [...relations.reduce((names, relation) => symbolsOf(relation, names), new Set<string>())];
  if (symbols.length !== 1) return undefined;
  let pieces: Piece[] = LINE;
  for (const { relation, left, right } of relations) {
    const solved = solve(left, right, relation);
    if (!solved) return undefined;
    pieces = intersection(pieces, solved);
  }
  const nodes = merged(pieces).map(toNode);
  return (
    nodes.reduce<Expression | undefined>(
      (all, node) => (all ? { kind: 'union', left: all, right: node } : node),
      undefined,
    ) ?? { kind: 'set', elements: [] }
  );
}

function toNode({ low, high, lowOpen, highOpen }: Piece): Expression {
  if (low === high) return { kind: 'set', elements: [endNode(low)] };
  return { kind: 'interval', low: endNode(low), high: endNode(high), lowOpen, highOpen };
}

function endNode(end: number): Expression {
  if (Number.isFinite(end)) return numberNode(Q.fromNumber(end), !Number.isInteger(end));
  return end > 0 ? INFINITY : negative(INFINITY);
}

function solve(left: Expression, right: Expression, relation: Relation): Piece[] | undefined {
  const at = (x: number): number => {
    const point: Point = () => Q.fromNumber(x)!;
    const [a, b] = [evaluate(left, point), evaluate(right, point)];
    if (!a || !b) return NaN;
    const [p, q] = [toInexact(a), toInexact(b)];
    return p.im === 0 && q.im === 0 ? p.re - q.re : NaN;
  };
  // Through three points, and checked at three more.
  const [c, plus, minus] = [at(0), at(1), at(-1)];
  const a = (plus + minus) / 2 - c;
  const b = (plus - minus) / 2;
  const scale = Math.abs(a) + Math.abs(b) + Math.abs(c);
  const fits = [2, -3.5, 7].every((x) => Math.abs(at(x) - (a * x * x + b * x + c)) <= 1e-9 * scale * x * x);
  if (!fits || (a === 0 && b === 0)) return undefined;
  const discriminant = b * b - 4 * a * c;
  let roots: number[];
  if (a === 0) roots = [-c / b];
  else if (discriminant < 0) roots = [];
  else
    roots = [...new Set([-1, 1].map((sign) => (-b + sign * Math.sqrt(discriminant)) / (2 * a)))].sort((x, y) => x - y);
  const points = roots.map((root) => ({ low: root, high: root, lowOpen: false, highOpen: false }));
  if (relation === '=') return points;
  const gaps = complement(points);
  if (relation === '!=') return gaps;
  const below = relation.startsWith('<');
  const holding = gaps.filter(({ low, high }) => {
    const middle =
      low === -Infinity ? (high === Infinity ? 0 : high - 1) : high === Infinity ? low + 1 : (low + high) / 2;
    return below === a * middle * middle + b * middle + c < 0;
  });
  return relation.endsWith('=') ? [...holding, ...points] : holding;
}
