/**
 * @file Every setting of a training run, in one schema: TOML files, the command line, the page's controls and its URL are
 * all read by it. Values are layered: defaults < the environment's preset < files < command line or page.
 *
 * Names follow prime-rl and TRL. Unknown keys are errors that name the nearest known key.
 */
import { z } from 'zod';
import { LIBRARY } from '../envs';
import { LORA_TARGETS, STORAGES } from '../model';
import { ADVANTAGE_NAMES } from './advantages';
import { POLICY_LOSS_NAMES } from './losses';
import { PRESETS } from './presets';
import { SCHEDULES } from './schedule';

const count = z.int().positive();
const countOrZero = z.int().nonnegative();
const rate = z.number().nonnegative().max(1);
/** At 1 a moment would never move, and its bias correction divides by 0. */
const decay = z.number().nonnegative().lt(1);
const weight = z.number().nonnegative();
const learningRate = z.number().positive().max(1);

const modelSchema = z.strictObject({
  hidden_size: count.default(64).describe('Width of the residual stream'),
  layers: count.default(2).describe('Transformer layers'),
  heads: count.default(4).describe('Query heads'),
  kv_heads: count.default(2).describe('Key-value heads'),
  head_dim: count.default(16).describe('Width of a head'),
  intermediate_size: count.default(128).describe('Width of the MLP'),
  context: count.default(64).describe('Longest sequence, in tokens'),
  rope_theta: z.number().positive().default(1000).describe('Base of the rotary frequencies'),
  alphabet: z
    .string()
    .min(1)
    .default('abcdefghijklmnopqrstuvwxyz0123456789 ()+=-?.,:;#\n')
    .describe('Characters of the tokenizer, in the order of their ids'),
  vocabulary: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('Words of the tokenizer instead of an alphabet; text is cut into the longest that fits'),
});

const loraSchema = z.strictObject({
  rank: count.default(16).describe('Rank of the adapter (r in PEFT)'),
  alpha: z.number().positive().default(32).describe('The adapter counts alpha / rank times'),
  dropout: z
    .number()
    .nonnegative()
    .lt(1)
    .default(0)
    .describe("Share of the adapter's inputs left out in supervised steps; everywhere else it is 0"),
  target_modules: z
    .array(z.enum(LORA_TARGETS))
    .min(1)
    .default([...LORA_TARGETS])
    .describe('Matrices of every layer that get an adapter'),
  use_rslora: z.boolean().default(false).describe('The adapter counts alpha / sqrt(rank) times instead'),
});

const sftSchema = z.strictObject({
  steps: countOrZero.default(0).describe('Supervised steps at most; 0 = none'),
  target: rate.default(0.95).describe('Stop once the eval at temperature 1 reaches this'),
  batch_size: count.default(64).describe('Demonstrations per step'),
  lr: learningRate.default(3e-3).describe('Learning rate'),
  warmup_steps: countOrZero.default(20).describe('Steps of linear warm-up'),
  eval_interval: count.default(25).describe('Steps between evals of the target'),
  eval_examples: count.default(200).describe('Held-out tasks per such eval'),
  always: z
    .boolean()
    .default(false)
    .describe('Also where start is a checkpoint; otherwise only random weights are warmed up'),
  careless: rate.default(0).describe('Share of deliberate mistakes in the second phase'),
  careless_steps: countOrZero.default(0).describe('Steps of the second, careless phase'),
  careless_lr: learningRate.default(7e-4).describe('Learning rate of the second phase'),
});

