import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { CheckpointError, countParameters, formatModelConfig, parseModelConfig } from '../../src/model';
import { readJsonFile } from '../checks/files';
import { ORACLE_DIR } from '../gpu';

const CONFIGS = new URL('./configs', import.meta.url).pathname;

const BASE = readJsonFile(ORACLE_DIR, 'models', 'llama-tiny', 'config.json') as Record<string, unknown>;

it.each(readdirSync(`${ORACLE_DIR}/models`))('%s: reads, and reads back what it writes', (model) => {
  const config = parseModelConfig(readJsonFile(ORACLE_DIR, 'models', model, 'config.json'));
  expect(parseModelConfig(formatModelConfig(config))).toEqual(config);
  const { models } = readJsonFile(ORACLE_DIR, 'cases.json') as { models: Record<string, { parameters: number }> };
  expect(countParameters(config)).toBe(models[model]!.parameters);
});

it('reads the families and their differences', () => {
  const read = (model: string) => parseModelConfig(readJsonFile(ORACLE_DIR, 'models', model, 'config.json'));
  expect(read('llama-tied-gqa')).toMatchObject({ family: 'llama', headDim: 8, tiedEmbeddings: true, qkvBias: false });
  expect(read('qwen2-tiny')).toMatchObject({ family: 'qwen2', qkvBias: true, qkNorm: false });
  expect(read('qwen3-sharded')).toMatchObject({ family: 'qwen3', qkNorm: true, ropeTheta: 1e6, headDim: 24 });
  expect(read('llama3-rope').ropeScaling).toMatchObject({ factor: 8, originalMaxPositions: 64 });
});

// Parameters as the hub's model pages count them.
it.each([
  ['SmolLM2-135M-Instruct', 134_515_008, { family: 'llama', headDim: 64, kvHeads: 3, ropeTheta: 100_000 }],
  ['Qwen2.5-0.5B-Instruct', 494_032_768, { family: 'qwen2', headDim: 64, qkvBias: true, maxPositions: 32_768 }],
  ['Qwen3-0.6B', 596_049_920, { family: 'qwen3', headDim: 128, qkNorm: true, eosTokenId: 151_645 }],
  ['Qwen3-0.6B-transformers5', 596_049_920, { family: 'qwen3', headDim: 128, ropeTheta: 1e6 }],
  [
    'Llama-3.2-1B-Instruct',
    1_235_814_400,
    {
      ropeScaling: { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 },
      eosTokenId: 128_001,
      eosTokenIds: [128_001, 128_008, 128_009],
    },
  ],
])('%s: its config.json is taken as it is on the hub, and written so that nothing is lost', (name, parameters, has) => {
  const config = parseModelConfig(readJsonFile(CONFIGS, `${name}.json`));
  expect(config).toMatchObject({ ...has, tiedEmbeddings: true });
  expect(countParameters(config)).toBe(parameters);
  const written = formatModelConfig(config, 'bfloat16');
  expect(parseModelConfig(written)).toEqual(config);
  expect(written.torch_dtype).toBe('bfloat16');
});

it.each([
  ['gemma-3-270m-it', 'Gemma3ForCausalLM'],
  ['Qwen3-30B-A3B', 'Qwen3MoeForCausalLM'],
  ['Mixtral-8x7B-Instruct-v0.1', 'MixtralForCausalLM'],
  ['gpt2', 'GPT2LMHeadModel'],
])('%s: refused with a list of what is supported', (name, architecture) => {
  const read = () => parseModelConfig(readJsonFile(CONFIGS, `${name}.json`), `${name}/config.json`);
  expect(read).toThrow(CheckpointError);
  expect(read).toThrow(
    `${name}/config.json: architecture "${architecture}" is not supported; supported are dense causal language models: ` +
      'LlamaForCausalLM (Llama 2 and 3, SmolLM2), Qwen2ForCausalLM (Qwen2, Qwen2.5) and Qwen3ForCausalLM (Qwen3)',
  );
});

it.each([
  [null, 'not a JSON object'],
  [{ ...BASE, architectures: ['MixtralForCausalLM'] }, 'architecture "MixtralForCausalLM" is not supported'],
  [{ ...BASE, hidden_act: 'gelu' }, 'hidden_act = "gelu" is not supported'],
  [{ ...BASE, use_sliding_window: true }, 'use_sliding_window = true'],
  [{ ...BASE, rope_interleaved: true }, 'rope_interleaved = true'],
  [{ ...BASE, attention_bias: true }, 'attention_bias = true'],
  [{ ...BASE, layer_types: ['sliding_attention'] }, 'layer_types holds "sliding_attention"'],
  [{ ...BASE, quantization_config: { bits: 4 } }, 'quantization_config'],
  [{ ...BASE, rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'rope_scaling of type "yarn"'],
  [{ ...BASE, vocab_size: 0 }, 'vocab_size must be a positive whole number, it is 0'],
  [{ ...BASE, hidden_size: '36' }, 'hidden_size must be a positive whole number, it is "36"'],
  [{ ...BASE, num_key_value_heads: 2 }, 'num_attention_heads 3 is not a multiple of num_key_value_heads 2'],
  [{ ...BASE, head_dim: 7 }, 'head_dim 7 must be even'],
  [{ ...BASE, rms_norm_eps: 0 }, 'rms_norm_eps must be a positive number'],
  [{ ...BASE, num_hidden_layers: 2 ** 31 }, 'num_hidden_layers = 2147483648 is not supported; at most 1024 is'],
  [{ ...BASE, num_hidden_layers: 1e300 }, 'num_hidden_layers = 1e+300 is not supported'],
  [{ ...BASE, vocab_size: 2 ** 32 }, 'vocab_size = 4294967296 is not supported; at most 2147483648 is'],
  [{ ...BASE, vocab_size: 2 ** 31, hidden_size: 3 * 2 ** 20 }, 'it describes a model of 1.35e+16 parameters'],
  [{ ...BASE, intermediate_size: 2 ** 31 }, 'it describes a model of 4.64e+11 parameters; at most 2^37 are supported'],
])('refuses %#', (json, message) => {
  expect(() => parseModelConfig(json, 'm/config.json')).toThrow(CheckpointError);
  expect(() => parseModelConfig(json, 'm/config.json')).toThrow(`m/config.json: `);
  expect(() => parseModelConfig(json, 'm/config.json')).toThrow(message);
});
