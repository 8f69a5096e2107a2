/**
 * @file Reads LaTeX into an expression, by recursive descent with little backtracking.
 *
 * The grammar's shape is latex2sympy2_extended's, which decides what an answer means where notation is ambiguous:
 * - `1,2` is a set, (1,2) an open interval, (2,1) and (1,2,3) tuples, [0,1) an interval.
 * - `x=1,2` says that x is a set; `x=1,y=2` is a set of equations.
 * - Neighbours are multiplied before signs divide: 1/2x is 1/(2x). A whole number before a fraction is a mixed number;
 *   two numbers side by side, 1 000 or 2 1/2, have no value.
 * - x^2 binds its exponent to a letter first: 2^x^2 is 2^(x^2) but 2^3^2 is (2^3)^2.
 * - f(x), f(2), f(1,2) apply f; f(x+1) multiplies, since a product is likelier.
 * - \sin 2x + 1 is \sin(2x) + 1; \log without a base has base 10.
 */
import {
  E,
  HALF,
  INFINITY,
  UNDEFINED,
  childrenOf,
  integer,
  isInteger,
  negative,
  numberNode,
  product,
  quotient,
  sum,
} from './expression';
import type { Expression, FunctionName, Relation, RelationNode } from './expression';
import * as Q from './rational';
import { endValue } from './real_sets';
import { symbolName, tokenize } from './tokens';
import type { Token } from './tokens';

/** The text is no formula. */
class NotMathematics extends Error {}
/** The text is a formula that we do not evaluate: calculus, or one nested too deeply. */
class Unsupported extends Error {}
/** Made once: a stack trace for every way that was tried takes longer than trying it. */
const NOT_MATHEMATICS = new NotMathematics();
const UNSUPPORTED = new Unsupported();

/** Nested groups; more is no answer to any question. */
const MAX_DEPTH = 60;
/** Tokens read, backtracking included. */
const MAX_STEPS = 30_000;

const RELATIONS: Readonly<Record<string, Relation>> = {
  '=': '=',
  '!=': '!=',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
};

/** What an expression, a set or a tuple opens with, and closes with. */
const GROUPS: Readonly<Record<string, string>> = {
  '(': ')',
  '{': '}',
  '[': ']',
  '\\{': '\\}',
  lgroup: 'rgroup',
  lbrace: 'rbrace',
};
const FENCES: Readonly<Record<string, { close: string; name: FunctionName }>> = {
  lvert: { close: 'rvert', name: 'abs' },
  vert: { close: 'vert', name: 'abs' },
  lfloor: { close: 'rfloor', name: 'floor' },
  lceil: { close: 'rceil', name: 'ceil' },
};
const INTERVAL_OPEN = new Set(['(', '\\(', 'lgroup']);
const INTERVAL_CLOSE = new Set([')', '\\)', 'rgroup', ']']);
const TUPLES: Readonly<Record<string, string>> = { '(': ')', '\\(': '\\)', '[': ']' };
const SETS: Readonly<Record<string, string>> = { '{': '}', '\\{': '\\}' };
/** What may come after an element of a list. */
const AFTER_ELEMENT = new Set([',', ';', ')', '\\)', ']', '}', '\\}', 'end']);

/**
 * @returns the expression; 'unsupported' for a formula that we cannot evaluate; undefined for what is no formula
 */
export function parseLatex(text: string): Expression | 'unsupported' | undefined {
  const thousands = wholeNumberWithCommas(text);
  if (thousands) return thousands;
  const tokens = tokenize(text);
  if (!tokens) return undefined;
  try {
    return new Parser(tokens).answer();
  } catch (error) {
    if (error instanceof NotMathematics) return undefined;
    if (error instanceof Unsupported) return 'unsupported';
    throw error;
  }
}

/** 1,234,567.8; and 0,123 for 0.123. Without spaces, else it is a list. */
function wholeNumberWithCommas(text: string): Expression | undefined {
  const number = /^\s*(-?)(\d{1,3}(?:,\d{3})+(?:\.\d+)?)\s*$/.exec(text);
  if (!number) return undefined;
  const [, sign = '', digits = ''] = number;
  const plain = sign === '' && digits.startsWith('0') ? digits.replace(',', '.') : digits;
  const node = numeral(plain.replaceAll(',', ''));
  return sign === '' ? node : negative(node);
}