const grpoSchema = z.strictObject({
  steps: countOrZero.default(20).describe('GRPO steps'),
  batch_size: count.default(128).describe('Rollouts per step'),
  group_size: count.default(8).describe('Rollouts per prompt'),
  lr: learningRate.default(5e-4).describe('Learning rate'),
  schedule: z.enum(SCHEDULES).default('constant').describe('Of the learning rate after the warm-up'),
  warmup_steps: countOrZero.default(3).describe('Steps of linear warm-up'),
  decay_steps: countOrZero
    .default(0)
    .describe('Steps from the end of the warm-up to the lowest rate; 0 = all that are left'),
  min_lr_ratio: rate.default(0).describe('The lowest rate as a share of lr'),
  loss: z.enum(POLICY_LOSS_NAMES).default('prime').describe('Policy loss'),
  advantage: z.enum(ADVANTAGE_NAMES).default('none').describe('How rewards become advantages'),
  updates_per_batch: count.default(1).describe('Optimizer steps on each batch of rollouts'),
  filter_zero_advantages: z.boolean().default(true).describe('Leave groups without signal out of the update'),
  replacement_rounds: countOrZero
    .default(0)
    .describe('How often new prompts are asked in place of groups without signal'),
  async_level: z
    .int()
    .min(0)
    .max(1)
    .default(0)
    .describe('0 = on-policy; 1 = rollouts are sampled one step ahead, with the weights before the last update'),
  mask_truncated: z
    .boolean()
    .default(false)
    .describe('Rollouts cut off at a limit count in their group and carry no loss'),
  max_epochs: countOrZero.default(0).describe('Passes through a finite dataset at most; 0 = no limit'),
  reference: z
    .string()
    .min(1)
    .default('start')
    .describe(
      'Of the KL, or teacher of distill: start, best (the best eval so far), a checkpoint folder or hf:owner/name',
    ),
  reference_sync_interval: countOrZero
    .default(0)
    .describe('Steps after which the reference becomes the policy of that time; 0 = never'),
  beta: z.number().nonnegative().default(0).describe('Weight of the KL to the reference'),
  delta: z.number().nonnegative().default(0).describe('Upper bound of the ratio (two-sided clip); 0 = none'),
  mask_low: z.number().positive().optional().describe("How far a probability may fall; default: the loss's own"),
  mask_high: z.number().positive().optional().describe("How far a probability may rise; default: the loss's own"),
  kl_tau: z.number().nonnegative().optional().describe("Weight of the squared log-ratio; default: the loss's own"),
  epsilon_low: z.number().positive().optional().describe("Lower clip; default: the loss's own"),
  epsilon_high: z.number().positive().optional().describe("Upper clip; default: the loss's own"),
  entropy_coefficient: z.number().default(0).describe('Weight of the entropy bonus'),
});

const difficultySchema = z.strictObject({
  easy_threshold: z.number().default(1).describe('A task whose last group had this mean reward or more is easy'),
  hard_threshold: z.number().default(0).describe('A task whose last group had this mean reward or less is hard'),
  easy_weight: weight.default(1).describe('How often easy tasks are asked, beside 1 for those never asked'),
  normal_weight: weight.default(1).describe('How often tasks between are asked'),
  hard_weight: weight.default(1).describe('How often hard tasks are asked'),
});

const lengthPenaltySchema = z.strictObject({
  output_tokens: weight.default(0).describe("Share of the group's mean reward that the most tokens sampled cost"),
  input_tokens: weight.default(0).describe('The same for tokens of prompt and environment'),
  turns: weight.default(0).describe('The same for turns'),
});

const stageSchema = z.strictObject({
  from_step: count.describe('First step of the stage'),
  weights: z.record(z.string(), weight).describe('Share of each environment of the group'),
});

const samplingSchema = z.strictObject({
  temperature: z.number().positive().max(10).default(1).describe('Of the rollouts; log-probabilities are taken at it'),
  max_tokens: count.optional().describe("Tokens per reply; default: the environment's own"),
});

const optimizerSchema = z.strictObject({
  beta1: decay.default(0.9).describe("AdamW's first decay"),
  beta2: decay.default(0.95).describe("AdamW's second decay"),
  epsilon: z.number().positive().default(1e-8).describe("AdamW's epsilon"),
  weight_decay: z.number().nonnegative().default(0).describe('On matrices'),
  max_norm: z.number().nonnegative().default(1).describe('Largest global gradient norm; 0 = no clipping'),
  micro_batch_tokens: count
    .optional()
    .describe('Tokens trained on at once, larger batches are accumulated; default: 4096, fewer where memory is short'),
});

