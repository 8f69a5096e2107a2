/**
 * @file A rubric turns finished rollouts into rewards: the weighted sum of its reward functions' scores. A function of
 * weight 0 is a metric: computed and shown, never rewarded.
 *
 *     const rubric = new Rubric({ exactMatch, similarity }, { weights: { similarity: 0 } });
 *
 * Functions are named by their keys. A list of functions works as well (`new Rubric([exactMatch], { weights: [1] })`) and
 * takes each one's own name, which a minifier may change.
 */
import { withTimeLimit } from './deadline';
import type { Example } from './dataset';
import { Parser } from './parser';
import type { State } from './state';
import { traceError } from './trace';
import type { TraceError } from './trace';
import type { Message } from './types';

/** What a reward function may look at. Further columns of the dataset's row are there under their own names. */
export class RewardArgs {
  readonly prompt: readonly Message[];
  readonly completion: readonly Message[];
  readonly answer: string;
  /** The whole rollout so far. */
  readonly state: State;
  readonly task: string;
  readonly info: Record<string, unknown>;
  readonly parser: Parser;
  [column: string]: unknown;

  constructor(state: State, parser: Parser) {
    Object.assign(this, columns(state.example));
    this.prompt = state.prompt;
    this.completion = state.completion;
    this.answer = state.answer;
    this.state = state;
    this.task = state.task;
    this.info = state.info;
    this.parser = parser;
  }

  /** `parser.parseAnswer(completion)`: what most rewards want; '' when there is no answer. */
  get response(): string {
    return this.parser.parseAnswer(this.completion) ?? '';
  }
}

/** What a group reward function may look at: one entry per rollout of the group. */
export interface GroupRewardArgs {
  prompts: readonly (readonly Message[])[];
  completions: readonly (readonly Message[])[];
  answers: readonly string[];
  states: readonly State[];
  tasks: readonly string[];
  infos: readonly Record<string, unknown>[];
  parser: Parser;
}

/** Scores one rollout: a number, or true and false for 1 and 0, or a number as text. */
export type RewardFunction = (args: RewardArgs) => RewardValue | Promise<RewardValue>;

/** Scores all rollouts of one prompt together, in their order. */
export type GroupRewardFunction = (args: GroupRewardArgs) => readonly RewardValue[] | Promise<readonly RewardValue[]>;

export type RewardValue = number | boolean | string;

/** A reward function for whole groups; made by `groupReward`. */
export class GroupReward {
  constructor(readonly score: GroupRewardFunction) {}

  get name(): string {
    return this.score.name;
  }
}

/** Marks a function that scores the rollouts of a group together: `new Rubric({ longest: groupReward(...) })`. */
export function groupReward(score: GroupRewardFunction): GroupReward {
  return new GroupReward(score);
}

export type AnyReward = RewardFunction | GroupReward;

export interface RubricOptions {
  /** By name, or in the order of a list of functions; 1 where none is given. */
  weights?: Readonly<Record<string, number>> | readonly number[];
  parser?: Parser;
  /** Seconds that one call of a function may take. */
  timeoutSeconds?: number;
}

/** One function of a rubric. */
interface RewardEntry {
  name: string;
  weight: number;
  reward: AnyReward;
}

const DEFAULT_TIMEOUT_SECONDS = 60;

export class Rubric {
  readonly parser: Parser;
  readonly timeoutSeconds: number;
  /** False: the parser is a default, and an environment's own is used instead of it. */
  readonly #ownParser: boolean;
  readonly #entries: RewardEntry[] = [];

  /** @throws RangeError for a weight without a function, or one that is not a finite number */
  constructor(
    functions: Readonly<Record<string, AnyReward>> | readonly AnyReward[] = {},
    { weights, parser, timeoutSeconds = DEFAULT_TIMEOUT_SECONDS }: RubricOptions = {},
  ) {
    this.parser = parser ?? new Parser();
    this.#ownParser = parser !== undefined;
    this.timeoutSeconds = timeoutSeconds;
    const named: [string, AnyReward][] = isList(functions)
      ? functions.map((reward, i) => [reward.name || `reward_${i}`, reward])
      : Object.entries(functions);
    if (weights && isList(weights)) {
      if (weights.length > 0 && weights.length !== named.length) {
        throw new RangeError(`Number of weights (${weights.length}) must match number of functions (${named.length})`);
      }
      named.forEach(([name, reward], i) => this.add(name, reward, weights[i]));
    } else {
      const given = weights ?? {};
      const stray = Object.keys(given).find((name) => !named.some(([known]) => known === name));
      if (stray !== undefined) throw new RangeError(`a weight for ${stray}, but no reward function of that name`);
      for (const [name, reward] of named) this.add(name, reward, given[name]);
    }
  }

