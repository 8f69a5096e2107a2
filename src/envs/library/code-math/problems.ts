/** @file Problems that are a line of JavaScript and a nuisance without: each with the code that solves it and its answer. */
import type { Random } from '../../../random';

export interface CodeProblem {
  question: string;
  answer: string;
  /** An expression, or lines of which the last is one, whose value is the answer. */
  code: string;
  [column: string]: unknown;
}

function problem(question: string, answer: number | bigint, code: string): CodeProblem {
  return { question, answer: String(answer), code };
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

function digitSum(random: Random): CodeProblem {
  const [base, exponent] = [random.between(2, 19), random.between(20, 60)];
  return problem(
    `What is the sum of the decimal digits of ${base} to the power of ${exponent}?`,
    sum([...String(BigInt(base) ** BigInt(exponent))].map(Number)),
    `[...String(${base}n ** ${exponent}n)].reduce((sum, digit) => sum + Number(digit), 0)`,
  );
}

function divisible(random: Random): CodeProblem {
  const [a, b] = random.sample(range(3, 19), 2) as [number, number];
  const last = random.between(500, 5000);
  return problem(
    `How many of the whole numbers from 1 to ${last} are divisible by ${a} or by ${b}?`,
    range(1, last).filter((n) => n % a === 0 || n % b === 0).length,
    `let count = 0;\nfor (let n = 1; n <= ${last}; n++) if (n % ${a} === 0 || n % ${b} === 0) count++;\ncount`,
  );
}

function isPrime(n: number): boolean {
  return n > 1 && range(2, Math.floor(Math.sqrt(n))).every((divisor) => n % divisor !== 0);
}

function primes(random: Random): CodeProblem {
  const first = random.between(100, 900);
  const last = first + random.between(50, 400);
  return problem(
    `What is the sum of the prime numbers between ${first} and ${last}, both included?`,
    sum(range(first, last).filter(isPrime)),
    `let sum = 0;\nfor (let n = ${first}; n <= ${last}; n++) {\n  let prime = true;\n` +
      `  for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;\n  if (prime) sum += n;\n}\nsum`,
  );
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function commonDivisor(random: Random): CodeProblem {
  const shared = random.between(6, 200);
  const [a, b] = [shared * random.between(100, 900), shared * random.between(100, 900)];
  return problem(
    `What is the greatest common divisor of ${a} and ${b}?`,
    gcd(a, b),
    `const gcd = (a, b) => (b === 0 ? a : gcd(b, a % b));\ngcd(${a}, ${b})`,
  );
}

function savings(random: Random): CodeProblem {
  const [start, percent] = [random.between(500, 5000), random.between(2, 9)];
  const [taken, years] = [random.between(1, 20), random.between(5, 20)];
  let coins = start;
  for (let year = 0; year < years; year++) coins += Math.floor((coins * percent) / 100) - taken;
  return problem(
    `A chest holds ${start} coins. Every year ${percent} percent of what is in it are added, rounded down to whole coins, and ` +
      `then ${taken} coins are taken out. How many coins does it hold after ${years} years?`,
    coins,
    `let coins = ${start};\nfor (let year = 0; year < ${years}; year++) {\n` +
      `  coins += Math.floor((coins * ${percent}) / 100) - ${taken};\n}\ncoins`,
  );
}

function halving(random: Random): CodeProblem {
  const start = random.between(20, 999);
  let steps = 0;
  for (let n = start; n !== 1; n = n % 2 === 0 ? n / 2 : 3 * n + 1) steps++;
  return problem(
    `Take the number ${start}. If it is even, halve it; if it is odd, triple it and add one. Go on until it is 1. How many ` +
      'steps does that take?',
    steps,
    `let steps = 0;\nfor (let n = ${start}; n !== 1; n = n % 2 === 0 ? n / 2 : 3 * n + 1) steps++;\nsteps`,
  );
}

function remainder(random: Random): CodeProblem {
  const [base, exponent, divisor] = [random.between(12, 999), random.between(20, 200), random.between(101, 9999)];
  return problem(
    `What is the remainder when ${base} to the power of ${exponent} is divided by ${divisor}?`,
    BigInt(base) ** BigInt(exponent) % BigInt(divisor),
    `Number(${base}n ** ${exponent}n % ${divisor}n)`,
  );
}

const GOODS = [
  ['baker', 'trays', 'rolls'],
  ['printer', 'boxes', 'letters'],
  ['gardener', 'beds', 'bulbs'],
  ['potter', 'shelves', 'cups'],
] as const;

function stock(random: Random): CodeProblem {
  const [trade, packs, things] = random.pick(GOODS);
  const [count, each] = [random.between(112, 899), random.between(12, 98)];
  const [spoiled, price] = [random.between(3, 99), random.between(12, 99)];
  return problem(
    `A ${trade} has ${count} ${packs} of ${each} ${things} each. ${spoiled} ${things} are spoiled; the others are sold for ` +
      `${price} cents each. How many cents does that bring?`,
    (count * each - spoiled) * price,
    `(${count} * ${each} - ${spoiled}) * ${price}`,
  );
}

const KINDS = [digitSum, divisible, primes, commonDivisor, savings, halving, remainder, stock];

/** One problem of any kind. */
export function drawProblem(random: Random): CodeProblem {
  return random.pick(KINDS)(random);
}
