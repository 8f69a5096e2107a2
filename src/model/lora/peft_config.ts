/**
 * @file adapter_config.json as PEFT writes it (huggingface.co/docs/peft). What PEFT could compute and we do not (DoRA, biases,
 * ranks that differ from matrix to matrix, ...) is an error here that names the key, never ignored.
 */
import { CheckpointError } from '../errors';
import { LORA_TARGETS, inLayerOrder } from './config';
import type { LoraConfig, LoraTarget } from './config';

type Json = Record<string, unknown>;

/**
 * Keys that change what is computed, and the values under which they do not. A key that stands neither here, nor in IGNORED,
 * nor among those we read, comes from a version of PEFT that is newer than this list.
 */
const NEUTRAL: Record<string, readonly unknown[]> = {
  bias: ['none'],
  fan_in_fan_out: [false],
  use_dora: [false],
  use_qalora: [false],
  use_bdlora: [],
  lora_bias: [false],
  modules_to_save: [],
  exclude_modules: [],
  layers_to_transform: [],
  layers_pattern: [],
  layer_replication: [],
  rank_pattern: [],
  alpha_pattern: [],
  trainable_token_indices: [],
  target_parameters: [],
  alora_invocation_tokens: [],
  arrow_config: [],
  velora_config: [],
  auto_mapping: [],
};

/** Keys that say how the adapter was made or run, not what it computes. */
const IGNORED = [
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'inference_mode',
  'loftq_config',
  'lora_ga_config',
  'megatron_config',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
  'task_type',
];

const READ = [
  'base_model_name_or_path',
  'init_lora_weights',
  'lora_alpha',
  'lora_dropout',
  'peft_type',
  'r',
  'target_modules',
  'use_rslora',
];

/** Ways to begin an adapter that also change the weights of the base: what was saved fits only the changed ones. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq|lora_ga)/;

/** Modules as their names end, with the part of a layer before them or without. */
const MODULES = new Map<string, LoraTarget>(
  LORA_TARGETS.flatMap((target, i): [string, LoraTarget][] => [
    [target, target],
    [`${i < 4 ? 'self_attn' : 'mlp'}.${target}`, target],
  ]),
);

/**
 * Reads an adapter_config.json.
 * @param source name of the file, for messages
 * @throws CheckpointError naming the key
 */
export function parsePeftConfig(json: unknown, source = 'adapter_config.json'): LoraConfig {
  const fail = (message: string): never => {
    throw new CheckpointError(`${source}: ${message}`);
  };
  if (typeof json !== 'object' || json === null || Array.isArray(json)) fail('not a JSON object');
  const raw = json as Json;
  const show = (key: string) => JSON.stringify(raw[key]) ?? 'missing';
  if (raw.peft_type !== 'LORA') fail(`peft_type is ${show('peft_type')}; only "LORA" is supported`);
  const { task_type: task } = raw;
  if (task != null && task !== 'CAUSAL_LM') fail(`task_type is ${show('task_type')}; only "CAUSAL_LM" is supported`);
  for (const [key, value] of Object.entries(raw)) {
    if (READ.includes(key) || IGNORED.includes(key)) continue;
    if (isEmpty(value) || NEUTRAL[key]?.includes(value)) continue;
    if (!(key in NEUTRAL)) {
      if (value === false) continue;
      fail(`${key} = ${show(key)} is not known here; a key that may change what is computed is not passed over`);
    }
    fail(`${key} = ${show(key)} is not supported`);
  }
  const { init_lora_weights: init } = raw;
  if (typeof init === 'string' && CHANGES_BASE.test(init)) {
    fail(`init_lora_weights = ${show('init_lora_weights')} changes the base model as well, which is not supported`);
  }
  const { r: rank, lora_alpha: alpha, lora_dropout: dropout = 0, use_rslora: rslora = false } = raw;
  if (!(typeof rank === 'number' && Number.isInteger(rank) && rank > 0)) {
    fail(`r must be a positive whole number, it is ${show('r')}`);
  }
  if (!(typeof alpha === 'number' && alpha > 0 && Number.isFinite(alpha))) {
    fail(`lora_alpha must be a positive number, it is ${show('lora_alpha')}`);
  }
  if (!(typeof dropout === 'number' && dropout >= 0 && dropout < 1)) {
    fail(`lora_dropout must be from 0 to below 1, it is ${show('lora_dropout')}`);
  }
  if (typeof rslora !== 'boolean') fail(`use_rslora must be true or false, it is ${show('use_rslora')}`);
  const base = raw.base_model_name_or_path ?? null;
  if (base !== null && typeof base !== 'string') fail(`base_model_name_or_path is ${JSON.stringify(base)}`);
  return {
    rank: rank as number,
    alpha: alpha as number,
    dropout: dropout as number,
    rslora: rslora as boolean,
    targets: parseTargets(raw.target_modules, fail),
    baseModel: base as string | null,
  };
}

function isEmpty(value: unknown): boolean {
  return value == null || (typeof value === 'object' && Object.keys(value).length === 0);
}

function parseTargets(given: unknown, fail: (message: string) => never): LoraTarget[] {
  if (given === 'all-linear') return [...LORA_TARGETS];
  if (typeof given === 'string') {
    fail(`target_modules is the pattern ${JSON.stringify(given)}; supported are a list of names, and "all-linear"`);
  }
  if (!Array.isArray(given) || given.length === 0) {
    fail(`target_modules must be a list of names, it is ${JSON.stringify(given) ?? 'missing'}`);
  }
  const targets = (given as unknown[]).map((name) => {
    const target = typeof name === 'string' ? MODULES.get(name) : undefined;
    return target ?? fail(`target_modules holds ${JSON.stringify(name)}; supported are ${LORA_TARGETS.join(', ')}`);
  });
  return inLayerOrder(targets);
}

/** The adapter_config.json that PEFT and `parsePeftConfig` read back. */
export function formatPeftConfig({ rank, alpha, dropout, rslora, targets, baseModel }: LoraConfig): Json {
  return {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: alpha,
    lora_dropout: dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: rank,
    rank_pattern: {},
    revision: null,
    target_modules: targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: rslora,
  };
}
