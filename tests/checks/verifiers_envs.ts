/**
 * @file env_rewards.json: what verifiers' environments give for finished transcripts, beside what rubrics made of our pieces
 * give. Environments that we ship are scored by their own rubrics; of the others the fixture names functions and weights,
 * and the functions below say their rules in our terms.
 */
import { EnvGroup, Judge, Rubric, SingleTurnEnv, letterGrade, libraryEntry, rows, sequenceRatio } from '../../src/envs';
import type { ChatModel, Environment, Message, RewardArgs, RewardFunction } from '../../src/envs';
import { wikiTools } from '../../src/envs/library/wiki-search/full';
import { extractBoxedAnswer } from '../../src/envs/math/extract';
import { MathRubric } from '../../src/envs/math_rubric';
import { ExtractParser, XMLParser, messagesOf, occurrences, pythonStrip } from '../../src/envs/parsers';
import { ScriptedModel } from '../scripted';
import { readJsonFile } from './files';
import { exempt, golden } from './golden';
import type { GoldenCase } from './golden';
import { stateOf } from './verifiers_state';
import type { UpstreamState } from './verifiers_state';

const FILE = 'env_rewards.json';

interface Scores {
  reward: number | null;
  metrics: Record<string, number | undefined>;
  /** How often a judge was asked. */
  judge_calls?: number;
  /** What kept us from a score. */
  error?: string;
}

interface RewardCase extends UpstreamState {
  id: string;
  judge_reply?: string;
  /** For alphabet_sort: by the options that the environment was loaded with, in words. */
  expected: Scores | Record<string, Scores>;
}

interface WeightedFunction {
  name: string;
  weight: number;
}

interface Fixture {
  functions: WeightedFunction[] | Record<string, WeightedFunction[]>;
  cases: RewardCase[];
  tools?: {
    pages: { id: string; title: string; content: string }[];
    calls: { tool: string; argument: string; expected?: unknown; raises?: unknown }[];
  };
}

/** Every case of every environment. */
export async function envRewardCases(dir: string): Promise<GoldenCase[]> {
  const { environments } = readJsonFile(dir, FILE) as { environments: Record<string, Fixture> };
  const cases: GoldenCase[] = [];
  for (const [name, fixture] of Object.entries(environments)) {
    for (const test of fixture.cases) cases.push(...(await compare(name, fixture, test)));
    if (fixture.tools) cases.push(...(await toolCases(name, fixture.tools)));
  }
  return cases;
}

async function compare(name: string, fixture: Fixture, test: RewardCase): Promise<GoldenCase[]> {
  if (name === 'alphabet_sort') {
    return Promise.all(
      Object.entries(test.expected as Record<string, Scores>).map(async ([label, expected]) => {
        const env = libraryEntry('alphabet-sort').load(optionsIn(label));
        return golden(FILE, `${test.id} ${label}`, await scores(env.rubric, test, expected), expected);
      }),
    );
  }
  const expected = test.expected as Scores;
  const judge = judgeModel(test.judge_reply);
  const got = await scores(rubricOf(name, fixture, judge), test, expected, RENAMED[name]);
  if (name === 'wiki_search') await addCounters(got, test, expected);
  if (expected.judge_calls !== undefined) got.judge_calls = judge.requests.length;
  const compared = golden(FILE, test.id, got, expected);
  if (name !== 'tool_test' || compared.ok) return [compared];
  // Whatever happens to the reward of this version, the calls are counted.
  const counters = ({ metrics }: Scores) => ({ ...metrics, tool_call_reward_func: undefined });
  return [
    golden(FILE, `${test.id} counters`, counters(got), counters(expected)),
    exempt(
      FILE,
      test.id,
      expected,
      'superseded by tool_test_v019: at this version the reward raised on every call, a trap',
    ),
  ];
}

