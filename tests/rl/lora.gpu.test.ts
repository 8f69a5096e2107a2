/** @file Runs that train an adapter: that they learn, that seeds decide, that they can be taken up again, what they hold and what they write. */
import { beforeAll, describe, expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import { starterFolder } from '../../cli/files';
import { MODEL_SOURCES } from '../../cli/hub';
import type { Completion } from '../../src/envs';
import { Submission } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import {
  AdapterSwitch,
  CharTokenizer,
  Generator,
  LORA_TARGETS,
  NativeModel,
  TrainProgram,
  Weights,
  fingerprint,
  initialAdapter,
  initialValues,
  loadAdapter,
  loadCheckpoint,
  packSequences,
  tinyText,
} from '../../src/model';
import type { ChatFormat, FileSource, LoraConfig, ModelConfig, TrainingSequence } from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import {
  MemoryStorage,
  Policy,
  Run,
  RunStore,
  UnfitConfigError,
  listAdapters,
  lossSettings,
  modelFolderOf,
  openModel,
  planMemory,
  resolveConfig,
} from '../../src/rl';
import type {
  ConfigLayer,
  ModelSources,
  Objective,
  PolicyOptions,
  RunAdapter,
  RunEvent,
  RunOptions,
  RunSnapshot,
} from '../../src/rl';
import { TINY } from '../checks/generation';
import { relativeError } from '../checks/report';
import { testGpu } from '../gpu';

const ENV = 'reverse-text';

const config = (...layers: ConfigLayer[]) =>
  resolveConfig(
    {
      env: ENV,
      method: 'lora',
      lora: { rank: 8, alpha: 16 },
      grpo: { steps: 3, batch_size: 32, group_size: 8, lr: 2e-3, warmup_steps: 0 },
      eval: { examples: 30, interval: 0 },
      memory: { slots: 64 },
    },
    ...layers,
  );

const filesOf = (files: ReadonlyMap<string, Uint8Array>, name: string): FileSource => ({
  name,
  read: (file) => Promise.resolve(files.get(file)),
});

async function start(layers: ConfigLayer[] = [], sources: ModelSources = MODEL_SOURCES): Promise<Run> {
  return Run.create(await testGpu(), config(...layers), sources);
}

async function finish(run: Run, options?: RunOptions): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of run.events(options)) events.push(event);
  return events;
}

const hashOf = (events: RunEvent[]) => events.flatMap((e) => (e.event === 'done' ? [e.weights_sha256] : []))[0]!;
const stepsOf = (events: RunEvent[]) => events.filter((e) => e.event === 'step');

it('learns: the reward rises, and the weights below the adapter stay as they were', async () => {
  const run = await start([{ grpo: { steps: 10, batch_size: 128 }, memory: { slots: 256 }, eval: { examples: 100 } }]);
  const base = await run.policy.weights.readFlat();
  const events = await finish(run);
  const rewards = stepsOf(events).map(({ reward }) => reward.mean);
  expect((rewards.at(-1)! + rewards.at(-2)!) / 2).toBeGreaterThan(rewards[0]! + 0.25);
  const done = events.find((e) => e.event === 'done')!;
  expect(done.eval_after.t1).toBeGreaterThan(done.eval_before.t1 + 0.3);
  expect(await run.policy.weights.readFlat()).toEqual(base);
  const { parameters, trained } = events.find((e) => e.event === 'start')!;
  expect({ parameters, trained }).toEqual({
    parameters: run.policy.weights.parameterCount,
    trained: run.policy.trainable.parameterCount,
  });
  expect(trained).toBeLessThan(parameters);
  run.destroy();
});

it('one seed, one result; another seed, another', async () => {
  const hashes: string[] = [];
  for (const seed of [1, 1, 2]) {
    const run = await start([{ seed }]);
    hashes.push(hashOf(await finish(run)));
    run.destroy();
  }
  expect(hashes[0]).toBe(hashes[1]);
  expect(hashes[0]).not.toBe(hashes[2]);
});

it('a KL to the start is 0 in the first step and not in the next', async () => {
  const run = await start([{ grpo: { beta: 0.1 } }]);
  const kl = stepsOf(await finish(run)).map(({ update }) => update!.referenceKl);
  expect(kl[0]).toBe(0);
  expect(kl[1]).toBeGreaterThan(1e-6);
  run.destroy();
});

