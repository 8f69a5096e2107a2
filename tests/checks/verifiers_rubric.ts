/** @file Rubrics, rubric groups and environment groups beside upstream's own scores (rubric.json). */
import {
  EnvGroup,
  JudgeRubric,
  Rubric,
  RubricGroup,
  SingleTurnEnv,
  XMLParser,
  groupReward,
  rows,
} from '../../src/envs';
import type { AnyReward, GroupRewardArgs, Message, Parser, RewardArgs, State } from '../../src/envs';
import { MaybeThinkParser, extractBoxedAnswer } from '../../src/envs';
import { ScriptedModel } from '../scripted';
import { readJsonFile } from './files';
import { exempt, golden } from './golden';
import type { GoldenCase } from './golden';
import { stateOf } from './verifiers_state';
import type { UpstreamState } from './verifiers_state';

const FILE = 'rubric.json';
const THROWS = 'trap: a reward function that throws is an error that the user sees, not a silent 0';
const LAST_RUBRIC = 'trap: advantages are computed after all rubrics are aggregated';

const last = (messages: readonly Message[]) => messages.at(-1)?.content ?? '';
const others = (args: object, known: number) => (Object.keys(args).length - known) / 100;
const perState = (value: (state: State, index: number) => number | boolean) =>
  groupReward(({ states }: GroupRewardArgs) => states.map(value));

function boom(): never {
  throw new Error('boom');
}

/** The functions that the fixture describes in words. */
const FUNCTIONS: Record<string, AnyReward> = {
  answer_length_tenth: ({ answer }) => answer.length / 10,
  exact_match: ({ completion, answer }) => (last(completion) === answer ? 1 : 0),
  parsed_match: ({ parser, completion, answer }) => (parser.parseAnswer(completion) === answer ? 1 : 0),
  assistant_count: ({ completion }) => completion.filter(({ role }) => role === 'assistant').length,
  async_prompt_quarter: ({ prompt }) => Promise.resolve(prompt.length / 4),
  always_raises: () => boom(),
  async_raises: async () => {
    await Promise.resolve();
    return boom();
  },
  wants_unknown: (args) => {
    if (!('missing_argument' in args)) throw new TypeError('missing_argument');
    return 1;
  },
  unknown_with_default: ({ missing_argument: value = 3 }) => value as number,
  returns_true: () => true,
  returns_numeric_string: () => '0.75',
  returns_word: () => 'high',
  returns_none: () => undefined as never,
  kwargs_hundredth: (args) => others(args, 0),
  other_kwargs_hundredth: (args) => others(args, 1),
  info_bonus: ({ info }) => ('bonus' in info ? (info.bonus as number) : boom()),
  info_size: ({ info }) => Object.keys(info).length,
  task_default: ({ task }) => (task === 'default' ? 1 : 2),
  half_steps: ({ state }) => state.turns.length * 0.5,
  bump_seen: ({ state }: RewardArgs) => {
    const seen = ((state.scratch.seen as number | undefined) ?? 0) + 1;
    state.scratch.seen = seen;
    return seen;
  },
  minus_one_and_half: () => -1.5,
  tenth: () => 0.1,
  longest_wins: groupReward(({ completions }) => {
    const longest = Math.max(...completions.map((completion) => last(completion).length));
    return completions.map((completion) => (last(completion).length === longest ? 1 : 0));
  }),
  group_solve_rate: groupReward(({ answers, completions }) => {
    const solved = completions.filter((completion, i) => last(completion) === answers[i]).length;
    return Promise.resolve(completions.map(() => solved / completions.length));
  }),
  group_raises: groupReward(() => boom()),
  group_kwargs_hundredth: groupReward((args) => args.states.map(() => others(args, 1))),
  group_info_bonus: perState(({ info }) => (info.bonus as number | undefined) ?? 0),
  group_index: perState((_, index) => index),
  group_too_short: groupReward(({ states }) => states.slice(1).map(() => 1)),
  group_too_long: groupReward(({ states }) => [...states.map(() => 0.5), 0.5]),
  group_bools: perState(({ completion }) => completion.length > 1),
};

const RAISING = ['always_raises', 'async_raises', 'wants_unknown', 'returns_word', 'returns_none', 'group_raises'];

const PARSERS: Record<string, () => Parser> = {
  xml_answer: () => new XMLParser(['answer']),
  boxed: () => new MaybeThinkParser({ extract: extractBoxedAnswer }),
};

