/** @file math_answers.json: finding the answer in a text, and MathRubric's score of it. */
import { extractBoxedAnswer, extractHashAnswer, scoreMath, stripNonNumeric } from '../../src/envs/math';
import { MaybeThinkParser } from '../../src/envs/parsers';
import { readJsonFile } from './files';
import { golden } from './golden';
import type { GoldenCase } from './golden';

interface ExtractCase {
  text: string;
  expected: string;
}

interface MathFile {
  extract_boxed_answer: ExtractCase[];
  extract_hash_answer: ExtractCase[];
  strip_non_numeric: ExtractCase[];
  math_rubric: { text: string; answer: string; parsed: string; expected: number }[];
}

const FILE = 'math_answers.json';

/** Every list of math_answers.json. */
export function mathCases(dir: string): GoldenCase[] {
  const data = readJsonFile(dir, FILE) as MathFile;
  const extracted = (
    list: 'extract_boxed_answer' | 'extract_hash_answer' | 'strip_non_numeric',
    by: (text: string) => string,
  ) => data[list].map(({ text, expected }, i) => golden(FILE, `${list} ${i}`, by(text), expected));
  const parser = new MaybeThinkParser({ extract: extractBoxedAnswer });
  return [
    ...extracted('extract_boxed_answer', extractBoxedAnswer),
    ...extracted('extract_hash_answer', extractHashAnswer),
    ...extracted('strip_non_numeric', stripNonNumeric),
    ...data.math_rubric.flatMap(({ text, answer, parsed, expected }, i) => [
      golden(FILE, `math_rubric ${i} parsed`, parser.parse(text), parsed),
      golden(FILE, `math_rubric ${i}: ${text} for ${answer}`, scoreMath(parser.parse(text), answer), expected),
    ]),
  ];
}