/** Scores a transcript: the reward, and of the metrics those that upstream lists. */
async function scores(
  rubric: Rubric,
  test: RewardCase,
  expected: Scores,
  renamed: Record<string, string> = {},
): Promise<Scores> {
  const state = stateOf(test);
  await rubric.scoreRollout(state);
  if (state.error) return { reward: null, metrics: {}, error: `${state.error.where}: ${state.error.message}` };
  const metrics = Object.keys(expected.metrics).map((name) => [name, state.metrics[renamed[name] ?? name]] as const);
  return { reward: state.reward, metrics: Object.fromEntries(metrics) };
}

/** The counters of calls as the shipped wiki-search keeps them. */
async function addCounters(got: Scores, test: RewardCase, expected: Scores): Promise<void> {
  const own = await scores(libraryEntry('wiki-search').load().rubric, test, expected);
  for (const [name, value] of Object.entries(own.metrics)) got.metrics[name] ??= value;
}

/** `similarity_power 8`, `power_per_turn false` */
function optionsIn(label: string): Record<string, unknown> {
  const power = /similarity_power ([\d.]+)/.exec(label)?.[1];
  const perTurn = /power_per_turn (true|false)/.exec(label)?.[1];
  return {
    ...(power !== undefined && { similarityPower: Number(power) }),
    ...(perTurn !== undefined && { powerPerTurn: perTurn === 'true' }),
  };
}

/** Our name of a metric for the one in the fixture. */
const RENAMED: Record<string, Record<string, string>> = {
  doublecheck: { correct_answer_reward_func: 'correct_answer' },
};

/** Our environment for the one in the fixture. */
const SHIPPED: Record<string, string> = {
  doublecheck: 'doublecheck',
  sentence_repeater: 'sentence-repeater',
  tool_test: 'tool-test',
  tool_test_v019: 'tool-test',
  wordle_v019: 'wordle',
};

function rubricOf(name: string, fixture: Fixture, judge: ChatModel): Rubric {
  const shipped = SHIPPED[name];
  if (shipped !== undefined) return libraryEntry(shipped).load().rubric;
  if (name === 'gsm8k_v019') return new MathRubric();
  if (name === 'math_group') return mathGroup(fixture.functions as Record<string, WeightedFunction[]>).rubric;
  const functions = FUNCTIONS[name]?.(judge, fixture);
  if (!functions) throw new Error(`${FILE}: this check does not know the environment ${name}`);
  return weighted(fixture.functions as WeightedFunction[], functions, name === 'wiki_search');
}

/** The fixture's functions with the fixture's weights. */
function weighted(list: readonly WeightedFunction[], functions: Record<string, RewardFunction>, some = false): Rubric {
  const rubric = new Rubric();
  for (const { name, weight } of list) {
    const reward = functions[name];
    if (reward) rubric.add(name, reward, weight);
    else if (!some) throw new Error(`${FILE}: this check does not know the function ${name}`);
  }
  return rubric;
}

const boxed = new ExtractParser({ extract: extractBoxedAnswer });
const inBox = (completion: readonly Message[]) => boxed.parseAnswer(completion) ?? '';
const boxedMatch: RewardFunction = ({ completion, answer }) => inBox(completion) === answer;
const boxedFormat: RewardFunction = ({ completion }) => boxed.formatScore(completion);

function mathGroup(functions: Record<string, WeightedFunction[]>): EnvGroup {
  const envs = Object.entries(functions).map(
    ([name, list]): Environment =>
      new SingleTurnEnv({
        name,
        dataset: rows([{ question: '' }]),
        rubric: weighted(list, { [`${name}_answer_reward_func`]: boxedMatch, format_reward_func: boxedFormat }),
      }),
  );
  return new EnvGroup({ envs });
}

type Functions = Record<string, RewardFunction>;

