/** @file Checkpoint folders that are not what they claim: refused whole, before a device is asked for anything. */
import { expect, it } from 'vitest';
import {
  CheckpointError,
  countParameters,
  encodeJson,
  formatModelConfig,
  formatSafetensors,
  loadCheckpoint,
  openCheckpoint,
} from '../../src/model';
import type { FileSource, ModelConfig } from '../../src/model';
import { TINY } from '../checks/generation';

const CONFIG: ModelConfig = {
  ...TINY,
  layers: 1,
  hiddenSize: 8,
  heads: 2,
  kvHeads: 1,
  headDim: 4,
  intermediateSize: 6,
};

/** Names and shapes as Hugging Face has them, written out by hand. */
const SHAPES: Record<string, number[]> = {
  'model.embed_tokens.weight': [56, 8],
  'model.layers.0.input_layernorm.weight': [8],
  'model.layers.0.self_attn.q_proj.weight': [8, 8],
  'model.layers.0.self_attn.k_proj.weight': [4, 8],
  'model.layers.0.self_attn.v_proj.weight': [4, 8],
  'model.layers.0.self_attn.q_norm.weight': [4],
  'model.layers.0.self_attn.k_norm.weight': [4],
  'model.layers.0.self_attn.o_proj.weight': [8, 8],
  'model.layers.0.post_attention_layernorm.weight': [8],
  'model.layers.0.mlp.gate_proj.weight': [6, 8],
  'model.layers.0.mlp.up_proj.weight': [6, 8],
  'model.layers.0.mlp.down_proj.weight': [8, 6],
  'model.norm.weight': [8],
};

/** A safetensors file of ones with these tensors; one of them may be said to have another type of the same size. */
function file(names: string[], retyped?: { name: string; dtype: string }): Uint8Array {
  const tensors = new Map(
    names.map((name) => {
      const shape = SHAPES[name] ?? [2];
      return [name, { shape, values: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1) }];
    }),
  );
  const bytes = formatSafetensors(tensors);
  if (!retyped) return bytes;
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  const header = JSON.parse(text) as Record<string, { dtype: string }>;
  header[retyped.name]!.dtype = retyped.dtype;
  bytes.set(new TextEncoder().encode(JSON.stringify(header).padEnd(length)), 8);
  return bytes;
}

const NAMES = Object.keys(SHAPES);
const INDEX = 'model.safetensors.index.json';
const config = (more: Partial<ModelConfig> = {}) => encodeJson(formatModelConfig({ ...CONFIG, ...more }));

function folder(files: Record<string, Uint8Array>): FileSource {
  return { name: 'm', read: (name) => Promise.resolve(files[name]) };
}

/** Two shards with their index; `spoil` adds tensors to files or takes entries from the index. */
function sharded(
  spoil: { addTo1?: string[]; addTo2?: string[]; index?: (map: Record<string, string>) => unknown } = {},
) {
  const [first, second] = [NAMES.slice(0, 5), NAMES.slice(5)];
  const map = Object.fromEntries([
    ...first.map((name) => [name, '1.safetensors'] as const),
    ...second.map((name) => [name, '2.safetensors'] as const),
  ]);
  return folder({
    'config.json': config(),
    '1.safetensors': file([...first, ...(spoil.addTo1 ?? [])]),
    '2.safetensors': file([...second, ...(spoil.addTo2 ?? [])]),
    [INDEX]: encodeJson(spoil.index ? spoil.index(map) : { weight_map: map }),
  });
}

it('a folder whose tensors are those of its config loads, in one file or in shards', async () => {
  const whole = await loadCheckpoint(folder({ 'config.json': config(), 'model.safetensors': file(NAMES) }));
  expect([...whole.tensors.keys()]).toEqual(NAMES);
  const values = [...whole.tensors.values()].reduce((sum, tensor) => sum + tensor.values.length, 0);
  expect(values).toBe(countParameters(CONFIG));
  expect((await loadCheckpoint(sharded())).tensors).toEqual(whole.tensors);
});

