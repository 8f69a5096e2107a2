/** @file PEFT's folders in and out, what is refused of them, how an adapter begins, and merging on the host. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diskFolder } from '../../cli/files';
import {
  CheckpointError,
  LORA_TARGETS,
  countAdapter,
  formatAdapter,
  formatSafetensors,
  initialAdapter,
  loadAdapter,
  loadCheckpoint,
  loraScale,
  mergeAdapter,
  parsePeftConfig,
} from '../../src/model';
import type { FileSource, LoraConfig, ModelConfig } from '../../src/model';
import { ODD, TINY } from '../checks/generation';
import { readFixture } from '../checks/files';
import { relativeError } from '../checks/report';
import { ORACLE_DIR } from '../gpu';

const FOLDER = diskFolder(join(ORACLE_DIR, 'lora/llama-tiny'));
const MODEL = diskFolder(join(ORACLE_DIR, 'models/llama-tiny'));

const lora = (more: Partial<LoraConfig> = {}): LoraConfig => ({
  rank: 4,
  alpha: 8,
  targets: LORA_TARGETS,
  dropout: 0,
  rslora: false,
  baseModel: 'base',
  ...more,
});

const filesOf = (files: ReadonlyMap<string, Uint8Array>, name = 'adapter'): FileSource => ({
  name,
  read: (file) => Promise.resolve(files.get(file)),
});

const peft = JSON.parse(readFileSync(join(ORACLE_DIR, 'lora/llama-tiny/adapter_config.json'), 'utf8')) as object;

/** As PEFT 0.17 writes it for a fresh LoraConfig(task_type='CAUSAL_LM'). */
const NEWER = {
  alpha_pattern: {},
  auto_mapping: null,
  base_model_name_or_path: 'Qwen/Qwen3-0.6B',
  bias: 'none',
  corda_config: null,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 32,
  lora_bias: false,
  lora_dropout: 0.05,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  peft_type: 'LORA',
  qalora_group_size: 16,
  r: 16,
  rank_pattern: {},
  revision: null,
  target_modules: ['v_proj', 'q_proj'],
  target_parameters: null,
  task_type: 'CAUSAL_LM',
  trainable_token_indices: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: true,
};

it('an adapter_config.json is read, of older and newer versions of PEFT', () => {
  expect(parsePeftConfig(peft)).toEqual({
    ...lora(),
    targets: [...LORA_TARGETS],
    baseModel: 'llama-tiny',
  });
  const newer = parsePeftConfig(NEWER);
  expect(newer).toEqual({
    rank: 16,
    alpha: 32,
    dropout: 0.05,
    rslora: true,
    targets: ['q_proj', 'v_proj'],
    baseModel: 'Qwen/Qwen3-0.6B',
  });
  expect([loraScale(newer), loraScale(lora())]).toEqual([8, 2]);
});

it.each([
  ['all-linear', [...LORA_TARGETS]],
  [
    ['mlp.down_proj', 'self_attn.k_proj'],
    ['k_proj', 'down_proj'],
  ],
])('target_modules %j', (given, targets) => {
  expect(parsePeftConfig({ ...NEWER, target_modules: given }).targets).toEqual(targets);
});

