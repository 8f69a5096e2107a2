/** @file The device itself: without an adapter the first test fails, and so does the whole suite. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, it, vi } from 'vitest';
import { create } from 'webgpu';
import { acquireNodeGpu } from '../../cli/dawn';
import {
  Arena,
  DeviceLostError,
  Gpu,
  GpuLimitError,
  GpuMemoryError,
  GpuValidationError,
  LOSS_NOTICE_MS,
  NoAdapterError,
  Recorder,
  Submission,
  Tensor,
  allOrNothing,
  formatBytes,
  kernel,
} from '../../src/kernels';
import { deviceShortOfMemory, deviceWith } from '../checks/device';
import { countCalls } from '../counting';
import { testGpu } from '../gpu';

const double = kernel(
  'double',
  `
struct Params { count: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { y[id.x] = params.factor * x[id.x]; }
}`,
);

/** What the library asks for beyond WebGPU's defaults. */
const RAISED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
] as const;

it('there is a WebGPU adapter, and the device has everything that it offers', async () => {
  const gpu = await testGpu();
  expect(gpu.adapterName).not.toBe('');
  // The same adapter again, asked by nobody of ours.
  const adapter = (await create([]).requestAdapter({ powerPreference: 'high-performance' }))!;
  for (const limit of RAISED_LIMITS) expect(gpu.device.limits[limit], limit).toBe(adapter.limits[limit]);
  // An adapter may offer no more than the defaults: one that offers odd numbers shows what is asked for.
  const limits = Object.fromEntries(RAISED_LIMITS.map((name, i) => [name, 1001 + i]));
  let asked: GPUDeviceDescriptor | undefined;
  const odd = {
    limits: { ...limits, maxTextureDimension2D: 7 },
    features: new Set(['timestamp-query', 'rg11b10ufloat-renderable']),
    info: { vendor: 'odd' },
    requestDevice(descriptor: GPUDeviceDescriptor) {
      asked = descriptor;
      return Promise.resolve(gpu.device);
    },
  };
  const provider = { requestAdapter: () => Promise.resolve(odd) } as unknown as GPU;
  expect((await Gpu.acquire({ provider })).adapterName).toBe('odd');
  expect(asked).toEqual({ requiredLimits: limits, requiredFeatures: ['timestamp-query'] });
});

it('says so when there is no WebGPU, and when there is no adapter', async () => {
  await expect(Gpu.acquire()).rejects.toThrow(NoAdapterError);
  const provider = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  await expect(Gpu.acquire({ provider })).rejects.toThrow('offers no adapter');
});

async function doubler(gpu: Gpu) {
  const record = new Recorder(gpu, 'doubler');
  const count = record.extent('count', 100);
  const x = record.input('x', [100]);
  const y = record.tensor('y', [100]);
  let factor = 2;
  record.dispatch(double, {
    bindings: { x, y },
    params: { count, factor: () => factor },
    workgroups: () => [Math.ceil(count.value / 64)],
  });
  const program = await record.finish({ keep: [y] });
  const run = async (n: number, by = 2) => {
    factor = by;
    count.set(n);
    const submission = new Submission(gpu).run(program);
    const bytes = submission.read(y, n);
    submission.submit();
    return [...new Float32Array(await bytes)];
  };
  gpu.write(
    x.buffer,
    0,
    Float32Array.from({ length: 100 }, (_, i) => i),
  );
  return { program, run, count };
}

it('replays a program with other counts and parameters, creating nothing', async () => {
  const gpu = await testGpu();
  const { run, program } = await doubler(gpu);
  expect(await run(3)).toEqual([0, 2, 4]);
  const before = { ...gpu.stats };
  const calls = countCalls(gpu.device);
  expect(await run(5, 3)).toEqual([0, 3, 6, 9, 12]);
  expect((await run(100, 1)).at(-1)).toBe(99);
  calls.stop();
  expect(calls.counts).toMatchObject({ submit: 2, dispatchWorkgroups: 2 });
  for (const made of ['createBuffer', 'createBindGroup', 'createComputePipelineAsync', 'createShaderModule'] as const) {
    expect(calls.counts[made] ?? 0).toBe(0);
  }
  // Our own counters agree with what the device saw.
  expect(gpu.stats.submits - before.submits).toBe(2);
  expect(gpu.stats.dispatches - before.dispatches).toBe(2);
  expect(gpu.stats.buffers - before.buffers).toBe(0);
  expect(gpu.stats.bytesRead - before.bytesRead).toBe(4 * (5 + 100));
  program.destroy();
});

