/** @file Whole runs: what happens when rewards fail, when nothing differs, when the device goes, and that seeds decide. */
import { expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import { MultiTurnEnv, Rubric, SingleTurnEnv, generated, tokenSamples } from '../../src/envs';
import type { Message, RewardFunction, State } from '../../src/envs';
import { DeviceLostError } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import {
  NoStarterError,
  NonFiniteUpdateError,
  Run,
  UnfitConfigError,
  grpoStep,
  lossSettings,
  resolveConfig,
} from '../../src/rl';
import type { ConfigLayer, RunEvent, RunOptions, RunSnapshot, TrainConfig } from '../../src/rl';
import { testGpu } from '../gpu';

const SMALL: ConfigLayer = {
  env: 'even-digits',
  grpo: { steps: 4, batch_size: 16, group_size: 8 },
  eval: { examples: 20, interval: 2 },
};

function config(...layers: ConfigLayer[]): TrainConfig {
  return resolveConfig(SMALL, ...layers);
}

async function start(gpu: Gpu, settings: TrainConfig, reward?: RewardFunction): Promise<Run> {
  const env = reward
    ? new SingleTurnEnv({
        name: 'mine',
        dataset: generated(() => ({ question: '' })),
        rubric: new Rubric({ reward }),
        sampling: { maxTokens: 6 },
      })
    : undefined;
  return Run.create(gpu, settings, undefined, env);
}

async function finish(run: Run, options?: RunOptions): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of run.events(options)) events.push(event);
  return events;
}

const hashOf = (events: RunEvent[]) => events.flatMap((e) => (e.event === 'done' ? [e.weights_sha256] : []))[0];

it('tells its story in events, in order', async () => {
  const run = await start(await testGpu(), config());
  const events = await finish(run);
  run.destroy();
  expect(events.map((e) => (e.event === 'eval' ? `eval ${e.when} ${e.step}` : e.event))).toEqual([
    'start',
    'eval before 0',
    'step',
    'step',
    'eval during 2',
    'step',
    'step',
    'eval after 4',
    'done',
  ]);
  const step = events.find((e) => e.event === 'step')!;
  expect(step).toMatchObject({ step: 1, rollouts: 16, groups: 2, errors: 0 });
  expect(step.groups_detail).toHaveLength(2);
  expect(step.update!.maxLogRatio).toBeLessThan(1e-4);
});

it('one seed, one result; another seed, another', async () => {
  const hashes: (string | undefined)[] = [];
  for (const seed of [1, 1, 2]) {
    const run = await start(await testGpu(), config({ seed }));
    hashes.push(hashOf(await finish(run)));
    run.destroy();
  }
  expect(hashes[0]).toBe(hashes[1]);
  expect(hashes[0]).not.toBe(hashes[2]);
});

it('the device is lost mid-run: one clear error, and from the last snapshot on another device the same end', async () => {
  const settings = config();
  const whole = await start(await testGpu(), settings);
  const expected = hashOf(await finish(whole));
  whole.destroy();

  const doomed = await acquireNodeGpu();
  const run = await start(doomed, settings);
  let snapshot: RunSnapshot | undefined;
  const options: RunOptions = { onSnapshot: (latest) => void (snapshot = latest) };
  const losing = (async () => {
    for await (const event of run.events(options))
      if (event.event === 'step' && event.step === 3) doomed.device.destroy();
  })();
  await expect(losing).rejects.toThrow(DeviceLostError);
  expect(snapshot!.step).toBe(2);

  // From the very last snapshot nothing is left to do, and the eval after it is still known.
  const whole2 = await start(await testGpu(), settings);
  let final: RunSnapshot | undefined;
  const ended = await finish(whole2, { onSnapshot: (latest) => void (final = latest) });
  whole2.destroy();
  const over = await start(await testGpu(), settings);
  const [done] = (await finish(over, { resume: final })).filter((e) => e.event === 'done');
  over.destroy();
  expect(done!.eval_after).toEqual(ended.flatMap((e) => (e.event === 'done' ? [e.eval_after] : []))[0]);

  const resumed = await start(await testGpu(), settings);
  const events = await finish(resumed, { resume: snapshot });
  resumed.destroy();
  expect(hashOf(events)).toBe(expected);
  expect(events.filter((e) => e.event === 'step').map((e) => e.step)).toEqual([3, 4]);
});

