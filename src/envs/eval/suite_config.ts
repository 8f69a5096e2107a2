/**
 * @file Suites: which environments with which models, as the settings files of vf-eval have them. What stands at the top
 * holds for every block; `[[eval]]` is one evaluation, `[[ablation]]` one for every combination of its sweep's values.
 *
 *     model = ["starter", "checkpoints/tuned"]      # a list is one evaluation each, of env_id too
 *     num_examples = 50
 *
 *     [[eval]]
 *     env_id = "reverse-text"
 *     env_args = { max_length = 5 }
 *
 *     [[ablation]]
 *     env_id = "arithmetic-mini"
 *     [ablation.sweep]
 *     temperature = [0.0, 0.5, 1.0]
 *     [ablation.sweep.env_args]
 *     seed = [1, 2]
 */
import { contentKey } from '../key';
import type { SamplingArgs } from '../types';
import { isObject } from './json_fields';
import type { Json } from './json_fields';
import { parseSamplingArgs } from './sampling_args';

/** One evaluation of a suite. */
export interface SuiteEntry {
  /** Name of its folder: environment, model and a hash of everything that decides its results. */
  id: string;
  environment: string;
  envArgs: Record<string, unknown>;
  model: string;
  /** Of an endpoint. */
  baseUrl?: string;
  /** Environment variable that holds the endpoint's key. */
  apiKeyVariable?: string;
  /** What is left out is up to the environment. */
  numExamples?: number;
  rolloutsPerExample?: number;
  maxConcurrent?: number;
  maxRetries?: number;
  seed: number;
  shuffle: boolean;
  shuffleSeed?: number;
  sampling: SamplingArgs;
  /** Sampling settings that only the endpoint knows. */
  endpointSampling: Record<string, unknown>;
  /** Every setting but environment and model by the name that the file has for it: `env_args.seed`. */
  settings: Record<string, unknown>;
}

/** A suite that makes no sense. */
export class SuiteError extends Error {
  override name = 'SuiteError';
}

type Check = (value: unknown) => string | undefined;

