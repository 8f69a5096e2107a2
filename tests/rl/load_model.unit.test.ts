/** @file Models and adapters found and read: what lies under an adapter, and what is said of one that is missing or does not fit. */
import { beforeAll, expect, it } from 'vitest';
import { starterFolder } from '../../cli/files';
import { MODEL_SOURCES } from '../../cli/hub';
import {
  CheckpointError,
  LORA_TARGETS,
  formatAdapter,
  formatSafetensors,
  initialAdapter,
  loadCheckpoint,
  mergeAdapter,
  mergedModel,
  parseSafetensors,
  readFloats,
} from '../../src/model';
import type { FileSource, LoraConfig, ModelConfig, TensorValues } from '../../src/model';
import { findBase, loadModel, openModel, readModels, resolveConfig, starterName } from '../../src/rl';
import type { ConfigLayer, ModelSources } from '../../src/rl';
import { openCheckpoint } from '../../src/model';

const ENV = 'reverse-text';
const LORA: LoraConfig = {
  rank: 4,
  alpha: 8,
  targets: LORA_TARGETS,
  dropout: 0.1,
  rslora: false,
  baseModel: starterName(ENV),
};

const filesOf = (files: ReadonlyMap<string, Uint8Array>, name: string): FileSource => ({
  name,
  read: (file) => Promise.resolve(files.get(file)),
});

let config: ModelConfig;
let base: TensorValues;
beforeAll(async () => ({ config, tensors: base } = await loadCheckpoint(starterFolder(ENV)!)));

const adapter = (more: Partial<LoraConfig> = {}, name = 'mine') => {
  const lora = { ...LORA, ...more };
  return filesOf(formatAdapter(lora, initialAdapter(config, lora, 1)), name);
};

/** Folders by path, and the shipped starters. */
const sourcesOf = (folders: Record<string, FileSource>): ModelSources => ({
  starter: (env) => MODEL_SOURCES.starter(env),
  folder: (path) => Promise.resolve(folders[path] ?? filesOf(new Map(), path)),
});

it('a whole model is opened as it is, an adapter with its base below it', async () => {
  const sources = sourcesOf({});
  const whole = await openModel(starterFolder(ENV)!);
  expect(whole.adapter).toBeUndefined();
  const adapted = await openModel(adapter(), { find: findBase(sources) });
  expect(adapted.config).toEqual(config);
  expect(adapted.checkpoint.source).toBe(starterFolder(ENV)!.name);
  expect(adapted.adapter).toMatchObject({ lora: { ...LORA, targets: [...LORA_TARGETS] }, source: 'mine' });
  expect(adapted.text.tokenizer.tokens).toEqual(whole.text.tokenizer.tokens);
});

it.each<[string, () => FileSource, { base?: string }, string]>([
  [
    'that is nowhere',
    () => adapter({ baseModel: 'gone' }),
    {},
    'mine: its base model gone cannot be used: gone: config.json is missing',
  ],
  [
    'that nobody names',
    () => adapter({ baseModel: null }),
    {},
    'mine: adapter_config.json has no base_model_name_or_path, and nobody said what the adapter belongs to',
  ],
  [
    'that is an adapter itself',
    () => adapter({ baseModel: 'other' }),
    {},
    'mine: its base model other cannot be used: theirs is an adapter itself',
  ],
  [
    'of other shapes',
    () => adapter({ baseModel: starterName('kuhn-poker') }),
    {},
    'mine/adapter_model.safetensors: tensor base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight has shape',
  ],
  [
    'that another was named for',
    () => adapter({ baseModel: starterName(ENV) }),
    { base: 'gone' },
    'mine: its base model gone cannot be used',
  ],
])('a base %s is one clear error', async (_, folder, { base: named }, message) => {
  const sources = sourcesOf({ other: adapter({}, 'theirs') });
  const opened = openModel(folder(), { find: findBase(sources), base: named });
  await expect(opened).rejects.toThrow(CheckpointError);
  await expect(opened).rejects.toThrow(message);
});

it('an adapter loaded as a whole model says that it is none', async () => {
  await expect(loadModel(adapter())).rejects.toThrow('nobody said where to look for starters/reverse-text');
});

const settings = (layer: ConfigLayer) => resolveConfig({ env: ENV, ...layer });

it('a run with LoRA has a new adapter over its start, which is named as the base', async () => {
  const models = await readModels(
    settings({ method: 'lora', lora: { rank: 2, dropout: 0.1, target_modules: ['v_proj', 'q_proj'] } }),
    sourcesOf({}),
  );
  expect(models.lora).toEqual({
    rank: 2,
    alpha: 32,
    dropout: 0.1,
    rslora: false,
    targets: ['q_proj', 'v_proj'],
    baseModel: 'starters/reverse-text',
  });
  expect((await readModels(settings({}), sourcesOf({}))).lora).toBeUndefined();
});