it('counts what it creates as the device does', async () => {
  const shared = await testGpu();
  const calls = countCalls(shared.device);
  const gpu = Gpu.fromDevice(shared.device); // without compiled kernels
  const before = { ...gpu.stats };
  const first = await doubler(gpu);
  expect(await first.run(2)).toEqual([0, 2]);
  const once = { ...gpu.stats };
  const second = await doubler(gpu);
  calls.stop();
  // An arena, an input, uniforms, and one staging buffer; one dispatch, one bind group, one pipeline.
  const made = ({ buffers, bindGroups, pipelines }: typeof before, since: typeof before) => ({
    buffers: buffers - since.buffers,
    bindGroups: bindGroups - since.bindGroups,
    pipelines: pipelines - since.pipelines,
  });
  expect(made(once, before)).toEqual({ buffers: 4, bindGroups: 1, pipelines: 1 });
  expect(made(gpu.stats, once)).toEqual({ buffers: 3, bindGroups: 1, pipelines: 0 }); // the pipeline is shared
  expect(calls.counts).toMatchObject({ createBuffer: 7, createBindGroup: 2, createComputePipelineAsync: 1 });
  expect(gpu.stats.bufferBytes).toBe(gpu.liveBytes);
  first.program.destroy();
  second.program.destroy();
  expect(gpu.liveBytes).toBe(4096); // the staging buffer waits for the next readback
});

it('refuses counts beyond the capacity and contradictory replays in one submission', async () => {
  const gpu = await testGpu();
  const { program, count, run } = await doubler(gpu);
  expect(() => count.set(101)).toThrow(GpuLimitError);
  expect(() => count.set(101)).toThrow('doubler: count = 101, but this program was recorded for at most 100');
  expect(() => count.set(0.5)).toThrow(RangeError);
  expect(await run(0)).toEqual([]);
  const submission = new Submission(gpu);
  count.set(1);
  submission.run(program);
  count.set(2);
  expect(() => submission.run(program)).toThrow('different parameters in one submission');
  program.destroy();
});

it('refuses bindings and parameters that a kernel does not have', async () => {
  const gpu = await testGpu();
  const record = new Recorder(gpu, 'bad');
  const x = record.tensor('x', [1]);
  const grid = { workgroups: () => [1] };
  expect(() => record.dispatch(double, { bindings: { x }, ...grid })).toThrow('kernel double: bindings missing [y]');
  const both = { x, y: record.tensor('y', [1]) };
  expect(() => record.dispatch(double, { bindings: both, params: { count: 1, scale: 1 }, ...grid })).toThrow(
    'params missing [factor], unknown [scale]',
  );
  record.dispatch(double, { bindings: { x, y: x }, params: { count: 1, factor: 1 }, ...grid });
  await expect(record.finish()).rejects.toThrow('would read and write bad.x through two bindings');
});

it('a kernel that does not compile says which, where and why, and the device is none the worse', async () => {
  const gpu = await testGpu();
  const source = '@compute @workgroup_size(SIZE)\nfn main() {\n  let x: f32 = 1u + LANES;\n}';
  const broken = gpu.compile(kernel('broken', source), { SIZE: 1, LANES: 2 });
  await expect(broken).rejects.toThrow(GpuValidationError);
  await expect(broken).rejects.toThrow('kernel broken {"SIZE":1,"LANES":2} does not compile:\n  line 3: ');
  await expect(broken).rejects.toThrow('u32'); // the compiler's own words
  // A kernel that is no WGSL error but no pipeline either.
  const oversized = gpu.compile(kernel('oversized', '@compute @workgroup_size(SIZE) fn main() {}'), { SIZE: 100000 });
  await expect(oversized).rejects.toThrow('kernel oversized {"SIZE":100000} does not compile:\n  ');
  await gpu.idle();
  gpu.check();
});

