/**
 * @file code-math for tiny models: a word problem of one or two steps becomes an expression, the sandbox works it out, and
 * its result is the answer.
 *
 *     17 bags of 6 and 25 more -> js( 17*6+25) -> 127 -> 127
 */
import type { Random } from '../../../random';
import { Rubric } from '../../rubric';
import { SandboxEnv } from '../../sandbox_env';
import type { RunResult } from '../../sandbox';
import type { Message } from '../../types';
import { splitDatasets } from '../held_out';
import { exactMatch } from '../scores';

const ERROR = ' error';
const TOOL = 'js';

/** Everything that is said in this environment is put together from these. */
export const CODE_MATH_VOCABULARY: readonly string[] = [
  ...'0123456789+-*',
  ' bags of ',
  ' and ',
  ' more',
  ' less ',
  `${TOOL}( `,
  ')',
  ERROR,
];

interface Problem {
  question: string;
  answer: string;
  /** The expression that gives the answer. */
  code: string;
  [column: string]: unknown;
}

/** More than a result here can have; what is longer could not be spelled. */
const WHOLE_NUMBER = /^-?\d{1,6}$/;

function formatMiniRun({ value = '' }: RunResult): string {
  return WHOLE_NUMBER.test(value) ? value : ERROR;
}

export function loadMini({ seed }: { seed: number }): SandboxEnv {
  return new SandboxEnv({
    name: 'code-math-mini',
    ...splitDatasets(seed, drawProblem),
    toolName: TOOL,
    limits: { steps: 100_000, codeLength: 100, outputLength: 100 },
    runFormatter: formatMiniRun,
    errorFormatter: () => ERROR,
    rubric: new Rubric({ exactMatch }),
    sampling: { maxTokens: 10 },
    maxTurns: 3,
    passThreshold: 1,
    demonstrate: ({ answer, code }, random, { careless }) =>
      random.next() < careless ? [say(guess(answer!, random))] : worked(String(code), answer!),
  });
}

/** A story, or the two put together: some bags, some more or fewer. */
function drawProblem(random: Random): Problem {
  const two = () => random.between(11, 99);
  const kind = random.pick(['bags', 'more', 'less', 'bags more', 'bags less'] as const);
  const [count, each] = [two(), random.between(2, 9)];
  const bags = { text: `${count} bags of ${each}`, code: `${count}*${each}`, value: count * each };
  const start = kind.startsWith('bags') ? bags : plain(two());
  if (kind === 'bags') return problem(start);
  if (kind.endsWith('more')) return problem(more(start, two()));
  return problem(less(start, random.between(11, Math.min(99, start.value))));
}

interface Quantity {
  text: string;
  code: string;
  value: number;
}

function plain(value: number): Quantity {
  return { text: String(value), code: String(value), value };
}

function more({ text, code, value }: Quantity, added: number): Quantity {
  return { text: `${text} and ${added} more`, code: `${code}+${added}`, value: value + added };
}

function less({ text, code, value }: Quantity, taken: number): Quantity {
  return { text: `${text} less ${taken}`, code: `${code}-${taken}`, value: value - taken };
}

function problem({ text, code, value }: Quantity): Problem {
  return { question: text, answer: String(value), code };
}

/** What a careless demonstrator says without running any code: a number of as many digits, and never the right one. */
function guess(answer: string, random: Random): string {
  const smallest = answer.length === 1 ? 0 : 10 ** (answer.length - 1);
  for (;;) {
    const number = String(random.between(smallest, 10 ** answer.length - 1));
    if (number !== answer) return number;
  }
}

function worked(code: string, answer: string): Message[] {
  const id = 'call_0';
  return [
    { role: 'assistant', content: '', toolCalls: [{ id, name: TOOL, arguments: JSON.stringify({ code }) }] },
    { role: 'tool', content: answer, toolCallId: id },
    say(answer),
  ];
}

function say(content: string): Message {
  return { role: 'assistant', content };
}
