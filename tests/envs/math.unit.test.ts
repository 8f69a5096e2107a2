import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { extractBoxedAnswer, mathEqual, scoreMath } from '../../src/envs/math';
import { MaybeThinkParser } from '../../src/envs/parsers';
import type { Message } from '../../src/envs';
import { parseLatex } from '../../src/envs/math/parse';
import { lastBoxes, normalizeLatex } from '../../src/envs/math/normalize';
import * as Q from '../../src/envs/math/rational';
import { withoutUnit } from '../../src/envs/math/units';
import { readJsonFile } from '../checks/files';
import { mathCases } from '../checks/verifiers_math';

const ORACLE = 'tests/oracle/verifiers';

it('equals verifiers on math_answers.json', () => {
  expect(mathCases(ORACLE).filter(({ ok }) => !ok)).toEqual([]);
});

it('equals verifiers on the environments that score with MathRubric', () => {
  interface RewardCase {
    id: string;
    completion: Message[];
    answer: string;
    expected: { reward: number };
  }
  const { environments } = readJsonFile(ORACLE, 'env_rewards.json') as {
    environments: Record<string, { cases: RewardCase[] }>;
  };
  const parser = new MaybeThinkParser({ extract: extractBoxedAnswer });
  const cases = ['doublecheck', 'gsm8k_v019'].flatMap((name) => environments[name]?.cases ?? []);
  expect(cases.length).toBeGreaterThan(0);
  for (const { id, completion, answer, expected } of cases) {
    const score = scoreMath(parser.parseAnswer(completion) ?? '', answer);
    expect({ id, score }).toEqual({ id, score: expected.reward });
  }
});

const EXAMPLE = /^ {4}(\S.*?) {2,}(is|is not) {2,}(\S.*)$/;
const documented = readFileSync('docs/MATH.md', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('    '))
  .map((line) => EXAMPLE.exec(line) ?? expect.fail(`not an example: ${line}`));

describe('docs/MATH.md', () => {
  it('has examples', () => expect(documented.length).toBeGreaterThan(90));
  it.each(documented.map(([, answer, verb, target]) => ({ answer, verb, target })))(
    '$answer $verb $target',
    ({ answer, verb, target }) => expect(mathEqual(answer!, target!)).toBe(verb === 'is'),
  );
});

