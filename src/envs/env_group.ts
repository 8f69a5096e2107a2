/**
 * @file Several environments as one: each row belongs to one of them and is played, asked and scored there. Every rollout
 * lists the metrics of all members, those of others as 0, so that results of a mixture line up.
 */
import type { Random } from '../random';
import type { Dataset, TaskRow } from './dataset';
import { DatasetError } from './dataset';
import type { Example } from './dataset';
import { Environment } from './environment';
import type { RolloutOptions } from './environment';
import type { Parser } from './parser';
import { Rubric } from './rubric';
import type { ScoreCard } from './rubric';
import type { State } from './state';
import type { Trace } from './trace';
import type { ChatModel, Message } from './types';

export interface EnvGroupOptions {
  name?: string;
  envs: readonly Environment[];
  /** Names by which rows say where they belong; the environments' own unless given. */
  envNames?: readonly string[];
}

export class EnvGroup extends Environment {
  readonly envs: ReadonlyMap<string, Environment>;

  /** @throws TypeError for an empty group, or names that do not fit */
  constructor({ name = 'group', envs, envNames = envs.map((env) => env.name) }: EnvGroupOptions) {
    if (envs.length === 0) throw new TypeError('an EnvGroup needs at least one environment');
    if (envNames.length !== envs.length) {
      throw new TypeError(`${envNames.length} names for ${envs.length} environments`);
    }
    if (new Set(envNames).size < envs.length) throw new TypeError(`names repeat: ${envNames.join(', ')}`);
    const members = new Map(envNames.map((member, i) => [member, envs[i]!]));
    super({
      name,
      dataset: mixed([...members].map(([member, env]) => [member, env.dataset])),
      evalDataset: mixed([...members].map(([member, env]) => [member, env.evalDataset])),
      rubric: new RoutedRubric(new Map([...members].map(([member, env]) => [member, env.rubric]))),
      passThreshold: envs[0]!.passThreshold,
      demonstrate: envs.some((env) => env.demonstrate)
        ? (row, random, options) => demonstrateIn(this.member(row.task), row, random, options)
        : undefined,
    });
    this.envs = members;
    this.addTeardown('members', async () => {
      for (const env of envs) await env.teardown();
    });
  }

  /** @throws DatasetError for a name that no member has */
  member(task: string | undefined): Environment {
    const env = this.envs.get(task ?? '');
    if (env) return env;
    throw new DatasetError(
      `column "task": ${JSON.stringify(task)} is none of the environments ${[...this.envs.keys()].join(', ')}`,
    );
  }

  /**
   * Row of the group's training dataset that is a member's row `index`.
   * @throws DatasetError
   */
  rowOf(member: string, index: number): number {
    const names = [...this.envs.keys()];
    const at = names.indexOf(this.member(member) && member);
    if (this.dataset.length === Infinity) return index * names.length + at;
    return [...this.envs.values()].slice(0, at).reduce((sum, { dataset }) => sum + dataset.length, index);
  }

  override promptFor(row: TaskRow): Message[] {
    return this.member(row.task).promptFor(row);
  }

  override async rolloutGroup(
    example: Example,
    model: ChatModel,
    rollouts: readonly RolloutOptions[],
    onTrace?: (trace: Trace) => void,
  ): Promise<Trace[]> {
    const { names } = this.rubric;
    const complete = (trace: Trace): Trace => {
      const foreign = Object.fromEntries(names.map((metric) => [metric, 0]));
      return { ...trace, environment: this.name, metrics: { ...foreign, ...trace.metrics } };
    };
    const traces = await this.member(example.task).rolloutGroup(example, model, rollouts, (trace) =>
      onTrace?.(complete(trace)),
    );
    return traces.map(complete);
  }

  protected override play(): Promise<void> {
    throw new Error('an EnvGroup is played by its members');
  }
}

function demonstrateIn(env: Environment, row: TaskRow, random: Random, options: { careless: number }) {
  if (!env.demonstrate) throw new DatasetError(`${env.name} makes no demonstrations`);
  return env.demonstrate(row, random, options);
}

/**
 * Rows of several datasets with the member's name in column `task`: one after the other, or in turns as soon as one of
 * them has no end (finite ones then begin again).
 */
function mixed(parts: readonly (readonly [name: string, dataset: Dataset])[]): Dataset {
  const named = async ([name, dataset]: (typeof parts)[number], index: number) => ({
    ...(await dataset.row(index)),
    task: name,
  });
  if (parts.some(([, { length }]) => length === Infinity)) {
    return {
      length: Infinity,
      row: (index) => {
        const part = parts[index % parts.length]!;
        const round = Math.floor(index / parts.length);
        return named(part, part[1].length === Infinity ? round : round % part[1].length);
      },
    };
  }
  return {
    length: parts.reduce((sum, [, { length }]) => sum + length, 0),
    row: (index) => {
      for (const part of parts) {
        if (index < part[1].length) return named(part, index);
        index -= part[1].length;
      }
      throw new DatasetError(`row ${index} past the end`);
    },
  };
}

/** Scores a rollout by the rubric of the member it belongs to; one of an unknown task scores 0 in everything. */
class RoutedRubric extends Rubric {
  readonly #rubrics: ReadonlyMap<string, Rubric>;
  readonly #nobody = new Rubric();

  constructor(rubrics: ReadonlyMap<string, Rubric>) {
    super();
    this.#rubrics = rubrics;
  }

  override members(): readonly Rubric[] {
    return [...this.#rubrics.values()].flatMap((rubric) => rubric.members());
  }

  #rubricOf({ task }: State): Rubric {
    return this.#rubrics.get(task) ?? this.#nobody;
  }

  override open(state: State, parser?: Parser): ScoreCard {
    return this.#rubricOf(state).open(state, parser);
  }

  override async scoreRollout(state: State): Promise<void> {
    const rubric = this.#rubricOf(state);
    if (rubric === this.#nobody) state.reward = 0;
    else await rubric.scoreRollout(state);
    this.#fill(state);
  }

  override async close(cards: readonly ScoreCard[]): Promise<void> {
    for (const rubric of [...this.#rubrics.values(), this.#nobody]) {
      const own = cards.filter(({ state }) => this.#rubricOf(state) === rubric);
      if (own.length === 0) continue;
      if (rubric !== this.#nobody) await rubric.close(own);
      else for (const { state } of own) state.reward = 0;
    }
    for (const { state } of cards) this.#fill(state);
  }

  #fill(state: State): void {
    for (const name of this.names) state.metrics[name] ??= 0;
  }
}