const memorySchema = z.strictObject({
  budget_mb: count
    .optional()
    .describe('MiB of GPU memory for the run; default: twice the largest buffer the adapter offers, at most 4096'),
  recompute: z
    .enum(['auto', 'on', 'off'])
    .default('auto')
    .describe('Compute activations again in the backward pass instead of keeping them; auto = where nothing else fits'),
  base_storage: z
    .enum(['auto', ...STORAGES])
    .default('auto')
    .describe('How frozen weights under an adapter are kept; auto = as in their file, q8 rounds them to 8 bits'),
  slots: count
    .optional()
    .describe(
      'Sequences sampled at once, more wait for their turn; default: 256, fewer where their logits exceed a binding',
    ),
  cache_mb: count.default(256).describe('MiB at most for the keys and values of sequences being sampled'),
  cache_type: z
    .enum(['f32', 'f16'])
    .default('f32')
    .describe('Of keys and values; f16 takes half the memory, and sampled log-probabilities get its rounding'),
});

const evalSchema = z.strictObject({
  interval: countOrZero.default(5).describe('GRPO steps between evals; 0 = only before and after'),
  examples: count.default(400).describe('Held-out tasks'),
});

const checkpointSchema = z.strictObject({
  interval: countOrZero.default(5).describe('GRPO steps between checkpoints; 0 = only where there is an eval'),
  keep_last: count.default(2).describe('Newest checkpoints to keep; the one before is there if the newest is damaged'),
  keep_best: z.boolean().default(true).describe('Also keep the checkpoint with the best eval at temperature 1'),
});

const trainSchema = z.strictObject({
  env: z.string().min(1).describe('Environment, by its name in the library'),
  env_args: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("The environment's own options, such as its difficulty"),
  seed: z.int().nonnegative().default(1).describe('Decides every random number'),
  start: z
    .string()
    .default('starter')
    .describe(
      'starter = the shipped checkpoint, scratch = random weights (then sft), else a checkpoint folder, hf:owner/name, or a ' +
        'folder with a PEFT adapter, which is trained on',
    ),
  base: z
    .string()
    .min(1)
    .optional()
    .describe("Folder of the model under an adapter in start; default: what the adapter's own config names"),
  seq_len: count
    .optional()
    .describe("Longest sequence of the run, in tokens; default: the model's own, and at most 2048"),
  method: z
    .enum(['full', 'lora'])
    .default('full')
    .describe('full = train every weight, lora = train a low-rank adapter beside frozen weights'),
  lora: loraSchema.prefault({}),
  model: modelSchema.prefault({}),
  sft: sftSchema.prefault({}),
  grpo: grpoSchema.prefault({}),
  length_penalty: lengthPenaltySchema.prefault({}),
  difficulty: difficultySchema.prefault({}),
  curriculum: z.array(stageSchema).default([]).describe('Stages of a run on several environments'),
  sampling: samplingSchema.prefault({}),
  optimizer: optimizerSchema.prefault({}),
  memory: memorySchema.prefault({}),
  eval: evalSchema.prefault({}),
  checkpoint: checkpointSchema.prefault({}),
});

export type TrainConfig = z.infer<typeof trainSchema>;

/** A layer of settings: any subset, nested as in a TOML file. */
export type ConfigLayer = Record<string, unknown>;

/** Settings that cannot be used: every problem in one message, each with its key. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

/**
 * Merges layers (later ones win) over the environment's preset and checks the result.
 * @throws ConfigError naming each bad key or value
 */
export function resolveConfig(...layers: readonly ConfigLayer[]): TrainConfig {
  const given = layers.reduce<ConfigLayer>(merge, {});
  if (typeof given.env !== 'string') {
    throw new ConfigError(
      `env is missing: one of ${LIBRARY.map((entry) => entry.name).join(', ')}, or one of your own`,
    );
  }
  const result = trainSchema.safeParse(merge(PRESETS[given.env] ?? {}, given));
  if (!result.success) throw new ConfigError(result.error.issues.map(describeIssue).join('\n'));
  checkTogether(result.data);
  return result.data;
}

