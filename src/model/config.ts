/**
 * @file One configuration type for the Llama, Qwen2 and Qwen3 families, read from and written to a Hugging Face
 * config.json. What we do not compute (sliding windows, other activations, MoE, ...) is an error here, never ignored.
 */
import type { Llama3RopeScaling } from '../kernels';
import { CheckpointError } from './errors';

export type ModelFamily = 'llama' | 'qwen2' | 'qwen3';

export interface ModelConfig {
  family: ModelFamily;
  vocabSize: number;
  hiddenSize: number;
  layers: number;
  /** Query heads. */
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Width of the MLP. */
  intermediateSize: number;
  rmsNormEps: number;
  ropeTheta: number;
  ropeScaling?: Llama3RopeScaling | undefined;
  /** Longest sequence, in tokens. */
  maxPositions: number;
  /** The output projection is the embedding matrix. */
  tiedEmbeddings: boolean;
  /** q, k and v projections have biases (Qwen2). */
  qkvBias: boolean;
  /** RMSNorm on every q and k head (Qwen3). */
  qkNorm: boolean;
  bosTokenId?: number | undefined;
  eosTokenId?: number | undefined;
  /** Where there are several tokens that end a text: all of them, `eosTokenId` first. */
  eosTokenIds?: readonly number[] | undefined;
}

const ARCHITECTURES: Record<string, ModelFamily> = {
  LlamaForCausalLM: 'llama',
  Qwen2ForCausalLM: 'qwen2',
  Qwen3ForCausalLM: 'qwen3',
};

const SUPPORTED =
  'supported are dense causal language models: LlamaForCausalLM (Llama 2 and 3, SmolLM2), ' +
  'Qwen2ForCausalLM (Qwen2, Qwen2.5) and Qwen3ForCausalLM (Qwen3)';

/** Keys that change the computation, and the values under which they do not. */
const NEUTRAL: Record<string, readonly unknown[]> = {
  hidden_act: ['silu'],
  attention_dropout: [0],
  mlp_bias: [false],
  use_sliding_window: [false],
  partial_rotary_factor: [1],
  rope_interleaved: [false],
  final_logit_softcapping: [],
  num_experts: [],
  quantization_config: [],
};

/** More layers than any model of these families has. */
const MAX_LAYERS = 1024;

/** More parameters than any device can hold: 512 GiB of them. A larger model is a mistake, or made to exhaust memory. */
const MAX_PARAMETERS = 2 ** 37;

type Json = Record<string, unknown>;

/**
 * Reads a config.json, with the key names of transformers 4 and 5.
 * @param source name of the file, for messages
 * @throws CheckpointError naming the key
 */