/** Target, whether it accepts the answer, answer: as math-verify 0.8.0 said when it was run on these pairs. */
const MATH_VERIFY = String.raw`
42 ≠ 42.0000001
42 ≠ 42.0000004
1/3 = 0.333333
1/3 = 0.3333333
1/3 ≠ 0.33333
\sqrt{2} = 1.414214
\sqrt{2} = 1.4142136
\sqrt{2} ≠ 1.41421
\pi = 3.141593
2 = \sqrt{4}
2 ≠ 1.9999999
0.1+0.2 = 0.3
50\% = 0.5
50\% ≠ 50
50\% = \frac12
33.3333\% = \frac13
33.333333\% = \frac13
100\% = 1
5.0 = 5.00
0 ≠ 1E-9
x ≠ \frac{2x}{2}
2t = 2
5m = 5
3x ≠ 3y
x^(1/2) = \sqrt{x}
2 3/4 ≠ \frac{11}{4}
2\frac34 = \frac{11}{4}
(1,2) = 1,2
(1,2) = \{1,2\}
(1,2) ≠ (2,1)
(1,2) ≠ [1,2]
(1,2,3) = 1,2,3
1,2,3 = (1,2,3)
3,2,1 = (1,2,3)
(1,2,3) ≠ 3,2,1
\{1,2\} = 1,2
[1,3] ≠ 1 \le x \le 3
1 \le x \le 3 = [1,3]
x \in [1,3] = [1,3]
[1,3] = x\in[1,3]
x<3 = (-\infty,3)
x<3 = 3>x
2x<4 ≠ x<2
2x=4 ≠ x=2
y=2x+1 = 2x-y+1=0
x=3 ≠ y=3
x=3 = 3
3 = x=3
2+3=5 ≠ 5
5 = 2+3=5
x=1,2 = x=1 \text{ or } x=2
x=1 \text{ or } x=2 = 1,2
1,2 = x=1,x=2
(-\infty,2)\cup(2,\infty) = \mathbb{R}\setminus\{2\}
(-\infty,2)\cup(2,\infty) ≠ x\neq 2
x\neq 2 = (-\infty,2)\cup(2,\infty)
42. ≠ 42
The answer is 42. = 42
the answer is $42$ ≠ 42
The answer is $42$. = 42
So 3/4. = 0.75
x \approx 3.14 = 3.14
3.14 = \approx 3.14
A = a
A = \text{A}
east = \text{East}
\text{no solution} = no solution
\text{No} = no
E = e
2E ≠ 2e
\log_2 8 = 3
\ln e = 1
\log 100 = 2
\sin 30^\circ ≠ \frac12
\sin\frac{\pi}{6} = \frac12
5! = 120
\binom52 ≠ 10
\binom{5}{2} = 10
0.\overline{3} ≠ \frac13
1{,}000 = 1000
1\,000 ≠ 1000
1 000 ≠ 1000
1,000,000 = 1000000
12,34 ≠ 1234
\frac{2}{4} = \frac12
2^{10} = 1024
2^10 = 1024
10^{-3} = 0.001
1e3 ≠ 1000
1E3 = 1000
9^9^9^9 ≠ 1
9^{9^{9^9}} ≠ 1
\begin{pmatrix}1\\2\end{pmatrix} = \begin{bmatrix}1\\2\end{bmatrix}
\begin{pmatrix}1\\2\end{pmatrix} ≠ (1,2)
3:2 = \frac32
3:2 = 1.5
1:2 = 2:4
x^2-1 = (x-1)(x+1)
\frac{x^2-1}{x-1} = x+1
\sqrt{x^2} ≠ x
\sin^2 x+\cos^2 x = 1
\frac{1}{\sqrt2} = \frac{\sqrt2}{2}
\infty = \infty
-\infty ≠ \infty
\emptyset = \{\}
\{5\} = 5
(5) = 5
[5] = 5
5 = 5,5
\pm 3 = 3,-3
\pm3 = \{-3,3\}
x=\pm3 = 3,-3
0.5 = .5
-.5 = -0.5
-0 = 0
+5 = 5
1/2/2 = 1/4
\frac{1}{0} = \frac{1}{0}
\frac10 ≠ 5
\frac{a}{b} = a/b
ab = ba
2 \cdot 3 = 6
2\times3 = 6
6 \div 2 = 3
7 \mod 3 = 1
3 \text{ or } 4 = 3,4
\text{3} = 3
\text{42} = 42
\text{x} = x
12\text{ cm} = 12
\text{12 cm} ≠ 12
$5 = 5
5\$ = 5
5 USD ≠ 5
5\% ≠ 5
5 percent = 5\%
5\text{ percent} ≠ 5\%
5 \text{ degrees} = 5
5^\circ C ≠ 5
5^\circ = 5^{\circ}
90° ≠ 90
x=5 = 5=x
5=x ≠ 5
a=5, b=6 = a=5,b=6
a=5,b=6 = 5,6
5,6 = a=5,b=6
(5,6) = x=5,y=6
x=5,y=6 = (5,6)
1.0 = 1
1.50 = 1.5
1.5 = \frac32
0.75 = \frac34
-1/2 = \frac{-1}{2}
-1/2 = -\frac{1}{2}
\frac{3}{4} = .75
1\frac12 = 1.5
1\frac{1}{2} = \frac{3}{2}
\left(\frac{1}{2}\right) = 0.5
\dfrac{1}{2} = \tfrac12
3.0\times 10^8 = 300000000
3\times10^8 = 3E8
\text{(A)} = A
(A) = A
\text{A} = (A)
A. ≠ A
A) ≠ A
\text{True} = True
True ≠ true
true ≠ \text{true}
f(x)=x+1 = x+1
x+1 = f(x)=x+1
x^2=4 ≠ x=\pm 2
x=2 ≠ x^2=4
7 \text{ and } 8 = 8,7
\{1,2,3\} = \{3,2,1\}
\{1,2,2\} = \{1,2\}
[0,1)\cup(2,3) = (2,3)\cup[0,1)
(0,1)\cup(1,2) ≠ (0,2)
[1,\infty) ≠ x\ge1
x\ge1 = [1,\infty)
x>1 and x<3 ≠ (1,3)
100,000 = 100000
\$100{,}000 = 100000
1,000.00 = 1000
.333 ≠ 1/3
\frac{\pi}{2} = 1.570796
\frac{\pi}{2} ≠ 1.5708
1.5708 ≠ \frac{\pi}{2}
1.570796 = \frac{\pi}{2}
\frac{\pi}{2} = \pi/2
\pi/2 = 0.5\pi
2\pi r = 2r\pi
\sqrt[3]{8} = 2
\sqrt[3]{-8} ≠ -2
4! = 24
3^{-1} = 1/3
\left\lfloor 3.7 \right\rfloor = 3
\max(1,2) = 2
\gcd(12,18) = 6
1 + 2i = 2i+1
10^2\text{ m} = 100
5\text{ m/s} = 5
5 m/s ≠ 5
5 km = 5
5 kilometers ≠ 5
5km/h ≠ 5
10 \text{cm}^2 = 10
10\text{ cm}^{2} = 10
\frac{5}{2}\text{ hours} = 2.5
2\text{ hours } 30\text{ minutes} = 2
x=5\text{ cm} = 5
20\,\text{cm} = 20
20~\text{cm} ≠ 20
20~cm ≠ 20
|-3| = 3
\sqrt{x^2} = |x|
\{x|x>2\} ≠ (2,\infty)
|x-1| = |1-x|
`;