/** Settings that are fine one by one and impossible together. */
function checkTogether(config: TrainConfig): void {
  const { grpo, model, method, lora, memory, start, sft, eval: evals, difficulty, curriculum } = config;
  const problems: string[] = [];
  const refuse = (when: boolean, problem: string) => void (when && problems.push(problem));
  const changed = method === 'full' ? changedFrom(LORA_DEFAULTS, lora) : [];
  refuse(
    changed.length > 0,
    `${changed.map((key) => `lora.${key}`).join(', ')} with method "full": there is no adapter; set method to "lora"`,
  );
  refuse(
    method === 'full' && memory.base_storage !== 'auto',
    `memory.base_storage "${memory.base_storage}" with method "full": no weights are frozen; set method to "lora"`,
  );
  refuse(
    method === 'lora' && start === 'scratch',
    'method "lora" with start "scratch": an adapter needs a model that knows something; set start to a checkpoint',
  );
  refuse(
    config.base !== undefined && (start === 'starter' || start === 'scratch'),
    `base with start "${start}": only an adapter in start has a base of its own`,
  );
  refuse(
    new Set(lora.target_modules).size < lora.target_modules.length,
    `lora.target_modules names a matrix twice: ${lora.target_modules.join(', ')}`,
  );
  refuse(
    grpo.batch_size % grpo.group_size !== 0,
    `grpo.batch_size ${grpo.batch_size} is not a multiple of grpo.group_size ${grpo.group_size}`,
  );
  refuse(
    grpo.group_size === 1 && grpo.loss !== 'distill',
    'grpo.group_size 1: a rollout is judged by the others of its group, so a group needs at least 2',
  );
  refuse(
    model.heads % model.kv_heads !== 0,
    `model.heads ${model.heads} is not a multiple of model.kv_heads ${model.kv_heads}`,
  );
  refuse(model.head_dim % 2 !== 0, `model.head_dim ${model.head_dim} must be even`);
  const scheduled = grpo.warmup_steps + grpo.decay_steps;
  refuse(
    grpo.warmup_steps > grpo.steps && grpo.steps > 0,
    `grpo.warmup_steps ${grpo.warmup_steps} exceeds grpo.steps ${grpo.steps}`,
  );
  refuse(
    scheduled > grpo.steps && grpo.decay_steps > 0,
    `grpo.warmup_steps ${grpo.warmup_steps} + grpo.decay_steps ${grpo.decay_steps} exceed grpo.steps ${grpo.steps}`,
  );
  refuse(
    grpo.decay_steps > 0 && grpo.schedule === 'constant',
    'grpo.decay_steps with grpo.schedule "constant": nothing decays; set linear or cosine',
  );
  refuse(
    start === 'scratch' && sft.careless_steps > 0 && sft.steps === 0,
    'sft.careless_steps without sft.steps: there is nothing to be careless about',
  );
  refuse(
    grpo.loss === 'distill' && grpo.reference === 'start',
    'grpo.loss "distill" with grpo.reference "start": a model cannot learn from its own start; set best or a folder',
  );
  refuse(
    grpo.reference === 'best' && evals.interval === 0,
    'grpo.reference "best" with eval.interval 0: without evals nobody knows the best',
  );
  refuse(
    grpo.reference !== 'start' && grpo.reference_sync_interval > 0,
    `grpo.reference_sync_interval with grpo.reference "${grpo.reference}": only "start" moves on`,
  );
  refuse(
    difficulty.hard_threshold >= difficulty.easy_threshold,
    `difficulty.hard_threshold ${difficulty.hard_threshold} is not below difficulty.easy_threshold ${difficulty.easy_threshold}`,
  );
  refuse(
    curriculum.length > 0 && curriculum[0]!.from_step !== 1,
    `curriculum: the first stage begins at step ${curriculum[0]?.from_step}; it must be 1`,
  );
  refuse(
    curriculum.some((stage, i) => i > 0 && stage.from_step <= curriculum[i - 1]!.from_step),
    'curriculum: stages must be in the order of from_step',
  );
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
}

/** An adapter's settings where nothing is said. */
export const LORA_DEFAULTS = loraSchema.parse({});

/** Keys of the second whose values are not those of the first. */
function changedFrom<T extends object>(defaults: T, given: T): (keyof T & string)[] {
  const keys = Object.keys(given) as (keyof T & string)[];
  return keys.filter((key) => JSON.stringify(given[key]) !== JSON.stringify(defaults[key]));
}