it('is opened by its headers: no weight is read before they are found to fit the config', async () => {
  const files: Record<string, Uint8Array> = { 'config.json': config(), 'model.safetensors': file(NAMES) };
  let furthest = 0;
  const watched: FileSource = {
    ...folder(files),
    open: (name) => {
      const bytes = files[name];
      const read = (begin: number, end: number) => {
        furthest = Math.max(furthest, end);
        return Promise.resolve(new Uint8Array(bytes!.slice(begin, end)));
      };
      return Promise.resolve(bytes && { size: bytes.byteLength, read });
    },
  };
  const opened = await openCheckpoint(watched);
  expect(opened).toMatchObject({ source: 'm', storage: 'f32', bytes: 4 * countParameters(CONFIG) });
  expect(opened.dtypeOf('model.norm.weight')).toBe('F32');
  expect(() => opened.dtypeOf('lm_head.weight')).toThrow('m: tensor lm_head.weight is missing');
  expect(furthest).toBe(files['model.safetensors']!.byteLength - opened.bytes);
  expect((await opened.read()).size).toBe(NAMES.length);
});

it('what old checkpoints hold beside the weights is left out: computed buffers, and a tied head', async () => {
  const more = ['model.layers.0.self_attn.rotary_emb.inv_freq', 'lm_head.weight'];
  const source = folder({ 'config.json': config(), 'model.safetensors': file([...NAMES, ...more]) });
  expect([...(await loadCheckpoint(source)).tensors.keys()]).toEqual(NAMES);
});

const without = (name: string) => (map: Record<string, string>) => {
  delete map[name];
  return { weight_map: map };
};

it.each<[string, FileSource, string]>([
  [
    'a shard holds a tensor that the index does not list',
    sharded({ addTo2: ['model.layers.0.mlp.gate_proj.scale'] }),
    `m/2.safetensors: tensor model.layers.0.mlp.gate_proj.scale is extra: ${INDEX} does not list it for this file`,
  ],
  [
    'a tensor of the model is in a shard but not in the index',
    sharded({ index: without('model.norm.weight') }),
    `m/2.safetensors: tensor model.norm.weight is extra: ${INDEX} does not list it for this file`,
  ],
  [
    'a tensor is in two shards',
    sharded({ addTo1: ['model.norm.weight'] }),
    'm/1.safetensors: tensor model.norm.weight is extra',
  ],
  [
    'the index lists a tensor that its shard does not hold',
    sharded({ index: (map) => ({ weight_map: { ...map, 'model.extra.weight': '1.safetensors' } }) }),
    'm/1.safetensors: tensor model.extra.weight is missing',
  ],
  ['the index is null', sharded({ index: () => null }), `m/${INDEX}: weight_map is missing`],
  [
    'a weight is an integer',
    folder({
      'config.json': config(),
      'model.safetensors': file(NAMES, { name: 'model.norm.weight', dtype: 'I32' }),
    }),
    'm/model.safetensors: tensor model.norm.weight has type I32; weights must be F32, F16, BF16',
  ],
  ...['U32', 'I64', 'U8'].map((dtype): [string, FileSource, string] => [
    `a weight is ${dtype}`,
    folder({ 'config.json': config(), 'model.safetensors': file(NAMES, { name: 'model.norm.weight', dtype }) }),
    `m/model.safetensors: tensor model.norm.weight has type "${dtype}"`,
  ]),
  [
    'the config claims more layers than there are tensors',
    folder({ 'config.json': config({ layers: 1000 }), 'model.safetensors': file(NAMES) }),
    'm: tensor model.layers.1.input_layernorm.weight [8] is missing',
  ],
  [
    'the config claims a larger vocabulary',
    folder({ 'config.json': config({ vocabSize: 2 ** 30 }), 'model.safetensors': file(NAMES) }),
    'm: tensor model.embed_tokens.weight has shape [56, 8], the config wants [1073741824, 8]',
  ],
  [
    'there is a tensor too many',
    folder({ 'config.json': config(), 'model.safetensors': file([...NAMES, 'model.layers.1.mlp.up_proj.weight']) }),
    'm: tensor model.layers.1.mlp.up_proj.weight does not belong to this qwen3 model',
  ],
])('refused: %s', async (_, source, message) => {
  await expect(loadCheckpoint(source)).rejects.toThrow(CheckpointError);
  await expect(loadCheckpoint(source)).rejects.toThrow(message);
});