const text: Check = (value) => (typeof value === 'string' && value !== '' ? undefined : 'is not text');
const number: Check = (value) => (typeof value === 'number' && Number.isFinite(value) ? undefined : 'is not a number');
const whole =
  (least: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least ? undefined : `is not a whole number from ${least}`;
const flag: Check = (value) => (typeof value === 'boolean' ? undefined : 'is neither true nor false');
const table: Check = (value) => (isObject(value) ? undefined : 'is not a table');

/** What a block may say. */
const FIELDS: Readonly<Record<string, Check>> = {
  env_id: text,
  model: text,
  api_base_url: text,
  api_key_var: text,
  env_args: table,
  num_examples: (value) => whole(-1)(value) ?? (value === 0 ? 'is 0; -1 means all' : undefined),
  rollouts_per_example: whole(1),
  max_concurrent: whole(1),
  max_retries: whole(0),
  seed: whole(0),
  shuffle: flag,
  shuffle_seed: whole(0),
  temperature: number,
  max_tokens: whole(1),
  sampling_args: table,
};

/** Fields whose lists are crossed without a sweep. */
const LISTS: readonly string[] = ['env_id', 'model'];

/** Fields that are tables of their own, whose values a sweep names one by one. */
const TABLES: readonly string[] = ['env_args', 'sampling_args'];

/** How results are got, not what they are. */
const HOW: readonly string[] = ['max_concurrent', 'max_retries', 'api_key_var'];

/**
 * The evaluations of a suite in the order of the file: its `[[eval]]` blocks, then its `[[ablation]]` blocks.
 * @param raw the file as an object, as a TOML or JSON parser returns it
 * @param source the file's name, for messages
 * @throws SuiteError naming block and field
 */
export function parseSuite(raw: unknown, source = 'suite'): SuiteEntry[] {
  if (!isObject(raw)) throw new SuiteError(`${source}: not a table`);
  const { eval: evals, ablation: ablations, ...defaults } = raw;
  checkFields(defaults, source);
  const entries = [
    ...blocksOf(evals, 'eval', source).flatMap(({ block, where }) => {
      checkFields(block, where);
      return expand({ ...defaults, ...block }, [], where);
    }),
    ...blocksOf(ablations, 'ablation', source).flatMap(({ block: { sweep, ...fixed }, where }) => {
      checkFields(fixed, where);
      return expand({ ...defaults, ...fixed }, axesOf(sweep, `${where}, sweep`), where);
    }),
  ];
  if (entries.length === 0) throw new SuiteError(`${source}: neither an [[eval]] nor an [[ablation]] block`);
  const seen = new Set<string>();
  for (const { id, environment, model, settings } of entries) {
    if (seen.has(id)) {
      const what = `${environment} with ${model}, ${JSON.stringify(settings)}`;
      throw new SuiteError(`${source}: the same evaluation twice: ${what}`);
    }
    seen.add(id);
  }
  return entries;
}

function blocksOf(value: unknown, name: string, source: string): { block: Json; where: string }[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new SuiteError(`${source}: ${name} is not a list of blocks: write [[${name}]]`);
  return value.map((block: unknown, i) => {
    const where = `${source}, [[${name}]] ${i + 1}`;
    if (!isObject(block)) throw new SuiteError(`${where}: not a table`);
    return { block, where };
  });
}

function checkFields(block: Json, where: string): void {
  for (const [field, value] of Object.entries(block)) {
    if (LISTS.includes(field) && Array.isArray(value)) checkList(field, value, where);
    else checkField(field, value, where);
  }
}

function checkList(field: string, values: unknown, where: string): asserts values is unknown[] {
  if (!Array.isArray(values) || values.length === 0) {
    throw new SuiteError(`${where}: ${field} is not a list of values`);
  }
  for (const value of values) checkField(field, value, where);
}

function checkField(field: string, value: unknown, where: string): void {
  const check = Object.hasOwn(FIELDS, field) ? FIELDS[field]! : undefined;
  if (!check) {
    throw new SuiteError(`${where}: there is no field "${field}"; known are ${Object.keys(FIELDS).join(', ')}`);
  }
  const wrong = check(value);
  if (wrong !== undefined) throw new SuiteError(`${where}: ${field} ${wrong}: ${JSON.stringify(value)}`);
}

/** One swept setting: its path and its values. */
interface Axis {
  path: readonly [field: string, name?: string];
  values: readonly unknown[];
}

function axesOf(sweep: unknown, where: string): Axis[] {
  if (!isObject(sweep) || Object.keys(sweep).length === 0) {
    throw new SuiteError(`${where}: missing: write [ablation.sweep] with a list of values for each setting`);
  }
  return Object.entries(sweep).flatMap(([field, values]): Axis[] => {
    if (!TABLES.includes(field)) {
      checkList(field, values, where);
      return [{ path: [field], values }];
    }
    if (!isObject(values)) throw new SuiteError(`${where}: ${field} is not a table of lists`);
    return Object.entries(values).map(([name, list]) => {
      if (!Array.isArray(list) || list.length === 0) {
        throw new SuiteError(`${where}: ${field}.${name} is not a list of values`);
      }
      return { path: [field, name], values: list };
    });
  });
}

/** One entry for every combination of the axes' values; the last axis varies fastest. */
function expand(block: Json, axes: readonly Axis[], where: string): SuiteEntry[] {
  const lists = LISTS.flatMap((field): Axis[] => {
    const values = block[field];
    return Array.isArray(values) ? [{ path: [field], values }] : [];
  });
  return [...lists, ...axes]
    .reduce<Json[]>(
      (blocks, axis) => blocks.flatMap((each) => axis.values.map((value) => put(each, axis, value))),
      [block],
    )
    .map((each) => entryOf(each, where));
}

function put(block: Json, { path: [field, name] }: Axis, value: unknown): Json {
  if (name === undefined) return { ...block, [field]: value };
  return { ...block, [field]: { ...(block[field] as Json | undefined), [name]: value } };
}

function entryOf(block: Json, where: string): SuiteEntry {
  const { env_id: environment, model = 'starter', env_args: envArgs = {}, sampling_args: samplingArgs = {} } = block;
  if (typeof environment !== 'string') throw new SuiteError(`${where}: env_id is missing`);
  const { temperature, max_tokens: maxTokens } = block;
  const { sampling, others } = samplingOf(
    {
      ...(samplingArgs as Json),
      ...(temperature !== undefined && { temperature }),
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
    },
    where,
  );
  if (block.api_base_url === undefined) {
    const unknown = Object.keys(others);
    if (unknown.length > 0) {
      throw new SuiteError(`${where}: sampling_args: our own models do not know ${unknown.join(', ')}`);
    }
    if (block.api_key_var !== undefined) throw new SuiteError(`${where}: api_key_var without api_base_url`);
  }
  const what = Object.fromEntries(Object.entries(block).filter(([field]) => !HOW.includes(field)));
  return {
    id: `${slug(environment)}--${slug(model as string)}--${contentKey({ ...what, model }).slice(0, 8)}`,
    environment,
    envArgs: envArgs as Json,
    model: model as string,
    ...named('baseUrl', block.api_base_url as string | undefined),
    ...named('apiKeyVariable', block.api_key_var as string | undefined),
    ...named('numExamples', block.num_examples as number | undefined),
    ...named('rolloutsPerExample', block.rollouts_per_example as number | undefined),
    ...named('maxConcurrent', block.max_concurrent as number | undefined),
    ...named('maxRetries', block.max_retries as number | undefined),
    seed: (block.seed as number | undefined) ?? 0,
    shuffle: (block.shuffle as boolean | undefined) ?? false,
    ...named('shuffleSeed', block.shuffle_seed as number | undefined),
    sampling,
    endpointSampling: others,
    settings: flatten(what),
  };
}

function samplingOf(given: Json, where: string): ReturnType<typeof parseSamplingArgs> {
  try {
    return parseSamplingArgs(given);
  } catch (error) {
    throw new SuiteError(`${where}: sampling_args: ${(error as TypeError).message}`);
  }
}

/** Settings by name, tables taken apart. */
function flatten(block: Json): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(block).flatMap(([field, value]): [string, unknown][] => {
      if (LISTS.includes(field)) return [];
      if (!TABLES.includes(field)) return [[field, value]];
      return Object.entries(value as Json).map(([name, inner]) => [`${field}.${name}`, inner]);
    }),
  );
}

function named<K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [name]: value } as Record<K, V>);
}

function slug(name: string): string {
  return name
    .replace(/^[./\\]+/, '')
    .replaceAll('/', '--')
    .replaceAll(/[^\w.@+=,-]/g, '_')
    .slice(0, 60);
}