it.each<[string, ConfigLayer]>([
  ['on-policy', {}],
  [
    'one step ahead, with a KL to the best',
    { grpo: { async_level: 1, beta: 0.05, reference: 'best' }, eval: { interval: 1 } },
  ],
  ['with a KL to a start that moves on', { grpo: { beta: 0.05, reference_sync_interval: 2 } }],
  [
    'with a supervised warm-up that has dropout',
    {
      sft: { always: true, steps: 4, eval_interval: 2, eval_examples: 10, target: 1, careless_steps: 2, batch_size: 8 },
      lora: { dropout: 0.2 },
    },
  ],
])('resumed from any of its snapshots, a run %s ends with the same bits', async (_, layer) => {
  const layers = [layer, { checkpoint: { interval: 1 } }];
  const snapshots: RunSnapshot[] = [];
  const whole = await start(layers);
  const events = await finish(whole, { onSnapshot: (snapshot) => void snapshots.push(snapshot) });
  const length = whole.policy.trainable.arena.length;
  whole.destroy();
  expect(snapshots.length).toBeGreaterThanOrEqual(4);
  for (const snapshot of snapshots) {
    // Nothing of the base is in it.
    expect(Object.values(snapshot.arrays).every((array) => array.length === length)).toBe(true);
    const resume = { ...snapshot, state: JSON.parse(JSON.stringify(snapshot.state)) as RunSnapshot['state'] };
    const run = await start(layers);
    expect(hashOf(await finish(run, { resume }))).toBe(hashOf(events));
    run.destroy();
  }
});

it('dropout is for supervised steps alone: it changes what they learn, and nothing that GRPO compares', async () => {
  const warm = { sft: { always: true, steps: 3, target: 1, careless_steps: 0, batch_size: 8 } };
  const of = async (...layers: ConfigLayer[]) => {
    const run = await start([{ grpo: { steps: 1 } }, ...layers]);
    const events = await finish(run);
    run.destroy();
    return events;
  };
  const losses = (events: RunEvent[]) => events.flatMap((e) => (e.event === 'sft' ? [e.update.loss] : []));
  const [plain, dropped] = [await of(warm), await of(warm, { lora: { dropout: 0.3 } })];
  // B begins at 0, so the first loss has nothing to leave out.
  expect(losses(dropped)[0]).toBe(losses(plain)[0]);
  expect(losses(dropped)[2]).not.toBe(losses(plain)[2]);
  expect(stepsOf(dropped)[0]!.update!.maxLogRatio).toBeLessThan(1e-4);
  const [without, set] = [await of(), await of({ lora: { dropout: 0.3 } })];
  const sampled = (events: RunEvent[]) =>
    stepsOf(events)[0]!.groups_detail.map(({ traces }) => traces.map(({ turns }) => turns[0]!.tokens));
  expect(sampled(set)).toEqual(sampled(without));
  const norms = [set, without].map((events) => stepsOf(events)[0]!.update!.gradNorm);
  expect(Math.abs(norms[0]! / norms[1]! - 1)).toBeLessThan(1e-4);
});

it('another base than the one that a run was started on is refused when it is taken up again', async () => {
  const snapshots: RunSnapshot[] = [];
  const run = await start([{ grpo: { steps: 1 } }]);
  await finish(run, { onSnapshot: (snapshot) => void snapshots.push(snapshot) });
  expect(snapshots[0]!.state.base).toBe(await fingerprint(run.policy.weights));
  run.destroy();
  const files = new Map<string, Uint8Array>();
  for (const file of ['config.json', 'tokenizer.json', 'model.safetensors']) {
    files.set(file, (await starterFolder(ENV)!.read(file))!.slice());
  }
  const weights = files.get('model.safetensors')!;
  weights[weights.byteLength - 2]! ^= 1; // one bit of the last tensor, one of its first elements
  const other = await start([{ grpo: { steps: 1 } }], {
    ...MODEL_SOURCES,
    starter: () => Promise.resolve(filesOf(files, 'changed')),
  });
  const resumed = finish(other, { resume: snapshots[0] });
  await expect(resumed).rejects.toThrow(UnfitConfigError);
  other.destroy();
});