/** The rules of each environment's functions. */
const FUNCTIONS: Record<string, (judge: ChatModel, fixture: Fixture) => Functions> = {
  reverse_text: () => {
    const parser = new XMLParser(['reversed_text'], { answerField: 'reversed_text' });
    return {
      lcs_reward_func: ({ completion, answer }) => sequenceRatio(parser.parseAnswer(completion) ?? '', answer),
    };
  },
  gsm8k: () => ({ correct_answer_reward_func: boxedMatch, format_reward_func: boxedFormat }),
  gpqa: () => ({ correct_answer_reward_func: ({ completion, answer }) => inBox(completion).startsWith(answer) }),
  // The rules before v0.1.9.
  wordle: () => {
    const parser = new XMLParser(['guess'], { answerField: 'guess' });
    const correct = ({ completion, answer }: RewardArgs) => parser.parseAnswer(completion) === `[${answer}]`;
    return {
      check_answer_reward_func: correct,
      count_turns_reward_func: (args) => Number(correct(args)) / (messagesOf(args.completion, 'assistant').length + 1),
      partial_credit_reward_func: (args) => {
        const newest = messagesOf(args.completion, 'user').at(-1);
        const [, marks = ''] = pythonStrip(newest?.content ?? '').split('\n');
        return correct(args) ? 0 : 0.2 * occurrences(marks, 'G') + 0.1 * occurrences(marks, 'Y');
      },
      format_reward_func: ({ completion }) => parser.formatScore(completion),
    };
  },
  xml_tool_env: (_, { functions }) => xmlToolRules(functions as WeightedFunction[]),
  summarize_text: () => {
    const parser = new XMLParser(['think', 'answer']);
    const summary = (completion: readonly Message[]) => parser.parseAnswer(completion) ?? '';
    return {
      sentence_reward_func: ({ completion }) => summary(completion).split('.').length === 3,
      lcs_reward_func: ({ completion, answer }) => sequenceRatio(summary(completion), answer),
      format_reward_func: ({ completion }) => parser.formatScore(completion),
    };
  },
  xlam_function_calling: () => {
    const parser = new XMLParser(['think', 'tool'], { answerField: 'tool' });
    return {
      check_tools_reward_func: ({ completion, answer }) => sameCalls(parser.parseAnswer(completion) ?? '', answer),
    };
  },
  wiki_search: (model) => {
    const ask = judge(model);
    return { judge_reward_func: async (args) => (await ask(args)).toLowerCase().includes('yes') };
  },
  simpleqa: (model) => {
    const ask = judge(model);
    const graded = (grade: string) => async (args: RewardArgs) => (/[ABC]/.exec(await ask(args))?.[0] ?? 'C') === grade;
    return {
      correct_answer_reward_func: graded('A'),
      incorrect_answer_reward_func: graded('B'),
      not_attempted_answer_reward_func: graded('C'),
    };
  },
  toxicity_explanation: (model) => {
    const ask = judge(model);
    return {
      comprehensive_evaluation: async (args) =>
        Number(/(?<![\p{L}\p{N}_])(?:[0-9]|10)(?![\p{L}\p{N}_])/u.exec(await ask(args))?.[0] ?? 0) / 10,
    };
  },
  // Where upstream gives 0 for a reply without a grade, ours is an error of the reward.
  continuation_quality: (model) => {
    const ask = judge(model);
    return { grade_reward: async (args) => letterGrade(await ask(args)) ?? 0 };
  },
};

function xmlToolRules(functions: readonly WeightedFunction[]): Functions {
  const parser = new XMLParser(['think', ['tool', 'answer']]);
  const results = new XMLParser(['result']);
  /** Each tool tag of the assistant: which tool, whether it was answered, and well. */
  const attempts = (completion: readonly Message[]) =>
    completion.flatMap((message, i) => {
      const text = message.role === 'assistant' ? parser.parseFields(message.content).tool : null;
      if (text == null) return [];
      const answer = completion[i + 1];
      const result = answer?.role === 'user' ? results.parseFields(answer.content).result : null;
      const good = result != null && !result.startsWith('Error:');
      return [{ name: toolNamed(text), answered: answer?.role === 'user', good }];
    });
  const rate = (list: { answered: boolean; good: boolean }[]) => {
    const answered = list.filter((attempt) => attempt.answered);
    return answered.filter(({ good }) => good).length / Math.max(1, answered.length);
  };
  const rules: Functions = {
    correct_answer_reward_func: ({ completion, answer }) => (parser.parseAnswer(completion) ?? 'None') === answer,
    tool_execution_reward_func: ({ completion }) => rate(attempts(completion)),
    format_reward_func: ({ completion }) => parser.formatScore(completion),
  };
  for (const { name: listed } of functions) {
    const tool = /^(.+)_attempt_reward_func$/.exec(listed)?.[1];
    if (tool === undefined) continue;
    const calls = (completion: readonly Message[]) => attempts(completion).filter(({ name }) => name === tool);
    rules[`${tool}_reward_func`] = ({ completion }) => rate(calls(completion));
    rules[`${tool}_count_reward_func`] = ({ completion }) => calls(completion).filter(({ good }) => good).length;
    rules[`${tool}_attempt_reward_func`] = ({ completion }) => calls(completion).length;
  }
  return rules;
}