it('a reward that throws marks its rollouts, and the run learns from the others', async () => {
  const run = await start(await testGpu(), config(), ({ state, response }) => {
    if (state.rollout === 3) throw new Error('the judge is asleep');
    return response.length / 6;
  });
  const [first] = (await finish(run)).filter((e) => e.event === 'step');
  expect(first!.errors).toBe(2);
  expect(first!.update).not.toBeNull();
  const failed = first!.groups_detail.flatMap(({ traces }) => traces.filter((trace) => trace.rollout === 3));
  for (const trace of failed) {
    expect(trace).toMatchObject({
      reward: null,
      advantage: null,
      error: { source: 'reward', message: 'the judge is asleep' },
    });
  }
  // What was trained on is what the scored rollouts of groups with a signal sampled.
  const learned = first!.groups_detail
    .filter(({ traces }) => new Set(traces.filter((t) => t.reward !== null).map((t) => t.reward)).size > 1)
    .flatMap(({ traces }) => traces.filter((trace) => trace.reward !== null));
  const tokens = learned.reduce((sum, trace) => sum + trace.turns[0]!.tokens!.completionIds.length, 0);
  expect(first!.update!.lossTokens).toBe(tokens);
  run.destroy();
});

it('a reward that is not a number never reaches the weights', async () => {
  const run = await start(await testGpu(), config(), () => NaN);
  const before = await run.policy.snapshot();
  const events = await finish(run);
  const steps = events.filter((e) => e.event === 'step');
  expect(steps.map((step) => [step.errors, step.update])).toEqual(steps.map(() => [16, null]));
  expect(await run.policy.snapshot()).toEqual(before);
  run.destroy();
});

it('a step without any signal leaves weights, moments and step count as they are', async () => {
  const run = await start(await testGpu(), config(), () => 0.5);
  const before = await run.policy.snapshot();
  const { report } = await grpoStep(run.policy, run.env, { step: 1, config: run.config });
  expect(report).toMatchObject({ groupsWithSignal: 0, update: null, reward: { mean: 0.5, std: 0 } });
  expect(await run.policy.snapshot()).toEqual(before);
  run.destroy();
});

it('an update that is not finite stops the run at the last good state and says so', async () => {
  const settings = config({ grpo: { loss: 'cispo', epsilon_high: 1e38 } });
  const run = await start(await testGpu(), settings, ({ response }) => (response.length > 3 ? 1e38 : -1e38));
  const hash = await run.policy.hash();
  await expect(grpoStep(run.policy, run.env, { step: 1, config: settings })).rejects.toThrow(NonFiniteUpdateError);
  await expect(grpoStep(run.policy, run.env, { step: 1, config: settings })).rejects.toThrow(
    'step 1: the gradient is not finite; the weights are those of step 0',
  );
  expect(await run.policy.hash()).toBe(hash);
  run.destroy();
});

it('a cancel in the middle of sampling ends the run with the weights of the last step', async () => {
  const run = await start(await testGpu(), config());
  const controller = new AbortController();
  let started = false;
  let hash = '';
  const cancelled = (async () => {
    for await (const event of run.events({
      signal: controller.signal,
      onProgress: ({ phase }) => {
        if (phase === 'sampling' && started) controller.abort(new Error('enough'));
      },
    })) {
      if (event.event === 'step') {
        started = true;
        hash = await run.policy.hash();
      }
    }
  })();
  await expect(cancelled).rejects.toThrow('enough');
  expect(await run.policy.hash()).toBe(hash);
  // The policy is of use still.
  expect((await run.evaluate({}, 5)).examples).toBe(5);
  run.destroy();
});

it('supervised warm-up from random weights: first the skill, then the carelessness', async () => {
  const settings = resolveConfig({
    env: 'reverse-text',
    start: 'scratch',
    sft: { steps: 4, eval_interval: 2, eval_examples: 10, careless_steps: 2, batch_size: 8 },
    grpo: { steps: 0, warmup_steps: 0 },
    eval: { examples: 10 },
  });
  const run = await Run.create(await testGpu(), settings);
  const sft = (await finish(run)).filter((e) => e.event === 'sft');
  expect(sft.map((e) => [e.phase, e.step, e.t1])).toEqual([
    ['skill', 1, null],
    ['skill', 2, 0],
    ['skill', 3, null],
    ['skill', 4, 0],
    ['careless', 1, null],
    ['careless', 2, null],
  ]);
  expect(sft[3]!.update.loss).toBeLessThan(sft[0]!.update.loss);
  run.destroy();
});

it('refuses a start that does not exist', async () => {
  const gpu = await testGpu();
  await expect(Run.create(gpu, config({ start: 'starter' }))).rejects.toThrow(NoStarterError);
  await expect(Run.create(gpu, config({ start: 'somewhere/else' }))).rejects.toThrow(
    'nobody said how to read somewhere/else',
  );
  await expect(Run.create(gpu, config({ env: 'chess' }))).rejects.toThrow('there is no environment "chess"');
  await expect(Run.create(gpu, config({ env: 'even-digits', sft: { steps: 1 } })).then(finish)).rejects.toThrow(
    'even-digits makes no demonstrations: set sft.steps to 0',
  );
});