describe('what a run writes', () => {
  let files: Map<string, Uint8Array<ArrayBuffer>>;
  let run: Run;
  beforeAll(async () => {
    run = await start();
    await finish(run);
    files = await run.policy.export();
    return () => run.destroy();
  });

  it("is PEFT's folder with the tokenizer, and loads bit for bit", async () => {
    expect([...files.keys()].sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const { lora, tensors } = await loadAdapter(filesOf(files, 'out'), run.policy.config);
    expect(lora).toEqual({
      rank: 8,
      alpha: 16,
      dropout: 0,
      rslora: false,
      targets: [...LORA_TARGETS],
      baseModel: 'starters/reverse-text',
    });
    const own = await run.policy.trainable.read();
    expect(new Map([...tensors].sort())).toEqual(new Map([...own].sort()));
    expect([...own.values()].every(({ values }) => values.some((value) => value !== 0))).toBe(true);
  });

  it('is the same from a snapshot, without the device', async () => {
    expect(modelFolderOf(run.policy)(await run.snapshot())).toEqual(files);
  });

  it('goes on as a run of its own, or as the start of another: the same model to begin with', async () => {
    const sources: ModelSources = {
      ...MODEL_SOURCES,
      folder: (path) => Promise.resolve(path === 'mine' ? filesOf(files, path) : filesOf(new Map(), path)),
    };
    const next = await start([{ start: 'mine', seed: 5, lora: { rank: 8, alpha: 16 }, grpo: { beta: 0.1 } }], sources);
    expect(await next.policy.trainable.readFlat()).toEqual(await run.policy.trainable.readFlat());
    const [first] = stepsOf(await finish(next));
    expect(first!.update!.referenceKl).toBe(0);
    next.destroy();
  });

  it('merged has the logits of base and adapter, and is a whole model', async () => {
    const merged = new Map<string, Uint8Array>();
    for await (const [file, bytes] of run.policy.merged()) merged.set(file, bytes);
    expect([...merged.keys()]).toEqual(['tokenizer.json', 'tokenizer_config.json', 'model.safetensors', 'config.json']);
    const { config: shape, tensors } = await loadCheckpoint(filesOf(merged, 'merged'));
    const gpu = await testGpu();
    const whole = await Weights.create(gpu, shape);
    whole.write(tensors, 'merged');
    const { weights, adapter } = run.policy;
    const [ours, theirs, plain] = [
      await logits(gpu, whole),
      await logits(gpu, weights, adapter),
      await logits(gpu, weights),
    ];
    expect(relativeError(ours, theirs)).toBeLessThan(1e-5);
    expect(relativeError(plain, theirs)).toBeGreaterThan(1e-3);
    whole.destroy();
  });

  async function logits(gpu: Gpu, weights: Weights, adapter?: Policy['adapter']): Promise<Float32Array> {
    const random = new Random(deriveKey(3));
    const packed = packSequences(
      Array.from({ length: 6 }, () => ({
        ids: Array.from({ length: 40 }, () => random.below(weights.config.vocabSize)),
        mask: Array.from({ length: 40 }, (_, i) => Number(i > 0)),
      })),
      weights.config,
    );
    const capacity = { tokens: 240, rows: 240, sequences: 6 };
    const train = await TrainProgram.create(weights, null, { ...capacity, adapter, inspect: true });
    train.load(packed);
    const submission = new Submission(gpu);
    train.forward(submission);
    const read = submission.read(train.tensors.get('logits')!, packed.rows * weights.config.vocabSize);
    submission.submit();
    const values = new Float32Array(await read);
    train.destroy();
    return values;
  }
});

describe('memory', () => {
  const tokenizer = new CharTokenizer('abc');
  const OPTIMIZER = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, maxNorm: 1 };
  const LORA: LoraConfig = { rank: 8, alpha: 8, targets: LORA_TARGETS, dropout: 0, rslora: false, baseModel: null };

  it.each<[string, ModelConfig, Partial<PolicyOptions>]>([
    ['all matrices', TINY, { lora: LORA }],
    [
      'a few, in BF16',
      { ...TINY, layers: 6 },
      { lora: { ...LORA, targets: ['q_proj', 'down_proj'] }, storage: 'bf16' },
    ],
    ['q8, activations computed again', { ...TINY, layers: 6 }, { lora: LORA, storage: 'q8', recompute: true }],
    ['with dropout, a shorter context', TINY, { lora: { ...LORA, dropout: 0.1 }, context: 40, microBatchTokens: 256 }],
  ])('%s: the plan is what is allocated, to the byte', async (_, model, more) => {
    const options: PolicyOptions = { optimizer: OPTIMIZER, microBatchTokens: 1024, ...more };
    const settings = {
      microBatchTokens: options.microBatchTokens,
      recompute: options.recompute ? 'on' : 'off',
    } as const;
    const text = tinyText(tokenizer, model);
    const gpu = await acquireNodeGpu();
    const plan = await planMemory(gpu.device.limits, settings, options.context ?? model.maxPositions, (device, cut) =>
      Policy.create(device, model, text, { ...options, ...cut }),
    );
    const policy = await Policy.create(gpu, model, text, options);
    expect(gpu.liveBytes).toBe(plan.bytes - plan.parts.readback);
    await policy.snapshot();
    policy.destroy();
    expect(gpu.liveBytes).toBe(plan.parts.readback);
    gpu.destroy();
  });

  it.each<[string, ConfigLayer]>([
    ['a reference', { grpo: { beta: 0.01 } }],
    ['rollouts sampled one step ahead', { grpo: { async_level: 1 }, memory: { slots: 7 } }],
  ])('%s has an adapter of its own and shares the weights', async (_, layer) => {
    const gpu = await acquireNodeGpu();
    const run = await Run.create(gpu, config(layer), MODEL_SOURCES);
    const { bytes, parts } = run.memory;
    expect(gpu.liveBytes).toBe(bytes - parts.readback);
    const { weights, trainable } = run.policy;
    const adapterBytes = trainable.arena.length * 4;
    expect(parts.weights).toBe(weights.arena.length * 4 + adapterBytes);
    expect(parts.gradients).toBe(adapterBytes);
    expect(parts.copies % adapterBytes).toBe(0);
    expect(parts.copies / adapterBytes).toBeLessThanOrEqual(2);
    await run.snapshot();
    expect(gpu.liveBytes).toBe(bytes);
    run.destroy();
    expect(gpu.liveBytes).toBe(parts.readback);
    gpu.destroy();
  });

  it('a base in q8 learns as well, and its numbers are those of the sampler', async () => {
    const run = await start([{ memory: { base_storage: 'q8' } }]);
    const steps = stepsOf(await finish(run));
    expect(run.policy.weights.storage).toBe('q8');
    for (const { update } of steps) expect(update!.maxLogRatio).toBeLessThan(1e-4);
    run.destroy();
  });

  it('a longest sequence of its own is what a run computes with, and no part of the model', async () => {
    const run = await start([{ seq_len: 40, grpo: { steps: 1 } }]);
    expect(run.policy.config.maxPositions).toBe(40);
    expect(run.policy.modelConfig.maxPositions).toBe(64);
    await finish(run);
    const long = await start([{ grpo: { steps: 1 } }]);
    expect(run.memory.bytes).toBeLessThan(long.memory.bytes);
    const whole = await Run.create(await testGpu(), resolveConfig({ env: ENV, seq_len: 40 }), MODEL_SOURCES);
    const written = (await whole.policy.export()).get('config.json');
    expect(JSON.parse(new TextDecoder().decode(written))).toMatchObject({ max_position_embeddings: 64 });
    for (const each of [run, long, whole]) each.destroy();
  });
});

