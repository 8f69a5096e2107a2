/** @file Whole runs: what happens when rewards fail, when nothing differs, when the device goes, and that seeds decide. */
import { expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import { Rubric, SingleTurnEnv, generated } from '../../src/envs';
import type { RewardFunction } from '../../src/envs';
import { DeviceLostError } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { NoStarterError, NonFiniteUpdateError, Run, grpoStep, resolveConfig } from '../../src/rl';
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
  const options: RunOptions = { onSnapshot: (latest) => (snapshot = latest) };
  const losing = (async () => {
    for await (const event of run.events(options))
      if (event.event === 'step' && event.step === 3) doomed.device.destroy();
  })();
  await expect(losing).rejects.toThrow(DeviceLostError);
  expect(snapshot!.step).toBe(2);

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