function numeral(text: string): Expression {
  return numberNode(Q.parseDecimal(text), /[.E]/.test(text));
}

class Parser {
  #at = 0;
  #depth = 0;
  #steps = 0;
  /** Open |...| around the current token, inside the innermost other group. */
  #bars = 0;

  constructor(readonly tokens: readonly Token[]) {}

  /** A whole answer: x = elements, or a list of elements, or an expression of sets. */
  answer(): Expression {
    return (
      this.#attempt(() => this.#ended(this.#assignedList())) ??
      this.#attempt(() => this.#ended(collect(this.#list(true)))) ??
      this.#ended(this.#setRelation())
    );
  }

  // Lists and sets

  #assignedList(): Expression {
    const left = this.#symbols();
    this.#expect('=', 'in');
    return { kind: 'relation', relation: '=', left, right: collect(this.#list(false)) };
  }

  /** x, or (x, y). */
  #symbols(): Expression {
    if (!this.#take('(')) return this.#symbol(true);
    const elements = [this.#symbol(true)];
    while (this.#take(',')) elements.push(this.#symbol(true));
    this.#expect(')');
    return elements.length === 1 ? elements[0]! : { kind: 'tuple', elements };
  }

  /** Elements between commas, between semicolons. */
  #list(relations: boolean): Expression[][] {
    const groups: Expression[][] = [];
    do {
      const group: Expression[] = [];
      do group.push(...this.#element(relations));
      while (this.#take(','));
      groups.push(group);
    } while (this.#take(';'));
    return groups;
  }

  /** One element; a ± b is two. Read as little as possible more than once, since lists nest. */
  #element(relations: boolean): Expression[] {
    if (this.#take('±')) {
      const size = this.#sum();
      return [negative(size), size];
    }
    const start = this.#at;
    const first = this.#attempt(() => this.#sum());
    const end = this.#at;
    if (first && this.#take('±')) {
      const size = this.#sum();
      return [sum(first, size), sum(first, negative(size))];
    }
    this.#at = start;
    const set = this.#attempt(() => {
      const atom = this.#setAtom();
      return AFTER_ELEMENT.has(this.#peek()) ? atom : this.#fail();
    });
    if (set) return [set];
    if (!first) return this.#fail();
    this.#at = end;
    return [relations ? this.#relation(first) : first];
  }

  #setAtom(): Expression {
    return (
      this.#attempt(() => this.#interval()) ?? this.#domain() ?? this.#attempt(() => this.#tuple()) ?? this.#finiteSet()
    );
  }

  #interval(): Expression {
    const open = this.#next().type;
    if (!INTERVAL_OPEN.has(open) && open !== '[') this.#fail();
    return this.#inside(() => {
      const low = this.#sum();
      this.#expect(',');
      const high = this.#sum();
      const close = this.#next().type;
      if (!INTERVAL_CLOSE.has(close)) this.#fail();
      return intervalOrPair(low, high, open !== '[', close !== ']');
    });
  }

  #domain(): Expression | undefined {
    const token = this.#take('domain');
    if (token) {
      const name = ({ ℕ: 'N', ℤ: 'Z', ℚ: 'Q', ℝ: 'R', ℂ: 'C' } as const)[token.text] ?? token.text.at(-2);
      return { kind: 'domain', name: name as 'R' };
    }
    if (this.#take('empty')) return { kind: 'set', elements: [] };
    if (this.#peek() === '{' && this.#peek(1) === '}') {
      this.#at += 2;
      return { kind: 'set', elements: [] };
    }
    return undefined;
  }

  #tuple(): Expression {
    const close = TUPLES[this.#next().type] ?? this.#fail();
    const elements = this.#inside(() => this.#list(true)).flat();
    this.#expect(close);
    return elements.length === 1 ? elements[0]! : { kind: 'tuple', elements };
  }

  #finiteSet(): Expression {
    const close = SETS[this.#next().type] ?? this.#fail();
    const elements = this.#inside(() => this.#list(true)).flat();
    this.#expect(close);
    return { kind: 'set', elements };
  }