function merge(base: ConfigLayer, over: ConfigLayer): ConfigLayer {
  const merged: ConfigLayer = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isLayer(below) && isLayer(value) ? merge(below, value) : value;
  }
  return merged;
}

function isLayer(value: unknown): value is ConfigLayer {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .map((key) => {
        const full = [...path, key].join('.');
        const near = nearest(full, configKeys());
        return `unknown key ${full}${near ? `; did you mean ${near}?` : ''}`;
      })
      .join('\n');
  }
  return `${path.join('.')}: ${issue.message}`;
}

/** One setting, for command-line help and for controls made from the schema. */
export interface ConfigField {
  /** As in `--set`: `grpo.lr`. */
  key: string;
  description: string;
  type: 'number' | 'integer' | 'string' | 'boolean' | 'enum' | 'array' | 'object';
  options?: string[];
  default?: unknown;
}

/** Every setting, in the order of the schema. */
export function configFields(): ConfigField[] {
  interface JsonSchema {
    type?: string;
    enum?: string[];
    default?: unknown;
    description?: string;
    properties?: Record<string, JsonSchema>;
  }
  const fields: ConfigField[] = [];
  const walk = (schema: JsonSchema, path: string[]) => {
    for (const [key, property] of Object.entries(schema.properties ?? {})) {
      if (property.properties) walk(property, [...path, key]);
      else {
        fields.push({
          key: [...path, key].join('.'),
          description: property.description ?? '',
          type: property.enum ? 'enum' : (property.type as ConfigField['type']),
          ...(property.enum && { options: property.enum }),
          ...(property.default !== undefined && { default: property.default }),
        });
      }
    }
  };
  walk(z.toJSONSchema(trainSchema, { io: 'input' }) as JsonSchema, []);
  return fields;
}

let keys: string[] | undefined;

function configKeys(): string[] {
  return (keys ??= configFields().map((field) => field.key));
}

/**
 * Reads `key=value` as one layer: numbers, true and false by their look, everything else as text.
 * @throws ConfigError
 */
export function parseAssignment(text: string): ConfigLayer {
  const at = text.indexOf('=');
  if (at < 1) throw new ConfigError(`"${text}" is not of the form key=value`);
  const key = text.slice(0, at).trim();
  if (key.startsWith('env_args.')) return nest(key, looseValue(text.slice(at + 1)));
  const field = configFields().find((candidate) => candidate.key === key);
  if (!field) {
    const near = nearest(key, configKeys());
    throw new ConfigError(`unknown key ${key}${near ? `; did you mean ${near}?` : ''}`);
  }
  return nest(key, parseValue(field, text.slice(at + 1)));
}

/** A value of unknown type by its look. */
function looseValue(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** The value that a text stands for, given the field's type. */
export function parseValue(field: ConfigField, text: string): unknown {
  if (field.type === 'number' || field.type === 'integer') return text.trim() === '' ? NaN : Number(text);
  if (field.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text;
  if (field.type === 'array' || field.type === 'object') {
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw new ConfigError(`${field.key}: not JSON (${(error as SyntaxError).message})`);
    }
  }
  return text;
}

/** `grpo.lr`, 1 -> { grpo: { lr: 1 } } */
export function nest(key: string, value: unknown): ConfigLayer {
  return key.split('.').reduceRight<unknown>((inner, part) => ({ [part]: inner }), value) as ConfigLayer;
}

/** The value at `grpo.lr`. */
export function valueAt(layer: ConfigLayer, key: string): unknown {
  return key.split('.').reduce<unknown>((value, part) => (isLayer(value) ? value[part] : undefined), layer);
}

/** The closest of the names, if any is close: last parts are compared too, so `lr` finds `grpo.lr`. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const last = (text: string) => text.split('.').at(-1)!;
  const scored = names.map((candidate) => ({
    candidate,
    distance: Math.min(editDistance(name, candidate), editDistance(last(name), last(candidate)) + 0.5),
  }));
  const best = scored.reduce((a, b) => (b.distance < a.distance ? b : a));
  return best.distance <= Math.max(2, last(name).length / 2) ? best.candidate : undefined;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