it('a tensor or buffer over the device limits is refused by name before anything is made', async () => {
  const gpu = await testGpu();
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  const huge = new Tensor('embedding', [limit / 4 + 1]);
  await expect(Arena.create(gpu, 'parameters', [huge])).rejects.toThrow(GpuLimitError);
  await expect(Arena.create(gpu, 'parameters', [huge])).rejects.toThrow(
    `tensor embedding [${limit / 4 + 1}] has ${formatBytes(limit + 4)}; this device binds at most`,
  );
  expect(() => gpu.createBuffer('everything', gpu.device.limits.maxBufferSize + 4, 128)).toThrow('everything needs');
});

it('out of memory is one error, and what was made is freed', async () => {
  const { device } = await testGpu();
  const small = Gpu.fromDevice(
    deviceShortOfMemory(device, () => true),
    'small',
  );
  const tensors = [new Tensor('a', [1000])];
  await expect(Arena.create(small, 'parameters', tensors)).rejects.toThrow(GpuMemoryError);
  await expect(Arena.create(small, 'parameters', tensors)).rejects.toThrow(
    'allocating parameters (4 KiB): the GPU is out of memory (no memory left)',
  );
  expect(small.liveBytes).toBe(0);
});

it('an allocation that fails frees its own buffers and no others', async () => {
  const { device } = await testGpu();
  const small = Gpu.fromDevice(deviceShortOfMemory(device, (allocation) => allocation === 0));
  const failing = Arena.create(small, 'too much', [new Tensor('a', [1000])]);
  const meanwhile = Arena.create(small, 'fits', [new Tensor('b', [500])]);
  const plain = small.createBuffer('plain', 256, 0x80);
  await expect(failing).rejects.toThrow(GpuMemoryError);
  expect(small.liveBytes).toBe(2048 + 256);
  (await meanwhile).destroy();
  small.destroyBuffer(plain);
  expect(small.liveBytes).toBe(0);
});

it('what throws while it allocates frees what it made, and so does a lost device', async () => {
  const gpu = await acquireNodeGpu();
  const before = gpu.liveBytes;
  const make = (fail: () => void) =>
    gpu.guarded('two buffers', () => {
      gpu.createBuffer('one', 256, 0x80);
      fail();
      gpu.createBuffer('two', 256, 0x80);
    });
  await expect(make(() => gpu.createBuffer('huge', gpu.device.limits.maxBufferSize + 4, 0x80))).rejects.toThrow(
    GpuLimitError,
  );
  expect(gpu.liveBytes).toBe(before);
  await expect(make(() => gpu.device.destroy())).rejects.toThrow(DeviceLostError);
  expect(gpu.liveBytes).toBe(before);
  gpu.destroy();
});

it('all parts or none: a failure destroys the parts before it, newest first', async () => {
  const log: string[] = [];
  const part = (name: string) => ({ name, destroy: () => log.push(name) });
  const whole = await allOrNothing((own) => Promise.resolve([own(part('a')), own(part('b'))]));
  expect(whole.map(({ name }) => name)).toEqual(['a', 'b']);
  expect(log).toEqual([]);
  const failing = allOrNothing((own) => {
    own(part('c'));
    own(part('d'));
    return Promise.reject(new Error('no e'));
  });
  await expect(failing).rejects.toThrow('no e');
  expect(log).toEqual(['d', 'c']);
});

it('a lost device is one error: for reads in flight, and for everything after', async () => {
  const gpu = await acquireNodeGpu();
  const { run } = await doubler(gpu);
  expect(await run(2)).toEqual([0, 2]);
  const inFlight = run(2);
  gpu.device.destroy();
  await expect(inFlight).rejects.toThrow(DeviceLostError);
  await expect(run(2)).rejects.toThrow(DeviceLostError);
  await expect(gpu.idle()).rejects.toThrow('The GPU device was lost (destroyed)');
  expect(() => new Submission(gpu)).toThrow(DeviceLostError);
  expect(() => gpu.createBuffer('x', 4, 128)).toThrow(DeviceLostError);
});

