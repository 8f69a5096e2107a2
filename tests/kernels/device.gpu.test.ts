/** @file The device itself: without an adapter the first test fails, and so does the whole suite. */
import { expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import {
  Arena,
  DeviceLostError,
  Gpu,
  GpuLimitError,
  GpuMemoryError,
  GpuValidationError,
  NoAdapterError,
  Recorder,
  Submission,
  Tensor,
  formatBytes,
  kernel,
} from '../../src/kernels';
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

it('there is a WebGPU adapter', async () => {
  const gpu = await testGpu();
  expect(gpu.adapterName).not.toBe('');
  // The adapter's own limits were asked for, not the defaults.
  expect(gpu.device.limits.maxComputeInvocationsPerWorkgroup).toBeGreaterThanOrEqual(256);
  expect(gpu.device.limits.maxBufferSize).toBeGreaterThan(256 * 2 ** 20);
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
  program.destroy();
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

it('a kernel that does not compile says where', async () => {
  const gpu = await testGpu();
  const broken = kernel('broken', '@compute @workgroup_size(1) fn main() { let x: f32 = 1u; }');
  const isolated = await acquireNodeGpu();
  await expect(isolated.compile(broken, {})).rejects.toThrow(GpuValidationError);
  isolated.destroy();
  gpu.check(); // the shared device is none the worse
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
  const gpu = await testGpu();
  // Exhausting the machine for real would take the test down with it: the device reports it here.
  const device = new Proxy(gpu.device, {
    get(target, name) {
      if (name === 'popErrorScope') {
        let calls = 0;
        return async () => (await target.popErrorScope()) ?? (calls++ === 0 ? { message: 'no memory left' } : null);
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
  const small = Gpu.fromDevice(device, 'small');
  const tensors = [new Tensor('a', [1000])];
  await expect(Arena.create(small, 'parameters', tensors)).rejects.toThrow(GpuMemoryError);
  await expect(Arena.create(small, 'parameters', tensors)).rejects.toThrow(
    'allocating parameters (4.00 KiB): the GPU is out of memory (no memory left)',
  );
  expect(small.liveBytes).toBe(0);
});

it('a lost device is one error: for reads in flight, and for everything after', async () => {
  const gpu = await acquireNodeGpu();
  const { run } = await doubler(gpu);
  expect(await run(2)).toEqual([0, 2]);
  gpu.device.destroy();
  await expect(run(2)).rejects.toThrow(DeviceLostError);
  await expect(gpu.idle()).rejects.toThrow('The GPU device was lost (destroyed)');
  expect(() => new Submission(gpu)).toThrow(DeviceLostError);
  expect(() => gpu.createBuffer('x', 4, 128)).toThrow(DeviceLostError);
});

it('a validation error that nobody caught is thrown at the next check', async () => {
  const gpu = await acquireNodeGpu();
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