function toolNamed(json: string): unknown {
  const command = parsed(json);
  return typeof command === 'object' && command !== null && !Array.isArray(command)
    ? (command as { name?: unknown }).name
    : undefined;
}

/** Calls as a JSON list, in any order and repeated at will: each of ours is wanted, each wanted one is there. */
function sameCalls(calledText: string, wantedText: string): boolean {
  const [called, wanted] = [parsed(calledText || '[]'), parsed(wantedText)];
  if (!isIterable(called) || !isIterable(wanted)) return false;
  const [ours, theirs] = [itemsOf(called), itemsOf(wanted)];
  const within = (list: unknown[], others: unknown[]) =>
    list.every((item) => others.some((other) => pythonEqual(item, other)));
  return within(ours, theirs) && within(theirs, ours);
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** What Python would iterate over: lists, the keys of a dict, the characters of a string. */
function isIterable(value: unknown): value is object | string {
  return typeof value === 'string' || (typeof value === 'object' && value !== null);
}

function itemsOf(value: object | string): unknown[] {
  return typeof value === 'string' ? [...value] : Array.isArray(value) ? (value as unknown[]) : Object.keys(value);
}

/** Python's ==, where true is 1. */
function pythonEqual(a: unknown, b: unknown): boolean {
  const [x, y] = [a, b].map((value) => (typeof value === 'boolean' ? Number(value) : value));
  if (typeof x !== 'object' || typeof y !== 'object' || x === null || y === null) return x === y;
  if (Array.isArray(x) !== Array.isArray(y)) return false;
  const [p, q] = [x as Record<string, unknown>, y as Record<string, unknown>];
  return (
    Object.keys(p).length === Object.keys(q).length &&
    Object.keys(p).every((key) => key in q && pythonEqual(p[key], q[key]))
  );
}

function judgeModel(reply = ''): ScriptedModel {
  return new ScriptedModel(() => reply);
}

/** Asks a judge about the answer to the last message of the prompt; the same question is asked once. */
function judge(model: ChatModel): (args: RewardArgs) => Promise<string> {
  const asked = new Judge(model);
  return (args) => asked.ask(args);
}

/** The tools of the shipped wiki-search on upstream's pages. Errors are ours in wording. */
async function toolCases(name: string, { pages, calls }: NonNullable<Fixture['tools']>): Promise<GoldenCase[]> {
  const tools = wikiTools(() =>
    Promise.resolve({ pages: new Map(pages.map(({ id, content }) => [id, content])), search: () => [] }),
  );
  const state = stateOf({});
  return Promise.all(
    calls.map(async ({ tool: toolName, argument, expected, raises }, i) => {
      const tool = tools.find((candidate) => candidate.name === toolName)!;
      const [key] = Object.keys(tool.schema.parameters.properties as object);
      const id = `${name} tool call ${i}`;
      try {
        const result = await tool.run({ [key!]: argument }, { state, signal: state.signal });
        return golden(FILE, id, result, raises ? 'an error' : expected);
      } catch {
        return golden(FILE, id, 'an error', raises ? 'an error' : expected);
      }
    }),
  );
}