it.each(
  MATH_VERIFY.trim()
    .split('\n')
    .map((line) => /^(.*) ([=≠]) (.*)$/.exec(line)!.slice(1)),
)('agrees with math-verify: %s %s %s', (target, sign, answer) => {
  expect(mathEqual(answer, target)).toBe(sign === '=');
});

describe('bounds', () => {
  const units = [
    ...['{', '(', '[', '\\{', '|', '\\left(', '\\frac{', '\\sqrt{', '\\boxed{', '$', '$$', '\\[', '\\(', ' ', '\n'],
    ...[
      '1 ',
      '1,',
      '1+',
      '-',
      '9^',
      '9^{',
      '!',
      '9!',
      'x^',
      'f(',
      'f[',
      'a_{',
      'x(1,',
      '\\text{',
      '\\text{a}',
      '\\sin ',
    ],
    ...['(1,', '{1,', '=', 'x=', 'and ', 'answer', 'answer:', 'final answer is ', '1/2 ', '$1$ and ', '1%', 'percent'],
    ...[
      '(1,2)\\cup',
      '\\begin{pmatrix}',
      '&',
      '\\\\',
      'dx',
      '10^',
      '{1\\choose ',
      '\\gcd(',
      '^(',
      'sqrt(',
      '\\frac',
      'cm ',
    ],
    ...['1E99999+', '99999999', '(x+1)^9', '1.', '😀', 'ab', '\u0000', '}', '**', '1( '],
  ];

  it.each([300, 1990, 100_000])(
    'texts of %i characters are read in time',
    (length) => {
      for (const unit of units) {
        const text = unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
        for (const answer of [text, `The answer is $${text}$.`]) {
          const start = performance.now();
          expect(scoreMath(answer, '41')).toBe(0);
          scoreMath(answer, text.slice(1));
          expect(performance.now() - start, JSON.stringify(unit)).toBeLessThan(3000); // some 50 ms
        }
      }
    },
    60_000,
  );

  it.each(['9^9^9^9', '9^{9^{9^9}}', '1E999999999', '99999!', '\\binom{999999}{500000}', '2^{-99999}', '10^{400}'])(
    '%s is only itself',
    (text) => {
      expect(mathEqual(text, text)).toBe(true);
      expect(mathEqual(text, '0')).toBe(false);
      expect(mathEqual(`${text}+1`, text)).toBe(false);
    },
  );

  it('an empty box is never right', () => {
    expect(scoreMath('', '')).toBe(0);
    expect(mathEqual('', '')).toBe(false);
    expect(mathEqual(' ', ' ')).toBe(false);
  });

  it('takes the end of a long text', () => {
    const thoughts = 'Let me think about this for a while. '.repeat(100);
    expect(mathEqual(`${thoughts} So the answer is 42.`, '42')).toBe(true);
    expect(mathEqual(`The answer is 42. ${thoughts}`, '42')).toBe(false);
  });
});