it('a device lost while it samples is no failed rollout: no step is reported after it', async () => {
  const doomed = await acquireNodeGpu();
  const run = await start(doomed, config(), ({ response }) => {
    if (++scored === 60) doomed.device.destroy(); // in the middle of a later step
    return response.length / 6;
  });
  let scored = 0;
  const steps: RunEvent[] = [];
  const losing = (async () => {
    for await (const event of run.events()) if (event.event === 'step') steps.push(event);
  })();
  await expect(losing).rejects.toThrow(DeviceLostError);
  for (const event of steps) expect(event).toMatchObject({ errors: 0 });
});

it('a model that fails every rollout ends the run with its reason', async () => {
  const run = await start(await testGpu(), config());
  run.policy.weights.write(
    new Map(
      [...(await run.policy.weights.read())].map(([name, { shape, values }]) => [
        name,
        { shape, values: name === 'model.norm.weight' ? values.fill(3e38) : values },
      ]),
    ),
    'broken',
  );
  run.policy.generator.invalidate();
  await expect(finish(run)).rejects.toThrow(
    /the model failed all 20 rollouts: NonFiniteLogitsError: .* are not finite/,
  );
  run.destroy();
});

it.each<[string, ConfigLayer, string]>([
  [
    'a reply that cannot fit the context',
    { sampling: { max_tokens: 64 } },
    "a prompt of 3 tokens and a reply of up to 64 (sampling.max_tokens) do not fit the model's context of 32",
  ],
  [
    'a cache that cannot hold one sequence',
    { model: { layers: 9, kv_heads: 4, head_dim: 256 }, memory: { cache_mb: 1 } },
    'do not fit the 0 tokens that 1 MiB of keys and values hold (memory.cache_mb)',
  ],
  ['a context shorter than the reply', { model: { context: 8 } }, "do not fit the model's context of 8"],
])('refuses %s before anything is computed, and frees what it had reserved', async (_, layer, message) => {
  const gpu = await testGpu();
  const before = gpu.liveBytes;
  await expect(start(gpu, config(layer))).rejects.toThrow(message);
  expect(gpu.liveBytes).toBe(before);
});

it('refuses to train on tokens of a cut distribution', async () => {
  const env = new SingleTurnEnv({
    name: 'cut',
    dataset: generated(() => ({ question: '' })),
    sampling: { maxTokens: 4, topK: 5 },
  });
  await expect(Run.create(await testGpu(), config(), undefined, env)).rejects.toThrow(
    'cut samples with top-k, top-p or min-p',
  );
});

/** So many and so large updates that clips and references have something to say. */
const OFTEN = { updates_per_batch: 3, lr: 0.01 };

/** Each setting of a run, changed: the weights must come out otherwise than those of the run as it is. */
const CHANGES: [string, ConfigLayer][] = [
  ['grpo.advantage', { grpo: { advantage: 'group' } }],
  ['grpo.loss', { grpo: { loss: 'dr_grpo' } }],
  ['grpo.lr', { grpo: { lr: 1e-3 } }],
  ['grpo.warmup_steps', { grpo: { warmup_steps: 2 } }],
  ['grpo.updates_per_batch', { grpo: { updates_per_batch: 2 } }],
  ['grpo.epsilon_high', { grpo: { ...OFTEN, loss: 'dapo', epsilon_high: 0.01 } }],
  ['grpo.epsilon_low', { grpo: { ...OFTEN, loss: 'dapo', epsilon_low: 0.01 } }],
  ['grpo.delta', { grpo: { ...OFTEN, loss: 'dapo', delta: 1.001 } }],
  ['grpo.mask_low', { grpo: { ...OFTEN, mask_low: 0.001 } }],
  ['grpo.mask_high', { grpo: { ...OFTEN, mask_high: 0.001 } }],
  ['grpo.kl_tau', { grpo: { ...OFTEN, kl_tau: 1 } }],
  ['grpo.beta', { grpo: { ...OFTEN, beta: 0.5 } }],
  ['grpo.reference_sync_interval', { grpo: { ...OFTEN, beta: 0.5, reference_sync_interval: 1 } }],
  ['grpo.schedule', { grpo: { schedule: 'linear' } }],
  ['grpo.decay_steps', { grpo: { schedule: 'linear', decay_steps: 1 } }],
  ['grpo.min_lr_ratio', { grpo: { schedule: 'linear', min_lr_ratio: 0.5 } }],
  ['grpo.async_level', { grpo: { async_level: 1 } }],
  ['length_penalty.output_tokens', { length_penalty: { output_tokens: 0.5 } }],
  ['length_penalty.input_tokens', { length_penalty: { input_tokens: 0.5, output_tokens: 0.2 } }],
  ['grpo.mask_truncated', { grpo: { mask_truncated: true } }],
  ['grpo.entropy_coefficient', { grpo: { entropy_coefficient: 0.1 } }],
  ['sampling.temperature', { sampling: { temperature: 0.7 } }],
  ['sampling.max_tokens', { sampling: { max_tokens: 5 } }],
  ['optimizer.beta1', { optimizer: { beta1: 0.5 } }],
  ['optimizer.beta2', { optimizer: { beta2: 0.5 } }],
  ['optimizer.epsilon', { optimizer: { epsilon: 1e-2 } }],
  ['optimizer.weight_decay', { optimizer: { weight_decay: 0.1 } }],
  ['optimizer.max_norm', { optimizer: { max_norm: 1e-3, epsilon: 1e-2 } }],
];