  /** Adds a reward function. */
  add(name: string, reward: AnyReward, weight = 1): this {
    if (!Number.isFinite(weight)) throw new RangeError(`the weight of ${name} is ${weight}`);
    this.#entries.push({ name, weight, reward });
    return this;
  }

  /** Adds a function whose score is shown and not rewarded. */
  addMetric(name: string, reward: AnyReward): this {
    return this.add(name, reward, 0);
  }

  /** Names of the metrics that scoring gives, each once, in the order of scoring. */
  get names(): readonly string[] {
    return [...new Set(this.members().flatMap((rubric) => rubric.#entries.map(({ name }) => name)))];
  }

  /** Those of the names that are shown and never rewarded. */
  get metricNames(): readonly string[] {
    const entries = this.members().flatMap((rubric) => rubric.#entries);
    return this.names.filter((name) => entries.every((entry) => entry.name !== name || entry.weight === 0));
  }

  /** Weights in the order of scoring. */
  get weights(): readonly number[] {
    return this.members().flatMap((rubric) => rubric.#entries.map(({ weight }) => weight));
  }

  /** @internal the rubrics whose functions are scored: itself, or the members of a group */
  members(): readonly Rubric[] {
    return [this];
  }

  /** True where some function scores whole groups: then a rollout alone has no reward yet. */
  get hasGroupRewards(): boolean {
    return this.members().some((rubric) => rubric.#entries.some(({ reward }) => reward instanceof GroupReward));
  }

  /**
   * Scores one rollout by itself: `metrics` and `reward`. A function that throws, takes too long, or returns something that
   * is no finite number leaves the reward null and says so in `error`; the other functions still run.
   * @throws TypeError where there is nothing to score one rollout by
   */
  async scoreRollout(state: State): Promise<void> {
    for (const rubric of this.members()) {
      const alone = rubric.#entries.filter(({ reward }) => !(reward instanceof GroupReward));
      if (alone.length === 0 || alone.length < rubric.#entries.length) {
        throw new TypeError(
          'scoreRollout needs a reward function for single rollouts and none for groups; scoreGroup takes both',
        );
      }
    }
    const card = this.open(state);
    await card.scoreAlone();
    card.settle();
  }

  /** Scores the rollouts of one prompt, group functions included, and sets each one's advantage: reward minus mean. */
  async scoreGroup(states: readonly State[]): Promise<void> {
    const cards = states.map((state) => this.open(state));
    await Promise.all(cards.map((card) => card.scoreAlone()));
    await this.close(cards);
  }

  /**
   * Starts the scoring of one rollout; its own functions can run before the rest of its group is there.
   * @param parser the environment's, for rubrics that were given none
   */
  open(state: State, parser?: Parser): ScoreCard {
    const sheets = this.members().map((rubric) => rubric.sheet(parser));
    return new ScoreCard(state, sheets);
  }

  /**
   * Ends the scoring of a group: runs the group functions, sums up, and sets advantages. Rollouts that failed before they
   * were scored are not part of the group.
   */
  async close(cards: readonly ScoreCard[]): Promise<void> {
    const whole = cards.filter(({ failed }) => !failed);
    for (const [index, rubric] of this.members().entries()) {
      for (const [at, { name, reward }] of rubric.#entries.entries()) {
        if (!(reward instanceof GroupReward)) continue;
        try {
          const args = groupArgs(
            whole.map(({ state }) => state),
            whole[0]?.sheets[index]?.parser ?? rubric.parser,
          );
          const values = await withTimeLimit(name, rubric.timeoutSeconds, undefined, () => reward.score(args));
          if (!Array.isArray(values) || values.length < whole.length) {
            throw new TypeError(`returned ${describe(values)}, not one number for each of ${whole.length} rollouts`);
          }
          whole.forEach((card, i) => card.sheets[index]!.put(at, values[i]));
        } catch (error) {
          for (const card of whole) card.sheets[index]!.fail(at, error);
        }
      }
    }
    for (const card of cards) card.settle();
    const rewards = cards.flatMap(({ state }) => (state.reward === null ? [] : [state.reward]));
    const mean = rewards.reduce((sum, reward) => sum + reward, 0) / Math.max(1, rewards.length);
    for (const { state } of cards) state.advantage = state.reward === null ? null : state.reward - mean;
  }

  /** @internal functions and limits as a score card needs them */
  sheet(parser = this.parser): ScoreSheet {
    return new ScoreSheet(this.#entries, this.#ownParser ? this.parser : parser, this.timeoutSeconds);
  }
}

/**
 * Several rubrics as one: rewards add up, and so do metrics of the same name. Each keeps its own parser; advantages are
 * computed from the whole reward.
 */
export class RubricGroup extends Rubric {
  readonly #members: readonly Rubric[];

  constructor(readonly rubrics: readonly Rubric[]) {
    const [first] = rubrics;
    if (!first) throw new RangeError('RubricGroup must have at least one rubric');
    super({}, { parser: first.parser });
    this.#members = rubrics.flatMap((rubric) => rubric.members());
  }

  override members(): readonly Rubric[] {
    return this.#members;
  }
}

/** The scores that one rubric gives one rollout. */
class ScoreSheet {
  readonly #values: (number | undefined)[];
  error: TraceError | undefined;

  constructor(
    readonly entries: readonly RewardEntry[],
    readonly parser: Parser,
    readonly timeoutSeconds: number,
  ) {
    this.#values = entries.map(() => undefined);
  }

  async scoreAlone(state: State): Promise<void> {
    const args = new RewardArgs(state, this.parser);
    for (const [at, { name, reward }] of this.entries.entries()) {
      if (reward instanceof GroupReward) continue;
      try {
        this.put(at, await withTimeLimit(name, this.timeoutSeconds, state.signal, () => reward(args)));
      } catch (error) {
        state.signal.throwIfAborted(); // a cancel is nobody's fault
        this.fail(at, error);
      }
    }
  }

  put(at: number, value: unknown): void {
    try {
      this.#values[at] = rewardNumber(value);
    } catch (error) {
      this.fail(at, error);
    }
  }

  fail(at: number, error: unknown): void {
    this.error ??= traceError('reward', error, this.entries[at]!.name);
  }

  /** Scores by name; of two functions with the same name the later one's. */
  get metrics(): Record<string, number> {
    return Object.fromEntries(
      this.entries.flatMap(({ name }, at) => {
        const value = this.#values[at];
        return value === undefined ? [] : [[name, value]];
      }),
    );
  }

  get reward(): number {
    return this.entries.reduce((sum, { weight }, at) => sum + weight * (this.#values[at] ?? 0), 0);
  }
}

/** The scoring of one rollout, from its own functions to the sum. */
export class ScoreCard {
  constructor(
    readonly state: State,
    readonly sheets: readonly ScoreSheet[],
  ) {}

  /** The rollout itself failed: there is nothing to score. */
  get failed(): boolean {
    return this.state.error !== null;
  }

  /** Runs the functions that need this rollout only. */
  async scoreAlone(): Promise<void> {
    if (this.failed) return;
    for (const sheet of this.sheets) await sheet.scoreAlone(this.state);
  }

  /** Sums up into the rollout's `metrics` and `reward`. */
  settle(): void {
    const { state, sheets } = this;
    if (this.failed) return;
    for (const { metrics } of sheets) {
      for (const [name, value] of Object.entries(metrics)) state.metrics[name] = (state.metrics[name] ?? 0) + value;
    }
    state.error = sheets.find(({ error }) => error)?.error ?? null;
    state.reward = state.error ? null : sheets.reduce((sum, { reward }) => sum + reward, 0);
  }
}

function rewardNumber(value: unknown): number {
  const number =
    typeof value === 'boolean' ? Number(value) : typeof value === 'string' && value.trim() ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) {
    throw new TypeError(`returned ${describe(value)}, not a finite number`);
  }
  return number;
}

/** A value in a message: whatever it is, and never long. */
function describe(value: unknown): string {
  const text = typeof value === 'object' && value !== null ? (JSON.stringify(value) ?? 'an object') : String(value);
  return text.length > 80 ? `${text.slice(0, 80)}... (${text.length} characters)` : text;
}

function groupArgs(states: readonly State[], parser: Parser): GroupRewardArgs {
  return {
    prompts: states.map(({ prompt }) => prompt),
    completions: states.map(({ completion }) => completion),
    answers: states.map(({ answer }) => answer),
    states,
    tasks: states.map(({ task }) => task),
    infos: states.map(({ info }) => info),
    parser,
  };
}

const ROW_COLUMNS = new Set(['prompt', 'question', 'answer', 'info', 'task', 'exampleId']);

/** Columns that only this dataset has. */
function columns(example: Example): Record<string, unknown> {
  return Object.fromEntries(Object.entries(example).filter(([name]) => !ROW_COLUMNS.has(name)));
}

function isList<T>(value: unknown): value is readonly T[] {
  return Array.isArray(value);
}