describe('reading', () => {
  it.each([
    ['a \\boxed{1} b', '1'],
    ['\\boxed{1}, \\boxed{2}', '1,2'],
    ['\\boxed{1} is what I first thought it was, and then \\boxed{2}', '1,2'],
    ['\\boxed{1} is what I first thought it was - \\boxed{2}', '2'],
    ['\\fbox {3}', '3'],
    ['\\boxed{{a}', '{{a}'],
    ['no box', 'no box'],
  ])('lastBoxes of %s', (text, expected) => expect(lastBoxes(text)).toBe(expected));

  it.each([
    ['\\dfrac 12', '\\frac{1}{2}'],
    ['\\sqrt3', '\\sqrt{3}'],
    ['3/4', '\\frac{3}{4}'],
    ['03/4', '03/4'],
    ['.5x', '0.5x'],
    ['\\left[0, 1\\right)', '[0, 1)'],
    ['\\mathbf{A}', '\\text{A}'],
    ['7 and 8', '7, 8'],
    ['infinity', '\\infty'],
    ['x^(1/2)', 'x^{1/2}'],
  ])('normalizeLatex of %s', (text, expected) => expect(normalizeLatex(text)).toBe(expected));

  it.each([
    ['5 cm', '5'],
    ['5 sq m', '5'],
    ['x  cm', 'x '],
    ['5 furlongs', '5 furlongs'],
    ['cm', 'cm'],
    ['\\frac{1}{2} hours', '\\frac{1}{2}'],
  ])('withoutUnit of %s', (text, expected) => expect(withoutUnit(text)).toBe(expected));

  it.each(['', '42.', '(1', '1)', '\\foo', '2^-1', '2x \\in 3', '\\frac{1}', 'a & b', 'trace', '\\sqrt', '[1,', '{,}'])(
    '%j is no formula',
    (text) => expect(parseLatex(text)).toBeUndefined(),
  );

  it.each(['\\int x dx', '\\sum_{k=1}^n k', '\\frac{dy}{dx}', '1 2', '('.repeat(100) + '1' + ')'.repeat(100)])(
    '%s is a formula without a value',
    (text) => expect(parseLatex(text)).toBe('unsupported'),
  );
});

describe('rationals', () => {
  const q = (n: number, d = 1) => Q.rational(BigInt(n), BigInt(d))!;

  it('are in lowest terms, with a positive denominator, or nothing', () => {
    expect(q(6, -4)).toEqual({ n: -3n, d: 2n });
    expect(q(0, 5)).toEqual({ n: 0n, d: 1n });
    expect(Q.rational(1n, 0n)).toBeUndefined();
    expect(Q.rational(1n << 1200n)).toBeUndefined();
    expect(Q.divide(q(1), q(0))).toBeUndefined();
  });

  it('are read exactly', () => {
    expect(Q.parseDecimal('1.50')).toEqual({ n: 3n, d: 2n });
    expect(Q.parseDecimal('.125')).toEqual({ n: 1n, d: 8n });
    expect(Q.parseDecimal('2.5E-1')).toEqual({ n: 1n, d: 4n });
    expect(Q.parseDecimal('1E99999')).toBeUndefined();
    expect(Q.fromNumber(0.375)).toEqual({ n: 3n, d: 8n });
    expect(Q.fromNumber(Infinity)).toBeUndefined();
  });

  it('have powers and roots where those are exact', () => {
    expect(Q.power(q(2, 3), q(-2))).toEqual({ n: 9n, d: 4n });
    expect(Q.power(q(8, 27), q(2, 3))).toEqual({ n: 4n, d: 9n });
    expect(Q.power(q(2), q(1, 2))).toBeUndefined();
    expect(Q.power(q(-8), q(1, 3))).toBeUndefined();
    expect(Q.power(q(0), q(-1))).toBeUndefined();
    expect(Q.power(q(0), q(0))).toEqual(Q.ONE);
    expect(Q.power(q(-1), { n: 10n ** 30n + 1n, d: 1n })).toEqual({ n: -1n, d: 1n });
    expect(Q.power(q(2), { n: 10n ** 30n, d: 1n })).toBeUndefined();
  });

  it('round to even and down', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5].map((x) => Q.roundScaled(Q.fromNumber(x)!, 0))).toEqual([0n, 2n, 2n, 0n, -2n]);
    expect([q(7, 2), q(-7, 2), q(4)].map(Q.floor)).toEqual([3n, -4n, 4n]);
    expect(Q.toNumber({ n: 10n ** 320n, d: 10n ** 319n })).toBeCloseTo(10, 12);
  });
});
