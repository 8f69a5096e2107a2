/**
 * @file Which prompts a step asks: a pass through the dataset; of an EnvGroup, members by the curriculum's weights; with
 * difficulty weights, easy and hard tasks more or less often than the others.
 *
 * Every choice is a function of the seed, the step and what earlier steps were given, so a resumed run asks the same.
 */
import { EnvGroup } from '../envs';
import type { Environment } from '../envs';
import { PURPOSE, Random, deriveKey, uniform } from '../random';
import { mean } from './advantages';
import type { TrainConfig } from './config';
import { UnfitConfigError } from './errors';

/** One prompt. */
export interface Task {
  /** Row of the dataset. */
  exampleId: number;
  /** Tells apart the uses of one example: rollouts of another draw have other random numbers. */
  draw: number;
}

/** What the choice of later tasks depends on; plain JSON. */
export interface TaskState {
  /** Tasks taken so far from each member (from the whole dataset where there are no members). */
  taken: Record<string, number>;
  /** Mean reward of each example's last group; only kept where difficulty counts. */
  rewards: Record<string, number>;
}

/** Where a member's rows lie in the dataset. */
interface Source {
  name: string;
  length: number;
  /** Row of the dataset for a row of the member. */
  rowOf(index: number): number;
}

/** Draws of replacements, out of the way of those that a pass counts. */
const REPLACEMENT_DRAWS = 2 ** 32;

export class TaskQueue {
  #state: TaskState = { taken: {}, rewards: {} };
  readonly #sources: readonly Source[];
  readonly #weighted: boolean;

  /** @throws UnfitConfigError when the dataset cannot serve the settings */
  constructor(
    private readonly env: Environment,
    private readonly config: TrainConfig,
  ) {
    const { easy_weight: easy, normal_weight: normal, hard_weight: hard } = config.difficulty;
    this.#weighted = easy !== 1 || normal !== 1 || hard !== 1;
    this.#sources = sourcesOf(env, config);
    this.#check();
  }