it('every setting reaches the trainer', async () => {
  const gpu = await testGpu();
  const hash = async (...layers: ConfigLayer[]) => {
    const settings = config({ grpo: { steps: 2, warmup_steps: 0 }, eval: { examples: 1, interval: 0 } }, ...layers);
    const run = await start(gpu, settings);
    const result = hashOf(await finish(run));
    run.destroy();
    return result!;
  };
  const hashes = new Map([['none', await hash()]]);
  hashes.set('three updates', await hash({ grpo: OFTEN }));
  hashes.set('dapo, three updates', await hash({ grpo: { ...OFTEN, loss: 'dapo' } }));
  for (const [name, layer] of CHANGES) hashes.set(name, await hash(layer));
  const seen = new Map<string, string>();
  for (const [name, value] of hashes) {
    expect(seen.get(value), `${name} changes nothing beside ${seen.get(value)}`).toBeUndefined();
    seen.set(value, name);
  }
});

it('micro-batches: as many submissions as the settings ask for', async () => {
  const gpu = await testGpu();
  const run = await start(gpu, config({ optimizer: { micro_batch_tokens: 64 } }));
  const before = { ...gpu.stats };
  const tokens = Array.from({ length: 16 }, (_, i) => ({
    ids: [1, 4, 5, 7 + (i % 5), 8, 9],
    mask: [0, 0, 0, 1, 1, 1],
  }));
  const objective = { loss: 'sft' as const, settings: lossSettings('sft'), temperature: 1, sequences: 16 };
  await run.policy.update(tokens, { ...objective, maxCompletionLength: 1 }, 1e-3);
  // 16 sequences of 6 tokens at 64 tokens a pass: ten and six.
  expect(gpu.stats.submits - before.submits).toBe(2);
  run.destroy();
});

it('an update that is not finite in the warm-up ends it', async () => {
  const run = await start(await testGpu(), config({ env: 'reverse-text', start: 'scratch', sft: { steps: 5, lr: 1 } }));
  const weights = await run.policy.weights.read();
  weights.get('model.embed_tokens.weight')!.values.fill(1e30);
  run.policy.weights.write(weights, 'broken');
  await expect(finish(run)).rejects.toThrow(NonFiniteUpdateError);
  run.destroy();
});

it('the warm-up ends as soon as its target is reached', async () => {
  const settings = config(
    { env: 'reverse-text', start: 'scratch' },
    {
      sft: { steps: 20, target: 0, eval_interval: 2, eval_examples: 4, careless_steps: 1 },
      grpo: { steps: 0, warmup_steps: 0 },
    },
  );
  const run = await start(await testGpu(), settings);
  const events = await finish(run);
  run.destroy();
  expect(events.filter((e) => e.event === 'sft').map((e) => `${e.phase} ${e.step}`)).toEqual([
    'skill 1',
    'skill 2',
    'careless 1',
  ]);
});

/** Two turns of letters, then two more: a conversation of the length that a small context holds. */
class Echo extends MultiTurnEnv {
  constructor() {
    super({
      name: 'echo',
      dataset: generated((index) => ({ question: 'abcdefgh'[index % 8]! })),
      rubric: new Rubric({
        letters: ({ completion }) => completion.filter(({ content }) => /^[a-d]/.test(content)).length / 3,
      }),
      sampling: { maxTokens: 4 },
      maxTurns: 3,
    });
  }

  protected override envResponse({ turns }: State): Message[] {
    return [{ role: 'tool', content: 'xyz'[turns.length]! }];
  }
}