  /** x \in A, or A alone, where A may be made with \cup, \cap and \setminus. */
  #setRelation(): Expression {
    const member = this.#attempt(() => {
      const left = this.#symbols();
      this.#expect('=', 'in');
      return left;
    });
    if (member) return { kind: 'relation', relation: '=', left: member, right: this.#setRelation() };
    const set = this.#setDifference();
    if (this.#peek() === 'subset') throw UNSUPPORTED;
    return set;
  }

  #setDifference(): Expression {
    let left = this.#setUnion();
    while (this.#take('difference')) left = { kind: 'difference', left, right: this.#setUnion() };
    return left;
  }

  #setUnion(): Expression {
    let left = this.#setIntersection();
    while (this.#take('union')) left = { kind: 'union', left: asSet(left), right: asSet(this.#setIntersection()) };
    return left;
  }

  #setIntersection(): Expression {
    let left = this.#setGroup();
    while (this.#take('intersection')) {
      left = { kind: 'intersection', left: asSet(left), right: asSet(this.#setGroup()) };
    }
    return left;
  }

  #setGroup(): Expression {
    const group = this.#attempt(() => {
      this.#expect('(');
      const inner = this.#inside(() => this.#setDifference());
      this.#expect(')');
      return inner;
    });
    return group ?? this.#setAtom();
  }

  // Relations and arithmetic

  /** @param first what stands before the first sign */
  #relation(first: Expression): Expression {
    let left = first;
    for (;;) {
      const { type } = this.#token();
      const relation = RELATIONS[type];
      if (relation) {
        this.#at++;
        const right = this.#sum();
        left = extendChain(left, relation, right);
      } else if (this.#take('≈')) {
        // x = a ≈ b says a; x ≈ b says b
        const right = this.#sum();
        if (isOnlySymbols(left)) left = right;
      } else if (type === 'in') {
        return this.#fail();
      } else {
        return left;
      }
    }
  }

  #sum(): Expression {
    const terms = [this.#product(true)];
    for (;;) {
      if (this.#take('+')) terms.push(this.#product(true));
      else if (this.#take('-')) terms.push(negative(this.#product(true)));
      else return terms.length === 1 ? terms[0]! : sum(...terms);
    }
  }

  /** @param functions false inside the argument of a function without parentheses, which the next function ends */
  #product(functions: boolean): Expression {
    let factors = [this.#signed(functions)];
    const whole = () => (factors.length === 1 ? factors[0]! : product(...factors));
    for (;;) {
      if (this.#take('*')) factors.push(this.#signed(functions));
      else if (this.#take('/')) factors = [quotient(whole(), this.#signed(functions))];
      else if (this.#take('mod')) factors = [{ kind: 'call', name: 'mod', args: [whole(), this.#signed(functions)] }];
      else return whole();
    }
  }

  #signed(functions: boolean): Expression {
    let sign = 1;
    for (;;) {
      if (this.#take('-')) sign = -sign;
      else if (!this.#take('+')) break;
      this.#step();
    }
    const factor = this.#neighbours(functions);
    return sign < 0 ? negative(factor) : factor;
  }

  /** Factors side by side. */
  #neighbours(functions: boolean): Expression {
    const factors = [this.#postfix(true)];
    while (this.#startsFactor(functions)) {
      // 1 000 or 2 1/2: neither a product nor anything else that we could be sure of
      if (this.#peek() === 'number' && this.tokens[this.#at - 1]!.type === 'number') throw UNSUPPORTED;
      factors.push(this.#postfix(functions));
    }
    const mixed = factors.length > 1 && mixedNumber(factors.at(-2)!, factors.at(-1)!);
    if (mixed) factors.splice(-2, 2, mixed);
    return factors.length === 1 ? factors[0]! : product(...factors);
  }

  #startsFactor(functions: boolean): boolean {
    const type = this.#peek();
    if (type === '|') return this.#bars === 0;
    if (FUNCTION_STARTS.has(type)) return functions;
    return FACTOR_STARTS.has(type);
  }

  #postfix(functions: boolean): Expression {
    let value = this.#powers(functions);
    for (;;) {
      if (this.#take('!')) value = { kind: 'call', name: 'factorial', args: [value] };
      else if (this.#take('transpose')) value = transposed(value);
      // Degrees count as plain numbers: 90^\circ is 90.
      else if (!this.#take('degree')) return value;
    }
  }

  #powers(functions: boolean): Expression {
    let base = this.#primary(functions);
    while (this.#take('^')) {
      base = { kind: 'power', base, exponent: this.#braced() };
      if (this.#peek() === '_') this.#subscript();
    }
    return base;
  }

  /** {expression}, or one atom: what ^ and _ take. */
  #braced(): Expression {
    if (!this.#take('{')) return this.#atom();
    const inner = this.#inside(() => this.#sum());
    this.#expect('}');
    return inner;
  }

  #primary(functions: boolean): Expression {
    this.#step();
    const { type } = this.#token();
    const group = GROUPS[type];
    if (group !== undefined) {
      this.#at++;
      return this.#group(group);
    }
    const fence = FENCES[type];
    if (fence) {
      this.#at++;
      const inner = this.#inside(() => this.#sum());
      this.#expect(fence.close);
      return { kind: 'call', name: fence.name, args: [inner] };
    }
    switch (type) {
      case '|':
        return this.#bar();
      case 'box':
        this.#at++;
        this.#expect('{');
        return this.#group('}');
      case 'frac':
        return this.#fraction();
      case 'binom': {
        this.#at++;
        this.#expect('{');
        const above = this.#group('}');
        this.#expect('{');
        return binomial(above, this.#group('}'));
      }
      case 'sqrt':
        return this.#root();
      case 'matrix':
      case 'detmatrix':
        return this.#matrix();
      case 'function':
      case 'manyfunction':
      case 'operatorname':
        return this.#call();
      case 'exp':
        this.#at++;
        return this.#take('^') ? { kind: 'call', name: 'exp', args: [this.#braced()] } : E;
      case 'calculus':
      case 'langle':
      case 'det':
      case 'partial':
        throw UNSUPPORTED;
      default:
        return functions ? this.#applicationOrAtom() : this.#atom();
    }
  }

  #group(close: string): Expression {
    const inner = this.#inside(() => {
      const above = this.#sum();
      return close === '}' && this.#take('choose') ? binomial(above, this.#sum()) : above;
    });
    this.#expect(close);
    return inner;
  }

  #bar(): Expression {
    this.#at++;
    this.#bars++;
    const inner = this.#deeper(() => this.#sum());
    this.#expect('|');
    this.#bars--;
    return { kind: 'call', name: 'abs', args: [inner] };
  }

  #fraction(): Expression {
    this.#at++;
    this.#expect('{');
    const start = this.#at;
    const above = this.#group('}');
    this.#expect('{');
    const differential = this.#peek() === 'differential' && this.#peek(1) === '}';
    if (differential && this.tokens[start]!.text.startsWith('d')) throw UNSUPPORTED; // a derivative
    return quotient(above, this.#group('}'));
  }

  #root(): Expression {
    this.#at++;
    let exponent: Expression = HALF;
    if (this.#take('[')) {
      const degree = this.#group(']');
      exponent = quotient(integer(1), degree);
    }
    this.#expect('{');
    return { kind: 'power', base: this.#group('}'), exponent };
  }

  #matrix(): Expression {
    const type = this.#next().type;
    const rows = this.#inside(() => {
      const list: Expression[][] = [];
      do {
        if (list.length > 0 && this.#peek().startsWith('end')) break; // a \\ after the last row
        const row = [this.#sum()];
        while (this.#take('&')) row.push(this.#sum());
        list.push(row);
      } while (this.#take('\\\\'));
      return list;
    });
    this.#expect(type === 'matrix' ? 'endmatrix' : 'enddetmatrix');
    if (this.#peek() === 'arrow' || type === 'detmatrix') throw UNSUPPORTED;
    if (rows.some((row) => row.length !== rows[0]!.length)) this.#fail();
    return { kind: 'matrix', rows };
  }

  // Functions and atoms

  #call(): Expression {
    let { text: name, type } = this.#next();
    name = name.slice(1);
    if (type === 'operatorname') {
      this.#expect('{');
      name = this.#expect('reserved').text;
      this.#expect('}');
      if (!['gcd', 'lcm', 'floor', 'ceil'].includes(name) && !name.startsWith('ar')) throw UNSUPPORTED;
      type = name === 'gcd' || name === 'lcm' ? 'manyfunction' : 'function';
    }
    let base: Expression | undefined;
    let exponent: Expression | undefined;
    for (let i = 0; i < 2; i++) {
      if (!base && this.#take('_')) base = this.#braced();
      else if (!exponent && this.#take('^')) exponent = this.#braced();
    }
    let args: Expression[];
    if (type === 'manyfunction') {
      this.#expect('(');
      args = this.#inside(() => this.#list(false)).flat();
      this.#expect(')');
    } else if (this.#take('(')) {
      args = [this.#group(')')];
    } else {
      args = [this.#deeper(() => this.#product(false))];
    }
    const inverse = exponent && isInteger(exponent) && exponent.value.n === -1n && INVERTIBLE.has(name);
    const value = inverse ? called(`arc${name}`, args, base) : called(name, args, base);
    return exponent && !inverse ? { kind: 'power', base: value, exponent } : value;
  }

  /** A letter, and what it is applied to. */
  #applicationOrAtom(): Expression {
    if (!SYMBOL_STARTS.has(this.#peek())) return this.#atom();
    const start = this.#at;
    const applied = this.#attempt(() => {
      this.#symbol(false);
      const name = this.tokens
        .slice(start, this.#at)
        .map(({ text }) => text)
        .join('');
      const exponent = this.#take('^') ? this.#braced() : undefined;
      const args = this.#arguments();
      const value: Expression = { kind: 'application', name, args };
      return exponent ? ({ kind: 'power', base: value, exponent } as const) : value;
    });
    return applied ?? this.#atom();
  }

  /** (atom) or (a, b, ...). Anything else in parentheses is a factor. */
  #arguments(): Expression[] {
    const close = { '(': ')', '[': ']' }[this.#next().type] ?? this.#fail();
    return this.#inside(() => {
      const atom = this.#attempt(() => {
        const value = this.#atom();
        this.#expect(close);
        return value;
      });
      if (atom) return [atom];
      // Looked for before anything is read, else f(f(f( would be read twice per level.
      if (!this.#hasComma()) this.#fail();
      const args = [this.#sum()];
      this.#expect(',');
      while (!this.#take(close)) {
        args.push(this.#sum());
        if (!this.#take(',')) {
          this.#expect(close);
          break;
        }
      }
      return args;
    });
  }

  /** Whether a comma comes before the current group closes. */
  #hasComma(): boolean {
    let depth = 0;
    for (let i = this.#at; i < this.tokens.length; i++) {
      const { type } = this.tokens[i]!;
      if (OPENERS.has(type)) depth++;
      else if (CLOSERS.has(type) && --depth < 0) return false;
      else if (type === ',' && depth === 0) return true;
      this.#step();
    }
    return false;
  }

  #atom(): Expression {
    this.#step();
    const { type, text } = this.#token();
    switch (type) {
      case 'number':
        this.#at++;
        if (this.#peek() === '_') this.#subscript(); // a number's base is ignored
        return numeral(text);
      case 'percent': {
        this.#at++;
        const number = numeral(text.replace(/\s?\\?%/, ''));
        return number.kind === 'number'
          ? numberNode(Q.divide(number.value, { n: 100n, d: 1n }), number.decimal)
          : UNDEFINED;
      }
      case 'scientific':
        this.#at++;
        return numeral(text);
      case 'infinity':
        this.#at++;
        return INFINITY;
      case 'E':
        this.#at++;
        return { kind: 'symbol', name: 'e' };
      case 'differential':
        this.#at++;
        return { kind: 'symbol', name: `d${text.slice(1).trim().replace(/^\\/, '')}` };
      default:
        return this.#symbol(true);
    }
  }

  /** A letter with its subscript; and its exponent, which belongs to it before all else. */
  #symbol(withExponent: boolean): Expression {
    const { type, text } = this.#next();
    if (!SYMBOL_STARTS.has(type)) this.#fail();
    let exponent = withExponent && this.#take('^') ? this.#braced() : undefined;
    const subscript = this.#peek() === '_' ? this.#subscript() : '';
    if (withExponent && !exponent && this.#take('^')) exponent = this.#braced();
    const base = symbolNode(type, text, subscript);
    return exponent ? { kind: 'power', base, exponent } : base;
  }

  /** _x or _{...}, as text. */
  #subscript(): string {
    this.#expect('_');
    const start = this.#at;
    if (this.#take('{')) {
      this.#inside(() => {
        this.#sum();
        while (this.#take(',')) this.#sum();
      });
      this.#expect('}');
    } else {
      this.#atom();
    }
    const parts = this.tokens.slice(start, this.#at).map(({ text }) => text);
    const inner = (parts[0] === '{' ? parts.slice(1, -1) : parts).join('');
    return inner.length > 1 ? `_{${inner}}` : `_${inner}`;
  }

  // Reading tokens

  #token(): Token {
    return this.tokens[this.#at] ?? { type: 'end', text: '' };
  }

  #peek(ahead = 0): string {
    return this.tokens[this.#at + ahead]?.type ?? 'end';
  }

  #next(): Token {
    const token = this.#token();
    this.#step();
    this.#at++;
    return token;
  }

  #take(type: string): Token | undefined {
    const token = this.tokens[this.#at];
    if (token?.type !== type) return undefined;
    this.#at++;
    return token;
  }

  #expect(...types: string[]): Token {
    const token = this.#next();
    return types.includes(token.type) ? token : this.#fail();
  }

  #ended(value: Expression): Expression {
    return this.#at === this.tokens.length ? value : this.#fail();
  }

  #fail(): never {
    throw NOT_MATHEMATICS;
  }

  #step(): void {
    if (++this.#steps > MAX_STEPS) throw UNSUPPORTED;
  }

  /** What `read` gives, or undefined with nothing read. */
  #attempt<T>(read: () => T): T | undefined {
    const [at, depth, bars] = [this.#at, this.#depth, this.#bars];
    try {
      return read();
    } catch (error) {
      if (!(error instanceof NotMathematics)) throw error;
      [this.#at, this.#depth, this.#bars] = [at, depth, bars];
      return undefined;
    }
  }

  #deeper<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw UNSUPPORTED;
    const value = read();
    this.#depth--;
    return value;
  }

  /** Reads inside other brackets than |...|. */
  #inside<T>(read: () => T): T {
    const bars = this.#bars;
    this.#bars = 0;
    const value = this.#deeper(read);
    this.#bars = bars;
    return value;
  }
}

const SYMBOL_STARTS = new Set(['letter', 'symbol', 'accent']);
const ATOM_STARTS = ['number', 'percent', 'scientific', 'infinity', 'E', 'differential', ...SYMBOL_STARTS];
const FUNCTION_STARTS = new Set(['function', 'manyfunction', 'operatorname', 'sqrt', 'exp', 'calculus']);
const FACTOR_STARTS = new Set([
  ...ATOM_STARTS,
  ...Object.keys(GROUPS),
  ...Object.keys(FENCES).filter((type) => type !== 'vert'),
  ...['frac', 'binom', 'matrix', 'detmatrix', 'box', 'langle', 'partial', 'det'],
]);
const OPENERS = new Set(Object.keys(GROUPS));
const CLOSERS = new Set([...Object.values(GROUPS), 'end']);
const INVERTIBLE = new Set(['sin', 'cos', 'tan', 'csc', 'sec', 'cot', 'sinh', 'cosh', 'tanh']);

/** One list is its element or a set of its elements; several lists are a set of tuples. */
function collect(groups: Expression[][]): Expression {
  if (groups.length === 1) {
    const [elements] = groups;
    return elements!.length === 1 ? elements![0]! : { kind: 'set', elements: elements! };
  }
  const single = groups.every((group) => group.length === 1);
  return { kind: 'set', elements: single ? groups.flat() : groups.map((elements) => ({ kind: 'tuple', elements })) };
}

function asSet(node: Expression): Expression {
  return node.kind === 'tuple' ? { ...node, kind: 'set' } : node;
}

/** An interval needs its ends in order; two numbers that are not are a pair, or nothing where one end is closed. */
function intervalOrPair(low: Expression, high: Expression, lowOpen: boolean, highOpen: boolean): Expression {
  const order = endOrder(low, high);
  if (order !== undefined) {
    const pair = lowOpen && highOpen ? order >= 0 : !lowOpen && !highOpen && order > 0;
    if (pair) return { kind: 'tuple', elements: [low, high] };
    if (order > 0 || (order === 0 && (lowOpen || highOpen))) return { kind: 'set', elements: [] };
    if (order === 0) return { kind: 'set', elements: [low] };
  }
  const infinite = (node: Expression) => [node, ...childrenOf(node)].includes(INFINITY);
  return { kind: 'interval', low, high, lowOpen: lowOpen || infinite(low), highOpen: highOpen || infinite(high) };
}

/** Sign of low - high where both are numbers or infinite. */
function endOrder(low: Expression, high: Expression): number | undefined {
  const [a, b] = [endValue(low), endValue(high)];
  if (a === undefined || b === undefined) return undefined;
  if (low.kind === 'number' && high.kind === 'number') return Q.compare(low.value, high.value);
  return a === b ? 0 : a - b;
}

/** Appends to a chain of relations: a < b, then < c, is a < b and b < c. */
function extendChain(left: Expression, relation: Relation, right: Expression): Expression {
  if (left.kind === 'relation') {
    return { kind: 'chain', relations: [left, { kind: 'relation', relation, left: left.right, right }] };
  }
  if (left.kind === 'chain') {
    const next: RelationNode = { kind: 'relation', relation, left: left.relations.at(-1)!.right, right };
    return { kind: 'chain', relations: [...left.relations, next] };
  }
  return { kind: 'relation', relation, left, right };
}

/** True for names and what is made of nothing but names: x, f(x), ab, a/b. Then x = ... defines something. */
export function isOnlySymbols(node: Expression): boolean {
  if (node.kind === 'symbol') return true;
  if (node.kind === 'power' && isInteger(node.exponent) && node.exponent.value.n === -1n) {
    return isOnlySymbols(node.base) || childrenOf(node.base).every(isOnlySymbols);
  }
  const children = childrenOf(node);
  return children.length > 0 && children.every(isOnlySymbols);
}

/** 2 \frac{1}{2}: a whole number beside a positive fraction adds up. Beside a group it multiplies: 2(3). */
function mixedNumber(left: Expression, right: Expression): Expression | undefined {
  if (!isInteger(left) || right.kind !== 'number' || right.decimal) return undefined;
  if (right.value.n <= 0n || right.value.d === 1n) return undefined;
  const part = left.value.n < 0n ? Q.negate(right.value) : right.value;
  return numberNode(Q.add(left.value, part));
}

function binomial(above: Expression, below: Expression): Expression {
  return { kind: 'call', name: 'binomial', args: [above, below] };
}

function transposed(node: Expression): Expression {
  if (node.kind !== 'matrix') return node;
  return { kind: 'matrix', rows: node.rows[0]!.map((_, column) => node.rows.map((row) => row[column]!)) };
}

const SHORT_NAMES: Readonly<Record<string, FunctionName>> = {
  arsinh: 'asinh',
  arcosh: 'acosh',
  artanh: 'atanh',
};

function called(name: string, args: Expression[], base: Expression | undefined): Expression {
  if (name === 'log') return { kind: 'call', name, args: [args[0]!, base ?? integer(10)] };
  if (name === 'ln') return { kind: 'call', name: 'log', args: [args[0]!, base ?? E] };
  const short = SHORT_NAMES[name] ?? (name.startsWith('arc') ? `a${name.slice(3)}` : name);
  return { kind: 'call', name: short as FunctionName, args };
}

/** Symbols know no capitals: A is a. Text is a symbol of its letters; other accents stay in the name. */
function symbolNode(type: string, text: string, subscript: string): Expression {
  if (type === 'letter' && text === 'I') return { kind: 'constant', name: 'i' };
  let name = symbolName(text);
  if (type === 'accent') {
    const [, command = '', content = ''] = /^\\([a-zA-Z]+)\s?\{([^}]*)\}$/.exec(text) ?? [];
    const inner = content.replaceAll(' ', '');
    if (command.startsWith('text') || command === 'mbox') name = inner.replace(/[()]/g, '');
    else name = `${ACCENT_NAMES[command] ?? (command.startsWith('math') ? 'math' : command)}{${inner}}`;
  }
  name = `${name.trim()}${subscript}`.toLowerCase();
  return name === 'pi' ? { kind: 'constant', name: 'pi' } : { kind: 'symbol', name };
}

const ACCENT_NAMES: Readonly<Record<string, string>> = { overline: 'bar', overrightarrow: 'vec', widetilde: 'tilde' };