export function parseModelConfig(json: unknown, source = 'config.json'): ModelConfig {
  const fail = (message: string): never => {
    throw new CheckpointError(`${source}: ${message}`);
  };
  if (typeof json !== 'object' || json === null || Array.isArray(json)) fail('not a JSON object');
  const raw = json as Json;
  const count = (key: string, { fallback, most = 2 ** 31 }: { fallback?: number; most?: number } = {}): number => {
    const value = raw[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value <= 0) {
      return fail(`${key} must be a positive whole number, it is ${JSON.stringify(raw[key])}`);
    }
    if (value > most) fail(`${key} = ${value} is not supported; at most ${most} is`);
    return value;
  };
  const positive = (object: Json, key: string, where = '', fallback?: number): number => {
    const value = object[key] ?? fallback;
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) {
      return fail(`${where}${key} must be a positive number, it is ${JSON.stringify(value)}`);
    }
    return value;
  };

  const architectures = raw.architectures;
  const architecture: unknown = Array.isArray(architectures) ? (architectures as unknown[])[0] : undefined;
  const family =
    typeof architecture === 'string'
      ? ARCHITECTURES[architecture]
      : Object.values(ARCHITECTURES).find((name) => name === raw.model_type);
  if (!family) {
    fail(`architecture ${JSON.stringify(architecture ?? raw.model_type)} is not supported; ${SUPPORTED}`);
  }
  for (const [key, allowed] of Object.entries(NEUTRAL)) {
    const value = raw[key];
    if (value === undefined || value === null || allowed.includes(value)) continue;
    fail(`${key} = ${JSON.stringify(value)} is not supported; ${SUPPORTED}`);
  }
  if (family !== 'qwen2' && raw.attention_bias) {
    fail(`attention_bias = ${JSON.stringify(raw.attention_bias)} is not supported; ${SUPPORTED}`);
  }
  const layerTypes = raw.layer_types;
  if (Array.isArray(layerTypes)) {
    const other = (layerTypes as unknown[]).find((type) => type !== 'full_attention');
    if (other !== undefined) fail(`layer_types holds ${JSON.stringify(other)}; only full_attention is supported`);
  }

  const hiddenSize = count('hidden_size');
  const heads = count('num_attention_heads');
  const kvHeads = count('num_key_value_heads', { fallback: heads });
  if (heads % kvHeads !== 0) fail(`num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}`);
  if (raw.head_dim == null && hiddenSize % heads !== 0) {
    fail(`hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}, and head_dim is not given`);
  }
  const headDim = raw.head_dim == null ? hiddenSize / heads : count('head_dim');
  if (headDim % 2 !== 0 || headDim > 256) fail(`head_dim ${headDim} must be even and at most 256`);

  // transformers 5 keeps theta and scaling together in rope_parameters.
  const rope = (raw.rope_parameters ?? raw.rope_scaling ?? {}) as Json;
  const ropeTheta =
    rope.rope_theta !== undefined
      ? positive(rope, 'rope_theta', 'rope_parameters.')
      : positive(raw, 'rope_theta', '', 10_000); // transformers' own default, which old Llama configs rely on
  const type = rope.rope_type ?? rope.type ?? 'default';
  let ropeScaling: Llama3RopeScaling | undefined;
  if (type === 'llama3') {
    ropeScaling = {
      factor: positive(rope, 'factor', 'rope_scaling.'),
      lowFreqFactor: positive(rope, 'low_freq_factor', 'rope_scaling.'),
      highFreqFactor: positive(rope, 'high_freq_factor', 'rope_scaling.'),
      originalMaxPositions: positive(rope, 'original_max_position_embeddings', 'rope_scaling.'),
    };
  } else if (type !== 'default') {
    fail(`rope_scaling of type ${JSON.stringify(type)} is not supported; llama3 and default are`);
  }

  const tokenId = (key: string): number | undefined => {
    const value: unknown = Array.isArray(raw[key]) ? (raw[key] as unknown[])[0] : raw[key];
    return typeof value === 'number' ? value : undefined;
  };
  const eosTokens: unknown = raw.eos_token_id;
  const eosTokenIds = Array.isArray(eosTokens) ? eosTokens.filter((id) => typeof id === 'number') : [];
  const config: ModelConfig = {
    family: family!,
    vocabSize: count('vocab_size'),
    hiddenSize,
    layers: count('num_hidden_layers', { most: MAX_LAYERS }),
    heads,
    kvHeads,
    headDim,
    intermediateSize: count('intermediate_size'),
    rmsNormEps: positive(raw, 'rms_norm_eps'),
    ropeTheta,
    ropeScaling,
    maxPositions: count('max_position_embeddings'),
    tiedEmbeddings: raw.tie_word_embeddings === true,
    qkvBias: family === 'qwen2',
    qkNorm: family === 'qwen3',
    bosTokenId: tokenId('bos_token_id'),
    eosTokenId: tokenId('eos_token_id'),
    ...(eosTokenIds.length > 1 && { eosTokenIds }),
  };
  const parameters = countParameters(config);
  if (parameters > MAX_PARAMETERS) {
    fail(`it describes a model of ${parameters.toPrecision(3)} parameters; at most 2^37 are supported`);
  }
  return config;
}

/** Names of number formats in config.json. */
export type TorchDType = 'float32' | 'float16' | 'bfloat16';

/**
 * The config.json that transformers, vLLM and `parseModelConfig` read back.
 * @param dtype what the weights beside it are stored as
 */
export function formatModelConfig(config: ModelConfig, dtype: TorchDType = 'float32'): Record<string, unknown> {
  const { ropeScaling } = config;
  const architecture = Object.entries(ARCHITECTURES).find(([, family]) => family === config.family)![0];
  return {
    architectures: [architecture],
    attention_bias: config.qkvBias,
    attention_dropout: 0,
    bos_token_id: config.bosTokenId ?? null,
    eos_token_id: config.eosTokenIds ?? config.eosTokenId ?? null,
    head_dim: config.headDim,
    hidden_act: 'silu',
    hidden_size: config.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositions,
    model_type: config.family,
    num_attention_heads: config.heads,
    num_hidden_layers: config.layers,
    num_key_value_heads: config.kvHeads,
    rms_norm_eps: config.rmsNormEps,
    rope_scaling: ropeScaling
      ? {
          rope_type: 'llama3',
          factor: ropeScaling.factor,
          low_freq_factor: ropeScaling.lowFreqFactor,
          high_freq_factor: ropeScaling.highFreqFactor,
          original_max_position_embeddings: ropeScaling.originalMaxPositions,
        }
      : null,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tiedEmbeddings,
    torch_dtype: dtype,
    use_cache: true,
    vocab_size: config.vocabSize,
  };
}

/** Trainable parameters. */
export function countParameters(config: ModelConfig): number {
  const { hiddenSize: d, intermediateSize: f, headDim, heads, kvHeads, layers, vocabSize } = config;
  const qkv = (heads + 2 * kvHeads) * headDim;
  const layer =
    2 * d + qkv * d + heads * headDim * d + 3 * f * d + (config.qkvBias ? qkv : 0) + (config.qkNorm ? 2 * headDim : 0);
  return vocabSize * d * (config.tiedEmbeddings ? 1 : 2) + layers * layer + d;
}