it('adapters that runs over one base have kept are listed, and put on it one after the other', async () => {
  const gpu = await testGpu();
  const shelf = new Map<string, MemoryStorage>();
  const ask = (generator: Generator, chat: ChatFormat) =>
    new NativeModel('any', chat, generator).complete({
      messages: [{ role: 'user', content: 'abcdef' }],
      sampling: { temperature: 1, maxTokens: 12 },
      key: [1, 2],
    });
  const replies = new Map<string, Completion['tokens']>();
  for (const [name, layer] of [
    ['one', { seed: 1 }],
    ['two', { seed: 2, lora: { rank: 4, target_modules: ['q_proj', 'v_proj'] } }],
  ] as const) {
    const storage = new MemoryStorage(name);
    const store = await RunStore.create(storage, config(layer));
    const run = await Run.create(gpu, config(layer), MODEL_SOURCES);
    const modelAt = modelFolderOf(run.policy);
    const onSnapshot = (snapshot: RunSnapshot) => store.checkpoint(snapshot, modelAt(snapshot));
    for await (const event of run.events({ onSnapshot })) await store.record(event);
    await store.finish(await run.policy.export());
    replies.set(name, (await ask(run.policy.generator, run.policy.text.chat)).tokens);
    run.destroy();
    shelf.set(name, storage);
  }
  const adapters: RunAdapter[] = [];
  for (const [name, storage] of shelf) adapters.push(...(await listAdapters(storage, name)));
  expect(adapters.map(({ run, step, kept, lora }) => [run, step, kept, lora.rank])).toEqual([
    ['one', 3, 'end', 8],
    ['one', 3, 'checkpoint', 8],
    ['one', 0, 'checkpoint', 8],
    ['two', 3, 'end', 4],
    ['two', 3, 'checkpoint', 4],
    ['two', 0, 'checkpoint', 4],
  ]);
  expect(new Set(adapters.map(({ lora }) => lora.baseModel))).toEqual(new Set(['starters/reverse-text']));

  const { config: shape, text, checkpoint } = await openModel(starterFolder(ENV)!);
  const weights = await Weights.create(gpu, shape);
  await checkpoint.writeTo(weights);
  const generator = await Generator.create(weights, { slots: 4 });
  const adapterSwitch = new AdapterSwitch(generator);
  const said = async () => ({ ...(await ask(generator, text.chat)).tokens, cacheId: 0 });
  const plain = await said();
  for (const { run, step, folder } of [...adapters, ...adapters.toReversed()]) {
    await adapterSwitch.use(await loadAdapter(folder, shape));
    const expected = step === 0 ? plain : replies.get(run);
    expect(await said(), `${run} ${step}`).toEqual({ ...expected, cacheId: 0 });
  }
  for (const part of [generator, adapterSwitch, weights]) part.destroy();
});