it.each<[object | null, string]>([
  [{ use_dora: true }, 'use_dora = true is not supported'],
  [{ bias: 'lora_only' }, 'bias = "lora_only" is not supported'],
  [{ modules_to_save: ['lm_head'] }, 'modules_to_save = ["lm_head"] is not supported'],
  [{ rank_pattern: { q_proj: 8 } }, 'rank_pattern = {"q_proj":8} is not supported'],
  [{ alpha_pattern: { q_proj: 8 } }, 'alpha_pattern = {"q_proj":8} is not supported'],
  [{ layers_to_transform: [1, 2] }, 'layers_to_transform = [1,2] is not supported'],
  [{ layers_to_transform: 0 }, 'layers_to_transform = 0 is not supported'],
  [{ exclude_modules: 'up_proj' }, 'exclude_modules = "up_proj" is not supported'],
  [{ fan_in_fan_out: true }, 'fan_in_fan_out = true is not supported'],
  [{ lora_bias: true }, 'lora_bias = true is not supported'],
  [{ trainable_token_indices: [5] }, 'trainable_token_indices = [5] is not supported'],
  [{ target_parameters: ['mlp.experts'] }, 'target_parameters = ["mlp.experts"] is not supported'],
  [{ layer_replication: [[0, 4]] }, 'layer_replication = [[0,4]] is not supported'],
  [{ use_tomorrow: 3 }, 'use_tomorrow = 3 is not known here'],
  [{ init_lora_weights: 'pissa_niter_16' }, 'init_lora_weights = "pissa_niter_16" changes the base model as well'],
  [{ peft_type: 'IA3' }, 'peft_type is "IA3"; only "LORA" is supported'],
  [{ peft_type: undefined }, 'peft_type is missing; only "LORA" is supported'],
  [{ task_type: 'SEQ_CLS' }, 'task_type is "SEQ_CLS"; only "CAUSAL_LM" is supported'],
  [{ r: 0 }, 'r must be a positive whole number, it is 0'],
  [{ r: 2.5 }, 'r must be a positive whole number, it is 2.5'],
  [{ lora_alpha: 0 }, 'lora_alpha must be a positive number, it is 0'],
  [{ lora_alpha: '8' }, 'lora_alpha must be a positive number, it is "8"'],
  [{ lora_dropout: 1 }, 'lora_dropout must be from 0 to below 1, it is 1'],
  [{ use_rslora: 1 }, 'use_rslora must be true or false, it is 1'],
  [
    { target_modules: '.*proj' },
    'target_modules is the pattern ".*proj"; supported are a list of names, and "all-linear"',
  ],
  [{ target_modules: [] }, 'target_modules must be a list of names, it is []'],
  [{ target_modules: undefined }, 'target_modules must be a list of names, it is missing'],
  [{ target_modules: ['q_proj', 'lm_head'] }, 'target_modules holds "lm_head"; supported are q_proj'],
  [{ target_modules: ['mlp.q_proj'] }, 'target_modules holds "mlp.q_proj"'],
  [{ base_model_name_or_path: 7 }, 'base_model_name_or_path is 7'],
  [null, 'not a JSON object'],
])('an adapter_config.json with %j is refused by key', (more, message) => {
  const parse = () => parsePeftConfig(more === null ? [] : { ...NEWER, ...more }, 'somewhere/adapter_config.json');
  expect(parse).toThrow(CheckpointError);
  expect(parse).toThrow(`somewhere/adapter_config.json: ${message}`);
});

describe('a folder', () => {
  const tensors = initialAdapter(TINY, lora(), 1);
  const files = formatAdapter(lora(), tensors);
  const rest = (without: RegExp) => new Map([...tensors].filter(([name]) => !without.test(name)));
  const weights = (changed: Parameters<typeof formatSafetensors>[0]) =>
    new Map(files).set('adapter_model.safetensors', formatSafetensors(changed));
  const reshaped = (name: string, shape: number[]) => {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    return weights(new Map(tensors).set(name, { shape, values }));
  };
  const A = 'base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight';
  const B = 'base_model.model.model.layers.0.mlp.up_proj.lora_B.weight';
  const broken = new Float32Array(tensors.get(B)!.values).fill(NaN, 5, 6);

  it.each<[string, Map<string, Uint8Array>, string]>([
    ['without its config', new Map([...files].slice(1)), 'adapter: adapter_config.json is missing'],
    ['without its weights', new Map([...files].slice(0, 1)), 'adapter: adapter_model.safetensors is missing'],
    [
      'with a config that is no JSON',
      new Map(files).set('adapter_config.json', new TextEncoder().encode('{')),
      'adapter/adapter_config.json is not JSON',
    ],
    [
      'with weights that are cut',
      new Map(files).set('adapter_model.safetensors', files.get('adapter_model.safetensors')!.slice(0, -4)),
      'adapter/adapter_model.safetensors: tensor',
    ],
    [
      'that lacks a tensor',
      weights(rest(/layers\.1.*q_proj.*lora_A/)),
      `tensor ${A} [4, ${TINY.hiddenSize}] is missing`,
    ],
    [
      'with a tensor of another model',
      weights(new Map(tensors).set('base_model.model.model.layers.2.mlp.up_proj.lora_A.weight', tensors.get(A)!)),
      'tensor base_model.model.model.layers.2.mlp.up_proj.lora_A.weight does not belong to an adapter of',
    ],
    [
      'with a tensor of a full model',
      weights(new Map(tensors).set('lm_head.weight', tensors.get(A)!)),
      'tensor lm_head.weight does not belong to an adapter',
    ],
    [
      'with a tensor of another rank than its config',
      reshaped(A, [8, TINY.hiddenSize]),
      `tensor ${A} has shape [8, ${TINY.hiddenSize}], rank 4 of its config and the model want [4, ${TINY.hiddenSize}]`,
    ],
    [
      'with a tensor of another width',
      reshaped(A, [4, 12]),
      `tensor ${A} has shape [4, 12], the model wants [4, ${TINY.hiddenSize}]`,
    ],
    [
      'with a number that is none',
      weights(new Map(tensors).set(B, { ...tensors.get(B)!, values: broken })),
      `adapter/adapter_model.safetensors: tensor ${B} holds NaN at 5`,
    ],
    [
      'whose config names a target that has no tensors',
      new Map(formatAdapter(lora(), rest(/o_proj/))),
      'self_attn.o_proj.lora_A.weight',
    ],
  ])('%s is refused', async (_, changed, message) => {
    await expect(loadAdapter(filesOf(changed), TINY)).rejects.toThrow(CheckpointError);
    await expect(loadAdapter(filesOf(changed), TINY)).rejects.toThrow(message);
  });

  it('is read back bit for bit as it was written, base and settings with it', async () => {
    const settings = lora({ rank: 3, alpha: 5, dropout: 0.25, rslora: true, targets: ['k_proj', 'down_proj'] });
    const values = initialAdapter(ODD, settings, 7);
    for (const each of values.values()) each.values.forEach((_, i) => (each.values[i] = Math.fround(Math.sin(i + 1))));
    const loaded = await loadAdapter(filesOf(formatAdapter(settings, values)), ODD);
    expect(loaded.lora).toEqual(settings);
    expect(new Map([...loaded.tensors].sort())).toEqual(new Map([...values].sort()));
    const again = formatAdapter(loaded.lora, loaded.tensors);
    expect(again).toEqual(formatAdapter(settings, values));
  });

  it("has the names and the config that PEFT's own has", async () => {
    const { config } = await loadCheckpoint(MODEL);
    const theirs = await loadAdapter(FOLDER, config);
    const ours = formatAdapter(theirs.lora, theirs.tensors);
    const written = JSON.parse(new TextDecoder().decode(ours.get('adapter_config.json'))) as object;
    expect(written).toMatchObject(peft);
    expect(parsePeftConfig(written)).toEqual(theirs.lora);
    const bytes = (await FOLDER.read('adapter_model.safetensors'))!;
    const names = (file: Uint8Array) =>
      [...new TextDecoder('latin1').decode(file).matchAll(/"(base_model[^"]*)"/g)].map((m) => m[1]);
    expect(names(ours.get('adapter_model.safetensors')!)).toEqual(names(bytes));
  });
});

