/** @file Arithmetic problems in words and figures, with their answer and how one gets there. */
import type { Random } from '../../../random';

export interface Problem {
  question: string;
  answer: string;
  /** The steps, for demonstrations. */
  working: string;
  [column: string]: unknown;
}

/** How to answer. */
export const BOX_PROMPT = 'Work the problem out, then write the final number inside \\boxed{}.';

/** An answer as the prompt asks for it. */
export function boxed(answer: string): string {
  return `\\boxed{${answer}}`;
}

/** A careless demonstrator is off by one or by ten, but does not get below zero. */
export function misreckon(answer: string, random: Random): string {
  const value = Number(answer);
  return String(value + random.pick([-10, -1, 1, 10].filter((error) => value < 0 || value + error >= 0)));
}

/** One step, one or two digits, nothing below zero. */
export function easyProblem(random: Random): Problem {
  const [a, b] = [random.between(1, 99), random.between(1, 99)];
  if (random.next() < 0.5) return sum(`${a} + ${b}`, a + b);
  return sum(`${Math.max(a, b)} - ${Math.min(a, b)}`, Math.abs(a - b));
}

/** Several steps, several digits, or a short story. */
export function hardProblem(random: Random): Problem {
  return random.pick([product, longSum, twoSteps, story])(random);
}

function sum(expression: string, value: number, steps = `${expression} = ${value}`): Problem {
  return { question: `What is ${expression}?`, answer: String(value), working: steps };
}

function product(random: Random): Problem {
  const [a, b] = [random.between(12, 99), random.between(102, 999)];
  const [tens, ones] = [10 * Math.floor(b / 10), b % 10];
  return sum(
    `${a} × ${b}`,
    a * b,
    `${a} × ${tens} = ${a * tens}\n${a} × ${ones} = ${a * ones}\n${a * tens} + ${a * ones} = ${a * b}`,
  );
}

function longSum(random: Random): Problem {
  const [a, b] = [random.between(1000, 99_999), random.between(1000, 99_999)];
  return random.next() < 0.5 ? sum(`${a} + ${b}`, a + b) : sum(`${a} - ${b}`, a - b);
}

function twoSteps(random: Random): Problem {
  const [a, b] = [random.between(11, 99), random.between(11, 99)];
  const [c, d] = [random.between(3, 19), random.between(11, 499)];
  const inner = a + b;
  return sum(
    `(${a} + ${b}) × ${c} - ${d}`,
    inner * c - d,
    `${a} + ${b} = ${inner}\n${inner} × ${c} = ${inner * c}\n${inner * c} - ${d} = ${inner * c - d}`,
  );
}

/** What is packed into what, and what becomes of it. */
const GOODS = [
  ['apples', 'crates'],
  ['pencils', 'boxes'],
  ['tiles', 'pallets'],
  ['letters', 'bags'],
  ['eggs', 'trays'],
] as const;

function story(random: Random): Problem {
  const [things, packs] = random.pick(GOODS);
  const [count, each] = [random.between(12, 48), random.between(11, 36)];
  const all = count * each;
  const gone = random.between(11, Math.min(all, 400) - 1);
  return {
    question: `${count} ${packs} hold ${each} ${things} each. ${gone} ${things} are taken out. How many ${things} are left?`,
    answer: String(all - gone),
    working: `${count} × ${each} = ${all}\n${all} - ${gone} = ${all - gone}`,
  };
}

/** The problems of each difficulty. */
export const PROBLEMS = { easy: easyProblem, hard: hardProblem } as const;