interface UpstreamRubric {
  funcs?: string[];
  weights?: number[];
  parser?: string;
  add?: [string, number | null][];
  group?: UpstreamRubric[];
}

function named(name: string): AnyReward {
  const reward = FUNCTIONS[name];
  if (!reward) throw new Error(`the fixture names a function ${name} that this check does not know`);
  return reward;
}

function rubricOf({ funcs = [], weights, parser, add = [], group }: UpstreamRubric): Rubric {
  if (group) return new RubricGroup(group.map(rubricOf));
  const options = parser && parser !== 'default' ? { parser: PARSERS[parser]!() } : {};
  // A list of functions, named as upstream names them; the same one may stand there twice.
  const list = funcs.map((name) => {
    const reward = named(name);
    const copy: AnyReward =
      typeof reward === 'function' ? (args: RewardArgs) => reward(args) : groupReward((args) => reward.score(args));
    Object.defineProperty(typeof copy === 'function' ? copy : copy.score, 'name', { value: name });
    return copy;
  });
  const rubric = new Rubric(list, { ...options, ...(weights && { weights }) });
  for (const [name, weight] of add) rubric.add(name, named(name), weight ?? 1);
  return rubric;
}

function functionsOf({ funcs = [], add = [], group = [] }: UpstreamRubric): string[] {
  return [...funcs, ...add.map(([name]) => name), ...group.flatMap(functionsOf)];
}

interface ScoreExpectation {
  reward: number;
  metrics: Record<string, number>;
  advantage?: number;
  trajectory: { reward: number | null; advantage: number | null }[];
}

interface ScoreCase {
  id: string;
  call: 'score_rollout' | 'score_group';
  rubric: UpstreamRubric;
  environments?: Record<string, UpstreamRubric>;
  states: UpstreamState[];
  expected?: ScoreExpectation[];
  raises?: { message: string };
}

/** What upstream leaves in a state. Its steps take the rollout's values where they had none of their own; ours need not. */
function resultOf(state: State, grouped: boolean): ScoreExpectation {
  const { reward, metrics, advantage, turns } = state;
  return {
    reward: reward ?? NaN,
    metrics,
    ...(grouped && advantage !== null && { advantage }),
    trajectory: turns.map((turn) => ({
      reward: turn.reward ?? (grouped && advantage !== null ? reward : null),
      advantage: turn.advantage ?? (grouped ? advantage : null),
    })),
  };
}

async function scoreCase(test: ScoreCase, rubric: Rubric): Promise<GoldenCase> {
  const states = test.states.map(stateOf);
  try {
    if (test.call === 'score_group') await rubric.scoreGroup(states);
    else for (const state of states) await rubric.scoreRollout(state);
  } catch (error) {
    return { file: FILE, id: test.id, ok: test.raises !== undefined, got: String(error), expected: test.raises };
  }
  const failed = states.find(({ error }) => error);
  if (test.raises) {
    // Where upstream's scoring itself falls over, ours must at least refuse the reward.
    return { file: FILE, id: test.id, ok: failed !== undefined, got: failed?.error, expected: test.raises };
  }
  const raising =
    functionsOf(test.rubric ?? {}).some((name) => RAISING.includes(name)) ||
    (functionsOf(test.rubric ?? {}).includes('info_bonus') &&
      test.states.some(({ info }) => info?.bonus === undefined));
  if (raising && failed) return exempt(FILE, test.id, test.expected, THROWS);
  const got = states.map((state) => resultOf(state, test.call === 'score_group'));
  const expected = test.expected!.map((each) => ({ ...each, metrics: numbers(each.metrics) }));
  if (!test.rubric?.group || test.call === 'score_rollout') return golden(FILE, test.id, got, expected);
  // Rewards and metrics of a group of rubrics are upstream's; advantages are not.
  const plain = (each: ScoreExpectation) => ({ reward: each.reward, metrics: each.metrics });
  const same = golden(FILE, test.id, got.map(plain), expected.map(plain));
  return same.ok && !golden(FILE, test.id, got, expected).ok ? exempt(FILE, test.id, expected, LAST_RUBRIC) : same;
}

/** Python's true and 1 are equal. */
function numbers(metrics: Record<string, number | boolean>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, Number(value)]));
}

function groupOf(environments: Record<string, UpstreamRubric>): Rubric {
  const names = Object.keys(environments);
  // Upstream's environments of that version had no metrics of their own: compare the members' rubrics only.
  const envs = names.map(
    (name) => new SingleTurnEnv({ name, dataset: rows([{ question: 'q' }]), rubric: rubricOf(environments[name]!) }),
  );
  return new EnvGroup({ envs, envNames: names }).rubric;
}