it('a Gpu that is destroyed ends the reads in flight at once', async () => {
  const gpu = await acquireNodeGpu();
  const { run } = await doubler(gpu);
  const inFlight = run(2);
  gpu.destroy();
  const started = performance.now();
  await expect(inFlight).rejects.toThrow('The GPU device was lost (destroyed): this Gpu was destroyed');
  await expect(gpu.idle()).rejects.toThrow(DeviceLostError);
  expect(performance.now() - started).toBeLessThan(LOSS_NOTICE_MS / 10);
  expect(gpu.liveBytes).toBe(0);
});

/** A device that is lost when the test says so. */
async function losable() {
  const { device } = await testGpu();
  let lose!: (info: { reason: string; message: string }) => void;
  const lost = new Promise((resolve) => (lose = resolve));
  return {
    gpu: Gpu.fromDevice(deviceWith(device, { lost })),
    lose: () => lose({ reason: 'unknown', message: 'reset' }),
  };
}

const aborted = () => Promise.reject(new DOMException('map aborted', 'AbortError'));

afterEach(() => vi.useRealTimers());

it.each([0, 200, LOSS_NOTICE_MS - 1])(
  'an aborted operation waits for the loss behind it, here %i ms',
  async (delay) => {
    const { gpu, lose } = await losable();
    vi.useFakeTimers();
    const outcome = expect(gpu.race(aborted())).rejects.toThrow('The GPU device was lost (unknown): reset');
    await vi.advanceTimersByTimeAsync(delay);
    lose();
    await vi.advanceTimersByTimeAsync(LOSS_NOTICE_MS);
    await outcome;
  },
);

it('an operation that would never end is ended by the loss, and none begins after it', { timeout: 5000 }, async () => {
  const { gpu, lose } = await losable();
  const never = new Promise(() => undefined);
  const waiting = gpu.race(never);
  lose();
  await expect(waiting).rejects.toThrow(DeviceLostError);
  await expect(gpu.race(never)).rejects.toThrow(DeviceLostError);
});

it('an operation that fails without a loss fails with its own error in the end', async () => {
  const { gpu } = await losable();
  vi.useFakeTimers();
  const outcome = expect(gpu.race(aborted())).rejects.toThrow('map aborted');
  await vi.advanceTimersByTimeAsync(LOSS_NOTICE_MS);
  await outcome;
  // An error that no loss can explain is not held back.
  await expect(gpu.race(Promise.reject(new TypeError('mistake')))).rejects.toThrow('mistake');
  gpu.check();
});

it('waits leave nothing behind: what they returned can be collected', async () => {
  const { gpu } = await losable();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const results: WeakRef<object>[] = [];
  for (let i = 0; i < 100; i++) results.push(new WeakRef(await gpu.race(Promise.resolve({ i }))));
  await new Promise((resolve) => setTimeout(resolve, 0)); // a WeakRef holds its target to the end of the task
  collect();
  expect(results.filter((result) => result.deref()).length).toBeLessThan(5);
});

it('a validation error that nobody caught is thrown at the next check', async () => {
  const gpu = await acquireNodeGpu();
  // Error scopes are closed again, whether a kernel compiles and memory is had or not.
  await gpu.compile(double, {});
  await expect(gpu.compile(kernel('broken', 'fn main() {}'), {})).rejects.toThrow(GpuValidationError);
  await Arena.create(gpu, 'arena', [new Tensor('a', [1])]);
  gpu.device.createBuffer({ size: 16, usage: 0xffff });
  await gpu.device.queue.onSubmittedWorkDone();
  await expect(gpu.idle()).rejects.toThrow(GpuValidationError);
  gpu.destroy();
});

it('a long program is cut into submits at its marks, a short one is not', async () => {
  const gpu = await testGpu();
  const record = new Recorder(gpu, 'long');
  const [x, y] = [record.input('x', [1]), record.tensor('y', [1])];
  let flops = 1;
  for (let i = 0; i < 6; i++) {
    record.dispatch(double, {
      bindings: { x, y },
      params: { count: 1, factor: 1 },
      workgroups: () => [1],
      flops: () => flops,
    });
    record.cut();
  }
  const program = await record.finish();
  const submits = () => {
    const before = gpu.stats.submits;
    new Submission(gpu).run(program).submit();
    return gpu.stats.submits - before;
  };
  expect(submits()).toBe(1);
  flops = 20e9; // more than 50 ms of a 300 GFLOP/s device
  expect(submits()).toBe(6);
  program.destroy();
});