  #check(): void {
    const { config, env } = this;
    const { steps, batch_size: batch, group_size: group, max_epochs: epochs } = config.grpo;
    const prompts = batch / group;
    const names = this.#sources.map(({ name }) => name);
    for (const { weights } of config.curriculum) {
      const foreign = Object.keys(weights).find((name) => !names.includes(name));
      if (foreign !== undefined) {
        throw new UnfitConfigError(`curriculum: ${env.name} has no member ${foreign}; it has ${names.join(', ')}`);
      }
      if (!Object.values(weights).some((weight) => weight > 0))
        throw new UnfitConfigError('curriculum: all weights are 0');
    }
    for (const { name, length } of this.#sources) {
      if (this.#weighted && length === Infinity) {
        throw new UnfitConfigError(
          `difficulty: the tasks of ${name || env.name} have no end, so none comes twice and there is no reward to go by`,
        );
      }
      if (this.#weighted && length < prompts) {
        throw new UnfitConfigError(`difficulty: ${prompts} prompts a step of a dataset of ${length}`);
      }
    }
    const { length } = env.dataset;
    if (epochs > 0 && steps * prompts > epochs * length) {
      const last = Math.floor((epochs * length) / prompts);
      throw new UnfitConfigError(
        `the dataset runs dry: ${steps} steps of ${prompts} prompts need ${steps * prompts} tasks, and grpo.max_epochs ` +
          `${epochs} of ${length} rows give ${epochs * length}; at most ${last} steps, or more epochs`,
      );
    }
  }

  /** The prompts of a step. To be called once per step, in order. */
  next(step: number): Task[] {
    const { batch_size: batch, group_size: group } = this.config.grpo;
    const random = new Random(deriveKey(this.config.seed, PURPOSE.order, step, 0));
    const weights = this.#memberWeights(step);
    const counts = new Map<Source, number>();
    for (let i = 0; i < batch / group; i++) {
      const source = this.#sources.length === 1 ? this.#sources[0]! : pickWeighted(this.#sources, weights, random);
      counts.set(source, (counts.get(source) ?? 0) + 1);
    }
    return [...counts].flatMap(([source, count]) => this.#take(source, step, count));
  }

  /** Other prompts for the groups that said nothing: drawn at random, none of those already asked in this step. */
  replacements(step: number, round: number, count: number, asked: readonly Task[]): Task[] {
    const random = new Random(deriveKey(this.config.seed, PURPOSE.order, step, round));
    const weights = this.#memberWeights(step);
    const used = new Set(asked.map(({ exampleId }) => exampleId));
    const tasks: Task[] = [];
    const room = this.env.dataset.length - used.size;
    while (tasks.length < Math.min(count, room)) {
      const source = pickWeighted(this.#sources, weights, random);
      // Of a dataset without an end: rows that no pass of any length reaches.
      const index =
        source.length === Infinity ? REPLACEMENT_DRAWS + random.below(2 ** 32) : random.below(source.length);
      const exampleId = source.rowOf(index);
      if (used.has(exampleId)) continue;
      used.add(exampleId);
      tasks.push({ exampleId, draw: REPLACEMENT_DRAWS + step });
    }
    return tasks;
  }

  /** Learns how hard the tasks were. */
  record(groups: readonly { exampleId: number; rewards: readonly number[] }[]): void {
    if (!this.#weighted) return;
    for (const { exampleId, rewards } of groups) {
      if (rewards.length > 0) this.#state.rewards[exampleId] = mean(rewards);
    }
  }

  /** How many tasks are thought easy, normal and hard; undefined where difficulty does not count. */
  pools(): { easy: number; normal: number; hard: number } | undefined {
    if (!this.#weighted) return undefined;
    const pools = { easy: 0, normal: 0, hard: 0 };
    for (const reward of Object.values(this.#state.rewards)) pools[this.#poolOf(reward)]++;
    return pools;
  }

  get state(): TaskState {
    return structuredClone(this.#state);
  }

  restore(state: TaskState): void {
    this.#state = structuredClone(state);
  }

  /** Weights of the curriculum's newest stage; without a curriculum all members count by their number of rows. */
  #memberWeights(step: number): number[] {
    const stage = this.config.curriculum.filter(({ from_step: from }) => from <= step).at(-1);
    if (stage) return this.#sources.map(({ name }) => stage.weights[name] ?? 0);
    const endless = this.#sources.some(({ length }) => length === Infinity);
    return this.#sources.map(({ length }) => (endless ? 1 : length));
  }

  #take(source: Source, step: number, count: number): Task[] {
    if (this.#weighted) return this.#sample(source, step, count);
    const first = this.#state.taken[source.name] ?? 0;
    this.#state.taken[source.name] = first + count;
    return Array.from({ length: count }, (_, i) => {
      const { exampleId, draw } = taskAt(first + i, source.length);
      return { exampleId: source.rowOf(exampleId), draw };
    });
  }

  /**
   * Tasks without repetition, likelier the heavier they are: the largest of u^(1 / weight), u uniform per task and step
   * (Efraimidis and Spirakis 2006, Information Processing Letters 97).
   */
  #sample(source: Source, step: number, count: number): Task[] {
    const { easy_weight: easy, normal_weight: normal, hard_weight: hard } = this.config.difficulty;
    const weightOf = { easy, normal, hard };
    const key = deriveKey(this.config.seed, PURPOSE.order, step);
    const drawn = Array.from({ length: source.length }, (_, index) => {
      const exampleId = source.rowOf(index);
      const reward = this.#state.rewards[exampleId];
      const weight = reward === undefined ? 1 : weightOf[this.#poolOf(reward)];
      return { exampleId, rank: weight === 0 ? -Infinity : Math.log(uniform(key, exampleId)) / weight };
    });
    drawn.sort((a, b) => b.rank - a.rank || a.exampleId - b.exampleId);
    return drawn.slice(0, count).map(({ exampleId }) => ({ exampleId, draw: step }));
  }

  #poolOf(reward: number): 'easy' | 'normal' | 'hard' {
    const { easy_threshold: easy, hard_threshold: hard } = this.config.difficulty;
    return reward >= easy ? 'easy' : reward <= hard ? 'hard' : 'normal';
  }
}

/** Task `index` of an endless pass: a finite dataset is walked through again and again. */
export function taskAt(index: number, length: number): Task {
  return length === Infinity
    ? { exampleId: index, draw: 0 }
    : { exampleId: index % length, draw: Math.floor(index / length) };
}

function sourcesOf(env: Environment, { curriculum }: TrainConfig): Source[] {
  if (curriculum.length === 0) return [{ name: '', length: env.dataset.length, rowOf: (index) => index }];
  if (!(env instanceof EnvGroup)) {
    throw new UnfitConfigError(
      `curriculum: ${env.name} is one environment; a curriculum chooses among those of a group`,
    );
  }
  return [...env.envs].map(([name, { dataset }]) => ({
    name,
    length: dataset.length,
    rowOf: (index) => env.rowOf(name, index),
  }));
}

function pickWeighted<T>(items: readonly T[], weights: readonly number[], random: Random): T {
  let at = random.next() * weights.reduce((sum, weight) => sum + weight, 0);
  const index = weights.findIndex((weight) => (at -= weight) < 0);
  return items[index < 0 ? weights.findLastIndex((weight) => weight > 0) : index]!;
}