it('a run from an adapter goes on with its rank, alpha and targets, and has its own dropout', async () => {
  const sources = sourcesOf({ there: adapter({ rslora: true, targets: ['k_proj'] }), copy: starterFolder(ENV)! });
  const from = (layer: ConfigLayer) => readModels(settings({ start: 'there', method: 'lora', ...layer }), sources);
  expect((await from({})).lora).toEqual({ ...LORA, rslora: true, targets: ['k_proj'], dropout: 0 });
  expect((await from({ lora: { rank: 4, dropout: 0.2 } })).lora).toMatchObject({ rank: 4, dropout: 0.2 });
  expect((await from({ base: 'copy' })).lora).toMatchObject({ baseModel: 'copy' });
  await expect(from({ lora: { rank: 8 } })).rejects.toThrow(
    'lora.rank 8: the adapter in mine has 4; leave lora.rank out',
  );
  await expect(from({ lora: { target_modules: ['q_proj'] } })).rejects.toThrow(
    'lora.target_modules ["q_proj"]: the adapter in mine has ["k_proj"]',
  );
  await expect(from({ method: 'full' })).rejects.toThrow('start mine is an adapter, and method is "full"');
});

it.each<[ConfigLayer, string]>([
  [{ start: 'whole', base: 'x' }, 'base x: '],
  [{ seq_len: 65 }, "seq_len 65: the model's own context is 64"],
  [{ grpo: { beta: 0.1, reference: 'adapted' } }, 'grpo.reference mine is an adapter; a teacher must be a whole model'],
])('settings %j do not fit and say so', async (layer, message) => {
  const sources = sourcesOf({ whole: starterFolder(ENV)!, adapted: adapter() });
  await expect(readModels(settings(layer), sources)).rejects.toThrow(message);
});

it('a sequence of a run is as long as the model takes, 2048 at most, unless seq_len says less', async () => {
  expect((await readModels(settings({}), sourcesOf({}))).context).toBe(config.maxPositions);
  expect((await readModels(settings({ seq_len: 48 }), sourcesOf({}))).context).toBe(48);
  const long = new Map<string, Uint8Array>();
  for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors']) {
    long.set(file, (await starterFolder(ENV)!.read(file))!);
  }
  const json = JSON.parse(new TextDecoder().decode(long.get('config.json'))) as object;
  long.set('config.json', new TextEncoder().encode(JSON.stringify({ ...json, max_position_embeddings: 40_960 })));
  const models = await readModels(settings({ start: 'long' }), sourcesOf({ long: filesOf(long, 'long') }));
  expect(models).toMatchObject({ context: 2048, config: { maxPositions: 40_960 } });
});

it('a merged model is a checkpoint, whole or in shards with an index, of the same values', async () => {
  const lora = { ...LORA, rank: 2 };
  const tensors = initialAdapter(config, lora, 1);
  for (const each of tensors.values()) each.values.forEach((_, i) => (each.values[i] = Math.sin(i)));
  const checkpoint = await openCheckpoint(starterFolder(ENV)!);
  const expected = mergeAdapter(config, base, { lora, tensors });
  for (const shardBytes of [undefined, 40_000]) {
    const files = new Map<string, Uint8Array<ArrayBuffer>>();
    const read = (name: string) => checkpoint.readTensor(name);
    for await (const [file, bytes] of mergedModel(config, read, { lora, tensors }, shardBytes)) files.set(file, bytes);
    expect([...files.keys()].at(-1)).toBe('config.json');
    expect(files.has('model.safetensors')).toBe(shardBytes === undefined);
    expect(files.size > 5).toBe(shardBytes !== undefined);
    const merged = await loadCheckpoint(filesOf(files, 'merged'));
    expect(merged.config).toEqual(config);
    expect(new Map([...merged.tensors].sort())).toEqual(new Map([...expected].sort()));
    for (const [name, bytes] of files) {
      if (!name.endsWith('.safetensors') || shardBytes === undefined) continue;
      const shard = parseSafetensors(bytes, name);
      const size = [...shard.entries.keys()].reduce((sum, key) => sum + readFloats(shard, key).byteLength, 0);
      expect(size <= shardBytes || shard.entries.size === 1).toBe(true);
    }
  }
  expect(formatSafetensors(base)).not.toEqual(formatSafetensors(expected));
});