export async function rubricCases(dir: string): Promise<GoldenCase[]> {
  const fixture = readJsonFile(dir, FILE) as {
    group_detection: { function: string; is_group: boolean }[];
    cases: ScoreCase[];
    constructor: { rubric: UpstreamRubric; raises?: { message: string }; expected?: unknown }[];
    env_group: ScoreCase[];
    judge: JudgeCase[];
  };
  const cases: GoldenCase[] = fixture.group_detection.map(({ function: name, is_group: expected }) =>
    golden(FILE, `group_detection ${name}`, typeof named(name) !== 'function', expected),
  );
  for (const test of fixture.cases) cases.push(await scoreCase(test, rubricOf(test.rubric)));
  fixture.constructor.forEach(({ rubric, raises, expected }, i) => {
    let got: unknown;
    try {
      const made = rubricOf(rubric);
      got = { weights: made.weights, names: made.names };
    } catch (error) {
      got = (error as Error).message;
    }
    cases.push(golden(FILE, `constructor ${i}`, got, raises ? raises.message : expected));
  });
  for (const [i, test] of fixture.env_group.entries()) {
    const result = await scoreCase({ ...test, id: `env_group ${i}` }, withoutTurns(groupOf(test.environments!)));
    cases.push(result);
  }
  for (const [i, test] of fixture.judge.entries()) cases.push(...(await judgeCases(test, i)));
  return cases;
}

/** A rubric that asks a judge, who answers by a script. */
interface JudgeCase {
  judge_prompt_template: string;
  parser: string;
  /** `(raises)`: the request fails; null: a reply without text. */
  judge_replies: (string | null)[];
  judge_sampling_args: { max_tokens?: number; temperature?: number | null };
  functions: Record<string, string>;
  state: UpstreamState;
  expected: ScoreExpectation;
  judge_requests: { messages: Message[]; max_completion_tokens?: number; temperature?: number }[];
}

/** What the judge was asked, and the scores by its replies. */
async function judgeCases(test: JudgeCase, index: number): Promise<GoldenCase[]> {
  const id = `judge ${index}`;
  const { max_tokens: maxTokens, temperature } = test.judge_sampling_args;
  let call = 0;
  const judge = new ScriptedModel(() => {
    const reply = test.judge_replies[call++];
    return reply === '(raises)' ? new Error('the judge failed') : (reply ?? '');
  });
  const parser = PARSERS[test.parser]?.();
  const rubric = new JudgeRubric({
    judge,
    prompt: test.judge_prompt_template,
    sampling: { ...(maxTokens !== undefined && { maxTokens }), ...(temperature != null && { temperature }) },
    functions: Object.fromEntries(
      Object.keys(test.functions).map((name) => {
        const word = name.replace('_reward', '');
        return [name, async (_: RewardArgs, ask: () => Promise<string>) => (await ask()).toLowerCase().includes(word)];
      }),
    ),
    ...(parser && { parser }),
  });
  const state = stateOf(test.state);
  await rubric.scoreRollout(state);
  const asked = judge.requests.map(({ messages, sampling }) => ({
    messages,
    max_completion_tokens: sampling.maxTokens,
    temperature: sampling.temperature,
  }));
  const expectedRequests = test.judge_requests.map(({ messages, max_completion_tokens, temperature: degree }) => {
    return { messages, max_completion_tokens, temperature: degree };
  });
  const requests = golden(FILE, `${id} requests`, asked, expectedRequests);
  if (test.judge_replies.includes('(raises)') && state.error)
    return [requests, exempt(FILE, id, test.expected, THROWS)];
  if (test.judge_replies.includes(null)) {
    return [requests, exempt(FILE, id, test.expected, 'a message without content: our Message always has one')];
  }
  delete state.metrics.judge_calls;
  return [requests, golden(FILE, id, resultOf(state, false), test.expected)];
}

/** Leaves `num_turns` out, which upstream's environments gained only later. */
function withoutTurns(rubric: Rubric): Rubric {
  return new Proxy(rubric, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (key !== 'scoreGroup' && key !== 'scoreRollout') return value;
      return async (given: State | readonly State[]) => {
        await (value as (states: unknown) => Promise<void>).call(target, given);
        const states: readonly State[] = Array.isArray(given) ? (given as readonly State[]) : [given as State];
        for (const state of states) delete state.metrics.num_turns;
      };
    },
  });
}
