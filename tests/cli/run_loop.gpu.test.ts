/** @file What is left of a run that does not come to its end: devices that go, rewards that break the update, an interrupt. */
import { expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import { runToEnd } from '../../cli/run_loop';
import type { Outcome, RunLoopOptions } from '../../cli/run_loop';
import { Rubric, SingleTurnEnv, generated } from '../../src/envs';
import type { RewardArgs } from '../../src/envs';
import { DeviceLostError, NoAdapterError } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { StorageFullError, hashWeights } from '../../src/model';
import {
  MemoryStorage,
  NonFiniteUpdateError,
  RunStore,
  listCheckpoints,
  loadModel,
  readMetrics,
  resolveConfig,
} from '../../src/rl';
import type { ConfigLayer, Metric } from '../../src/rl';

const SMALL: ConfigLayer = {
  env: 'even-digits',
  grpo: { steps: 4, batch_size: 16, group_size: 8 },
  eval: { examples: 20, interval: 2 },
};

/** A run whose device is destroyed whenever `destroyAt` says so. */
async function run(
  destroyAt: (metric: Metric, devices: number) => boolean,
  {
    adapters = Infinity,
    layers = [],
    ...options
  }: { adapters?: number; layers?: ConfigLayer[] } & Partial<RunLoopOptions> = {},
): Promise<Outcome & { shown: string[] }> {
  const gpus: Gpu[] = [];
  const shown: string[] = [];
  const outcome = await runToEnd({
    config: resolveConfig(SMALL, ...layers),
    acquire: async () => {
      if (gpus.length === adapters) throw new NoAdapterError('there is no other GPU');
      gpus.push(await acquireNodeGpu());
      return gpus.at(-1)!;
    },
    sources: { starter: () => Promise.resolve(undefined), folder: () => Promise.reject(new Error('no folders here')) },
    ...options,
    onMetric: (metric) => {
      shown.push(nameOf(metric));
      options.onMetric?.(metric);
      if (destroyAt(metric, gpus.length)) gpus.at(-1)!.device.destroy();
    },
  });
  return { ...outcome, shown };
}

const nameOf = (metric: Metric) => ('step' in metric ? `${metric.event} ${metric.step}` : metric.event);
const never = () => false;

/** SHA-256 of the outcome's weights, read as anybody would read the folder. */
async function hashOf({ model }: Outcome): Promise<string> {
  const read = (file: string) => Promise.resolve(model!.get(file));
  return hashWeights((await loadModel({ name: 'outcome', read })).tensors);
}

const WHOLE = ['start', 'eval 0', 'step 1', 'step 2', 'eval 2', 'step 3', 'step 4', 'eval 4', 'done'];

it('a lost device is replaced: the same end, and every step once in the metrics', async () => {
  const whole = await run(never);
  expect(whole).toMatchObject({ error: undefined, step: 4, shown: WHOLE });
  expect(whole.metrics.map(nameOf)).toEqual(WHOLE);

  const broken = await run((metric, devices) => devices === 1 && nameOf(metric) === 'step 3');
  expect(broken.error).toBeUndefined();
  expect(broken.shown).toEqual([...WHOLE.slice(0, 6), 'recovered 2', ...WHOLE.slice(5)]);
  expect(broken.metrics.map(nameOf)).toEqual([...WHOLE.slice(0, 5), 'recovered 2', ...WHOLE.slice(5)]);
  expect(await hashOf(broken)).toBe(await hashOf(whole));
});

it('a device that is lost before anything was learned starts over', async () => {
  const { error, metrics } = await run((metric, devices) => devices === 1 && metric.event === 'start');
  expect(error).toBeUndefined();
  expect(metrics.map(nameOf)).toEqual(['start', 'recovered 0', ...WHOLE.slice(1)]);
});

it('without another device, the model is that of the last snapshot and the metrics end there', async () => {
  const two = await run(never, { layers: [{ grpo: { steps: 2 } }] });
  const { error, ...rest } = await run((metric) => nameOf(metric) === 'step 3', { adapters: 1 });
  expect(error).toBeInstanceOf(DeviceLostError);
  expect(error!.message).toMatch(/^The GPU device was lost .*; no other could be had: there is no other GPU$/);
  expect(rest.step).toBe(2);
  expect(rest.metrics.map(nameOf)).toEqual(WHOLE.slice(0, 5));
  expect(await hashOf({ error, ...rest })).toBe(await hashOf(two));
});

it('gives up after the third new device', async () => {
  const { error, shown, step } = await run((metric) => nameOf(metric) === 'step 1');
  expect(error).toBeInstanceOf(DeviceLostError);
  expect(shown.filter((name) => name === 'recovered 0')).toHaveLength(3);
  expect(step).toBe(0);
});

it('an update that is not finite ends the run with the weights of the step before', async () => {
  const huge = ({ state, response }: RewardArgs) => {
    if (state.exampleId < 4) return response.length / 6; // steps 1 and 2
    return state.rollout % 2 === 0 ? 1e38 : -1e38;
  };
  const environment = new SingleTurnEnv({
    name: 'mine',
    dataset: generated(() => ({ question: '' })),
    rubric: new Rubric({ huge }),
    sampling: { maxTokens: 6 },
  });
  const loss = { loss: 'cispo', epsilon_high: 1e38 };
  const two = await run(never, { environment, layers: [{ grpo: { ...loss, steps: 2 } }] });
  const { error, ...rest } = await run(never, { environment, layers: [{ grpo: loss }] });
  expect(error).toBeInstanceOf(NonFiniteUpdateError);
  expect(rest.step).toBe(2);
  expect(rest.metrics.at(-2)).toMatchObject({ event: 'eval', step: 2 });
  expect(rest.metrics.at(-1)).toMatchObject({ event: 'diagnosis', kind: 'not-finite', step: 3 });
  expect(await hashOf({ error, ...rest })).toBe(await hashOf(two));
});

it('an interrupt keeps the weights of the last complete step', async () => {
  const controller = new AbortController();
  const reason = new Error('enough');
  const outcome = await run(never, {
    signal: controller.signal,
    onMetric: (metric) => {
      if (nameOf(metric) === 'step 1') controller.abort(reason);
    },
  });
  expect(outcome.error).toBe(reason);
  expect(outcome.step).toBe(1);
  expect(await hashOf(outcome)).toMatch(/^[0-9a-f]{64}$/);
});

it('what stands in the way of a start is thrown', async () => {
  await expect(run(never, { adapters: 0 })).rejects.toThrow(NoAdapterError);
  await expect(run(never, { layers: [{ start: 'elsewhere' }] })).rejects.toThrow('no folders here');
});

/** A device that is destroyed with its n-th submission: in the middle of whatever that belongs to. */
async function doomedGpu(submissions: number): Promise<Gpu> {
  const gpu = await acquireNodeGpu();
  const { queue } = gpu.device;
  const submit = queue.submit.bind(queue);
  let left = submissions;
  queue.submit = (buffers) => {
    submit(buffers);
    if (--left === 0) gpu.device.destroy();
  };
  return gpu;
}

it('a run that is kept loses its device in the middle of steps: the same weights, every step once on disk', async () => {
  const config = resolveConfig(SMALL, { checkpoint: { interval: 1 } });
  const expected = await hashOf(await run(never));
  for (const submissions of [9, 14, 20]) {
    const storage = new MemoryStorage();
    const store = await RunStore.create(storage, config);
    let devices = 0;
    const { error, shown } = await run(never, {
      layers: [{ checkpoint: { interval: 1 } }],
      store,
      acquire: () => (devices++ === 0 ? doomedGpu(submissions) : acquireNodeGpu()),
    });
    expect(error).toBeUndefined();
    expect(shown.filter((name) => name.startsWith('recovered'))).toHaveLength(1);
    const kept = (await readMetrics(storage)).map(nameOf);
    expect(kept.filter((name) => !name.startsWith('recovered'))).toEqual(WHOLE);
    const read = async (file: string) => storage.read(file);
    expect(await hashWeights((await loadModel({ name: 'kept', read })).tensors)).toBe(expected);
  }
});

it('a disk that fills up ends the run with its last checkpoint, which goes on to the same end', async () => {
  const layers = [{ checkpoint: { interval: 1 } }];
  const expected = await hashOf(await run(never));
  const storage = new MemoryStorage('the disk');
  const store = await RunStore.create(storage, resolveConfig(SMALL, ...layers));
  const fillUp = (metric: Metric) => {
    if (nameOf(metric) !== 'step 3') return;
    storage.capacity = 0;
  };
  const { error, step } = await run(never, { layers, store, onMetric: fillUp });
  expect(error).toBeInstanceOf(StorageFullError);
  expect(error!.message).toMatch(
    /^the disk is full: .*: the checkpoint of step 3 is lost\. The run can be resumed from step 2 once there is room\.$/,
  );
  expect(step).toBe(3);
  expect((await listCheckpoints(storage)).at(-1)).toBe('step-000002');
  await store.release();
  storage.capacity = Infinity;
  const opened = await RunStore.open(storage);
  const { error: none } = await run(never, { layers, store: opened.store, resume: opened.snapshot });
  expect(none).toBeUndefined();
  const read = async (file: string) => storage.read(file);
  expect(await hashWeights((await loadModel({ name: 'kept', read })).tensors)).toBe(expected);
});
