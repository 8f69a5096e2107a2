import { expect, it } from 'vitest';
import { EXACT_TIMESTAMPS, acquireNodeGpu } from '../../cli/dawn';
import { Gpu, Recorder, Submission, formatProfile, linear, startProfile, swiglu } from '../../src/kernels';
import type { Profile } from '../../src/kernels';
import { testGpu } from '../gpu';

/** A program with two products and an activation; only 32 of its 64 rows count. */
async function program(gpu: Gpu) {
  const record = new Recorder(gpu, 'profiled');
  const rows = record.extent('rows', 64);
  const tensor = (label: string, ...shape: number[]) => record.input(label, shape);
  const live = record.input('live', [1], 'u32');
  const [x, gateUp, act, y] = [tensor('x', 64, 48), tensor('gu', 64, 192), tensor('act', 64, 96), tensor('y', 64, 48)];
  linear(record, { x, weight: tensor('w1', 192, 48), y: gateUp, live, m: rows, n: 192, k: 48 });
  swiglu(record, { gateUp, act, live, rows, width: 96 });
  linear(record, { x: act, weight: tensor('w2', 48, 96), y, live, m: rows, n: 48, k: 96 });
  const finished = await record.finish();
  gpu.write(live.buffer, 0, Uint32Array.of(64));
  rows.set(32);
  return { program: finished, y };
}

it('counts dispatches, bytes of the rows that count, and arithmetic per kernel, and takes their times', async () => {
  const gpu = await acquireNodeGpu({ toggles: [EXACT_TIMESTAMPS] });
  const { program: replayed, y } = await program(gpu);
  const read = async () => {
    const submission = new Submission(gpu).run(replayed).run(replayed);
    const bits = submission.read(y);
    submission.submit();
    return new Uint32Array(await bits);
  };
  const before = await read();
  const running = await startProfile(gpu);
  await expect(startProfile(gpu)).rejects.toThrow('a profile of this device is being taken already');
  expect(await read()).toEqual(before);
  expect(await read()).toEqual(before);
  const profile = await running.stop();
  expect(profile).toMatchObject({ adapter: gpu.adapterName, submits: 2, dispatches: 12 });
  const byName = Object.fromEntries(profile.kernels.map((kernel) => [kernel.name, kernel]));
  expect(Object.keys(byName).sort()).toEqual(['matmul NT mx192x48', 'matmul NT mx48x96', 'swiglu']);
  const up = byName['matmul NT mx192x48']!;
  expect(up).toMatchObject({
    dispatches: 4,
    flops: 4 * 2 * 32 * 192 * 48,
    bytes: 4 * 4 * (32 * 48 + 192 * 48 + 32 * 192 + 1), // and the live count
  });
  expect(byName.swiglu!.bytes).toBe(4 * 4 * (32 * 192 + 32 * 96 + 1));
  const timed = gpu.device.features.has('timestamp-query');
  for (const { seconds } of profile.kernels) {
    if (timed) expect(seconds).toBeGreaterThan(0);
    else expect(seconds).toBeUndefined();
  }
  const total = profile.kernels.reduce((sum, { seconds = 0 }) => sum + seconds, 0);
  expect(total).toBeLessThanOrEqual(profile.seconds);
  expect(profile.busySeconds).toBeGreaterThan(0);
  expect(profile.busySeconds).toBeLessThanOrEqual(profile.seconds);
  expect(profile.encodeSeconds).toBeGreaterThan(0);
  expect(profile.ceilings.bytesPerSecond).toBeGreaterThan(1e6);
  expect(profile.ceilings.flopsPerSecond).toBeGreaterThan(1e6);
  // It leaves nothing behind, and what runs afterwards is not watched.
  expect(gpu.profiler).toBeUndefined();
  const bytes = gpu.liveBytes;
  expect(await read()).toEqual(before);
  const second = await (await startProfile(gpu)).stop();
  expect(second.dispatches).toBe(0);
  expect(gpu.liveBytes).toBe(bytes);
  gpu.destroy();
});

it('takes more dispatches in one submission than a query set has room for', async () => {
  const gpu = await testGpu();
  const { program: replayed } = await program(gpu);
  const running = await startProfile(gpu);
  const submission = new Submission(gpu);
  for (let i = 0; i < 700; i++) submission.run(replayed);
  submission.submit();
  const profile = await running.stop();
  expect(profile.dispatches).toBe(2100);
  if (gpu.device.features.has('timestamp-query'))
    for (const { seconds } of profile.kernels) expect(seconds).toBeGreaterThan(0);
  replayed.destroy();
});

it('is given up without figures, and leaves nothing behind', async () => {
  const gpu = await testGpu();
  const { program: replayed } = await program(gpu);
  const bytes = gpu.liveBytes;
  const running = await startProfile(gpu);
  new Submission(gpu).run(replayed).submit();
  await running.cancel();
  expect(gpu.profiler).toBeUndefined();
  expect(gpu.liveBytes).toBe(bytes);
  await (await startProfile(gpu)).cancel(); // another can be taken
  gpu.check();
  replayed.destroy();
});

it('says what kernels move and compute, and no times, where there are no timestamps', async () => {
  const real = await testGpu();
  const device = new Proxy(real.device, {
    get(target, key) {
      if (key === 'features') return new Set<string>();
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const gpu = Gpu.fromDevice(device, 'without timestamps');
  const { program: replayed } = await program(gpu);
  const running = await startProfile(gpu);
  new Submission(gpu).run(replayed).submit();
  const profile = await running.stop();
  expect(profile.kernels.map(({ seconds }) => seconds)).toEqual([undefined, undefined, undefined]);
  expect(formatProfile(profile)).toContain(
    'It has no timestamps: no times per kernel, only what they move and compute.',
  );
  replayed.destroy();
});

it('is a table: per kernel the share of the time, and of what the adapter can do', () => {
  const profile: Profile = {
    adapter: 'GPU',
    seconds: 2,
    busySeconds: 1.5,
    encodeSeconds: 0.01,
    submits: 4,
    dispatches: 40,
    ceilings: { bytesPerSecond: 100e9, flopsPerSecond: 1e12 },
    kernels: [
      { name: 'matmul NT', dispatches: 20, bytes: 10e9, flops: 0.5e12, seconds: 1 },
      { name: 'swiglu', dispatches: 20, bytes: 12.5e9, flops: 0, seconds: 0.25 },
    ],
  };
  expect(formatProfile(profile, 2)).toMatchInlineSnapshot(`
    "Profile of GPU, 2 steps
    1000.00 ms per step; the queue had work for 75% of it (idle 25%); encoding took the host 5.00 ms per step
    20 dispatches in 2 submits per step
    At best this adapter copies 100 GB/s and multiplies matrices at 1 TFLOP/s

    kernel     dispatches per step    moved   computed       time  share      bytes/s         FLOP/s
    matmul NT                   10     5 GB  250 GFLOP  500.00 ms    80%  10% of copy  50% of matmul
    swiglu                      10  6.25 GB             125.00 ms    20%  50% of copy
    "
  `);
});