it('a conversation of several turns is one sequence of exact tokens, its prompt computed once per group', async () => {
  const gpu = await testGpu();
  const settings = config({ model: { alphabet: 'abcdefghxyz0123456789' } });
  const run = await Run.create(gpu, settings, undefined, new Echo());
  const { stats } = run.policy.generator;
  const before = { ...stats };
  const { report, groups } = await grpoStep(run.policy, run.env, { step: 1, config: settings });
  const traces = groups.flatMap((group) => group.traces);
  expect(traces).toHaveLength(16);
  for (const { turns } of traces) {
    expect(turns).toHaveLength(3);
    turns.slice(1).forEach(({ tokens }, i) => {
      const { promptIds, completionIds } = turns[i]!.tokens!;
      const earlier = [...promptIds, ...completionIds];
      expect(tokens!.promptIds.slice(0, earlier.length)).toEqual(earlier);
      // Cut off before its <eos>, the reply is ended for it; either way a tool message of one letter follows.
      expect(tokens!.promptIds.length - earlier.length).toBe(turns[i]!.finishReason === 'length' ? 4 : 3);
    });
    expect(tokenSamples({ turns, advantage: 1 })).toHaveLength(1);
  }
  expect(traces.some(({ turns }) => turns.some(({ finishReason }) => finishReason === 'length'))).toBe(true);
  expect(stats.prefixHits - before.prefixHits).toBe(32);
  // First turns: one prompt per group. Later turns: what is new, and the last token sampled, which had not been fed.
  const firstPrompts = groups.reduce((sum, group) => sum + group.traces[0]!.turns[0]!.tokens!.promptIds.length, 0);
  const later = traces.flatMap(({ turns }) =>
    turns.slice(1).map(({ tokens }, i) => {
      const { promptIds, completionIds } = turns[i]!.tokens!;
      return tokens!.promptIds.length - promptIds.length - completionIds.length + 1;
    }),
  );
  expect(stats.prefillTokens - before.prefillTokens).toBe(firstPrompts + later.reduce((a, b) => a + b, 0));
  expect(report.update!.maxLogRatio).toBeLessThan(1e-4);
  run.destroy();
});

it('memory settings change what a run takes, and no bit of its weights', async () => {
  const gpu = await testGpu();
  const of = async (...layers: ConfigLayer[]) => {
    const before = gpu.liveBytes;
    const run = await start(gpu, config({ grpo: { steps: 2, warmup_steps: 0 } }, ...layers));
    expect(gpu.liveBytes - before).toBe(run.memory.bytes - run.memory.parts.readback);
    const events = await finish(run);
    run.destroy();
    const [first] = events;
    expect(first).toMatchObject({ event: 'start', memory: run.memory });
    return { hash: hashOf(events), bytes: run.memory.bytes };
  };
  const usual = await of();
  for (const memory of [{ recompute: 'on' }, { slots: 5 }, { cache_mb: 1 }, { budget_mb: 20 }]) {
    const other = await of({ memory });
    expect(other.hash, JSON.stringify(memory)).toBe(usual.hash);
    expect(other.bytes, JSON.stringify(memory)).toBeLessThan(usual.bytes);
  }
});

it.each<[string, ConfigLayer]>([
  ['a reference', { grpo: { beta: 0.01 } }],
  ['rollouts sampled one step ahead', { grpo: { async_level: 1 }, memory: { slots: 7 } }],
  ['both', { grpo: { async_level: 1, beta: 0.01 }, memory: { recompute: 'on' } }],
])('%s: planned as they are made', async (_, layer) => {
  const gpu = await acquireNodeGpu();
  const run = await start(gpu, config(layer));
  const { bytes, parts } = run.memory;
  expect(gpu.liveBytes).toBe(bytes - parts.readback);
  expect(parts.copies % parts.weights).toBe(0);
  expect(parts.copies).toBeGreaterThan(0);
  await run.snapshot();
  expect(gpu.liveBytes).toBe(bytes);
  run.destroy();
  expect(gpu.liveBytes).toBe(parts.readback);
  gpu.destroy();
});

it('a run that does not fit the memory is refused before a single buffer is made', async () => {
  const gpu = await testGpu();
  const before = { ...gpu.stats };
  await expect(start(gpu, config({ memory: { budget_mb: 4 } }))).rejects.toThrow(UnfitConfigError);
  await expect(start(gpu, config({ memory: { budget_mb: 4 } }))).rejects.toThrow(
    '4 MiB are allowed by memory.budget_mb',
  );
  expect(gpu.stats).toEqual(before);
});