describe('a new adapter', () => {
  it('has A uniform within 1 / sqrt(inputs) and B zero, whatever else is a target', () => {
    const all = initialAdapter(TINY, lora({ rank: 16 }), 3);
    const some = initialAdapter(TINY, lora({ rank: 16, targets: ['v_proj'] }), 3);
    const name = 'base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight';
    expect(some.get(name)).toEqual(all.get(name));
    expect(initialAdapter(TINY, lora({ rank: 16 }), 4).get(name)).not.toEqual(all.get(name));
    for (const [each, { shape, values }] of all) {
      if (each.includes('lora_B')) {
        expect(values.every((value) => value === 0)).toBe(true);
        continue;
      }
      const bound = 1 / Math.sqrt(shape[1]!);
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(largest).toBeLessThanOrEqual(Math.fround(bound));
      expect(largest).toBeGreaterThan(0.95 * bound);
      const variance = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
      expect(variance / (bound ** 2 / 3)).toBeCloseTo(1, 0);
    }
  });

  it.each<[string, ModelConfig]>([
    ['TINY', TINY],
    ['ODD', ODD],
  ])('of %s has as many parameters as it counts', (_, config) => {
    for (const targets of [LORA_TARGETS, ['q_proj', 'up_proj'] as const]) {
      const values = initialAdapter(config, lora({ targets }), 1);
      const total = [...values.values()].reduce((sum, each) => sum + each.values.length, 0);
      expect(countAdapter(config, lora({ targets }))).toBe(total);
    }
  });
});

it("merged weights are the oracle's", async () => {
  const { config, tensors } = await loadCheckpoint(MODEL);
  const merged = mergeAdapter(config, tensors, await loadAdapter(FOLDER, config));
  const fixture = readFixture(ORACLE_DIR, 'lora/llama-tiny.safetensors');
  const compared = [...fixture].filter(([name]) => name.startsWith('merged.'));
  expect(compared).toHaveLength(14);
  for (const [name, { values }] of compared) {
    const ours = merged.get(name.slice('merged.'.length))!.values;
    expect(relativeError(ours, values)).toBeLessThan(1e-7);
    expect(relativeError(tensors.get(name.slice('merged.'.length))!.values, values)).toBeGreaterThan(1e-3);
  }
  for (const [name, { values }] of tensors) {
    if (!fixture.has(`merged.${name}`)) expect(merged.get(name)!.values).toBe(values);
  }
});