it('one update in one micro-batch and in four is the same to 1e-5', async () => {
  const gpu = await testGpu();
  const text = tinyText(new CharTokenizer('abc'), TINY);
  const lora: LoraConfig = {
    rank: 4,
    alpha: 8,
    targets: ['q_proj', 'up_proj', 'down_proj'],
    dropout: 0.2,
    rslora: true,
    baseModel: null,
  };
  const random = new Random(deriveKey(4));
  const sequences: TrainingSequence[] = Array.from({ length: 16 }, () => {
    const length = 20 + random.below(70);
    return {
      ids: Array.from({ length }, () => random.below(TINY.vocabSize)),
      mask: Array.from({ length }, (_, i) => Number(i > 5)),
    };
  });
  const objective: Objective = {
    loss: 'sft',
    settings: lossSettings('sft'),
    temperature: 1,
    sequences: 16,
    maxCompletionLength: 1,
    dropout: { rate: 0.2, key: [5, 6] },
  };
  const updated = async (microBatchTokens: number) => {
    const optimizer = { beta1: 0.9, beta2: 0.95, epsilon: 1e-3, weightDecay: 0, maxNorm: 0 };
    const policy = await Policy.create(gpu, TINY, text, { optimizer, microBatchTokens, lora });
    policy.setWeights(initialValues(policy.weights, 1), 'test');
    policy.setAdapter(initialAdapter(TINY, lora, 1), 'test');
    for (let i = 0; i < 2; i++) await policy.update(sequences, objective, 1e-2);
    const flat = await policy.trainable.readFlat();
    policy.destroy();
    return flat;
  };
  expect(relativeError(await updated(300), await updated(4096))).toBeLessThan(1e-5);
});

it('a policy with an adapter frees everything it reserved, and one without refuses an adapter', async () => {
  const gpu = await testGpu();
  const before = gpu.liveBytes;
  const run = await start([{ grpo: { async_level: 1, beta: 0.1 } }]);
  expect(gpu.liveBytes).toBeGreaterThan(before);
  run.destroy();
  run.destroy();
  expect(gpu.liveBytes).toBe(before);
  const full = await Run.create(gpu, resolveConfig({ env: ENV }), MODEL_SOURCES);
  expect(() => full.policy.setAdapter(new Map(), 'x')).toThrow('this policy has no adapter');
  full.destroy();
});
