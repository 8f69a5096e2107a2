import { afterEach, beforeAll, expect, it } from 'vitest';
import { Gpu, GpuMemoryError, Recorder, Submission, enableTuner, isLavapipe, kernel, linear } from '../../src/kernels';
import type { MatmulChoice, MatmulProblem, TunerCache } from '../../src/kernels';
import { Autotuner } from '../../src/kernels/lazy-autotuner';
import { BASE_MATMUL } from '../../src/kernels/matmul';
import { MATMUL_VARIANTS, isPromising, presetFor } from '../../src/kernels/matmul_variants';
import { noise } from '../checks/harness';
import { countCalls } from '../counting';
import { testGpu } from '../gpu';

/** Few rows and columns: few variants make sense, and they compile quickly. */
const SMALL: MatmulProblem = { layout: 'NT', storage: 'f32', aligned: true, m: 2, n: 24, k: 64, few: false };

let real: Gpu;
beforeAll(async () => {
  real = await testGpu();
});
afterEach(() => {
  real.tuner = undefined;
});

/** The test's device under a name that no preset knows: it is measured as a GPU would be. */
function unknownGpu(name = 'a GPU that nobody has seen'): Gpu {
  return Gpu.fromDevice(real.device, name);
}

/** Compiles other source for a kernel, as a driver with a bug would. */
function miscompile(gpu: Gpu, name: string, change: (source: string) => string): void {
  const compile = gpu.compile.bind(gpu);
  gpu.compile = (given, constants, count) =>
    compile(given.name === name ? kernel(`${name}, changed`, change(given.source)) : given, constants, count);
}

function memoryCache(entries = new Map<string, string>()): TunerCache & { entries: Map<string, string> } {
  return {
    entries,
    read: (name) => Promise.resolve(entries.get(name)),
    write: (name, text) => Promise.resolve(void entries.set(name, text)),
  };
}

const namesOf = (choices: readonly MatmulChoice[]) => choices.map(({ variant }) => variant.name);

it('measures what makes sense for a product, once per class of sizes, and counts apart what that took', async () => {
  const gpu = unknownGpu();
  const tuner = await Autotuner.create(gpu, { budgetMs: 60_000 });
  const [choice] = await tuner.matmul(SMALL);
  expect(choice!.upTo).toBe(Infinity);
  const [record] = tuner.records;
  const promising = MATMUL_VARIANTS.filter((variant) => isPromising(variant, SMALL, SMALL.m)).map(({ name }) => name);
  expect(promising.length).toBeGreaterThan(2);
  expect(Object.keys(record!.times).sort()).toEqual([...promising].sort());
  expect(record).toMatchObject({ chosen: choice!.variant.name, how: 'measured', class: 'NT f32 2x32x64' });
  // The choice is the fastest, or within the scatter of it.
  const fastest = Math.min(...Object.values(record!.times));
  expect(record!.times[record!.chosen]).toBeLessThanOrEqual(fastest / 0.97);
  expect(tuner.problems).toEqual([]);
  expect(gpu.stats.tunerPipelines).toBe(promising.length);
  expect(gpu.stats.pipelines).toBe(0);
  expect(gpu.stats.tunerMs).toBeGreaterThan(0);
  expect(gpu.liveBytes).toBe(0);
  await tuner.matmul({ ...SMALL, n: 20, k: 60 }); // of the same class
  expect(tuner.records).toHaveLength(1);
  await tuner.matmul({ ...SMALL, n: 40 });
  expect(tuner.records).toHaveLength(2);
});

it('leaves out a variant whose bits differ on this device, and one that does not compile, and says so', async () => {
  const gpu = unknownGpu();
  miscompile(gpu, 'matmul_columns', (source) => source.replace('fma(x.x, y.x, sum)', '(x.x * y.x + 1.0001 * sum)'));
  const tuner = await Autotuner.create(gpu, { budgetMs: 60_000 });
  expect(namesOf(await tuner.matmul(SMALL))).toEqual(['base']);
  expect(tuner.problems.length).toBeGreaterThan(0);
  for (const problem of tuner.problems)
    expect(problem).toMatch(/^matmul columns \d+, NT f32: \d+ of 20720 results are wrong: not used$/);

  const other = unknownGpu();
  miscompile(other, 'matmul_columns', (source) => `${source}\nfn broken( {`);
  const second = await Autotuner.create(other, { budgetMs: 60_000 });
  expect(namesOf(await second.matmul(SMALL))).toEqual(['base']);
  for (const problem of second.problems)
    expect(problem).toMatch(/^matmul columns \d+, NT f32: kernel .* does not compile/);
  expect(second.problems.length).toBeGreaterThan(0);
  other.check(); // the device is as good as before
});

it('keeps its choices in the cache, by adapter, and does not measure again', async () => {
  const cache = memoryCache();
  const first = await Autotuner.create(unknownGpu(), { budgetMs: 60_000, cache });
  const chosen = namesOf(await first.matmul(SMALL));
  expect(cache.entries.size).toBe(1);
  // What was kept counts, even where this machine would choose something else.
  const [name, text] = [...cache.entries][0]!;
  expect(JSON.parse(text)).toEqual({ 'NT f32 2x32x64': chosen[0] });
  cache.entries.set(name, JSON.stringify({ 'NT f32 2x32x64': 'columns 16' }));
  const second = await Autotuner.create(unknownGpu(), { budgetMs: 60_000, cache });
  expect(namesOf(await second.matmul(SMALL))).toEqual(['columns 16']);
  expect(second.records).toEqual([{ class: 'NT f32 2x32x64', chosen: 'columns 16', how: 'cached', times: {} }]);
  const elsewhere = await Autotuner.create(unknownGpu('another GPU'), { budgetMs: 60_000, cache });
  await elsewhere.matmul(SMALL);
  expect(elsewhere.records[0]!.how).toBe('measured');
  expect(cache.entries.size).toBe(2);
});

it('measures again what the cache names and this library does not have, or what is wrong on this device', async () => {
  const cache = memoryCache();
  await (await Autotuner.create(unknownGpu(), { budgetMs: 60_000, cache })).matmul(SMALL);
  const [name] = [...cache.entries.keys()];
  cache.entries.set(name!, JSON.stringify({ 'NT f32 2x32x64': 'of an older version' }));
  const tuner = await Autotuner.create(unknownGpu(), { budgetMs: 60_000, cache });
  await tuner.matmul(SMALL);
  expect(tuner.records[0]!.how).toBe('measured');

  cache.entries.set(name!, JSON.stringify({ 'NT f32 2x32x64': 'columns 16' }));
  const gpu = unknownGpu();
  miscompile(gpu, 'matmul_columns', (source) => source.replace('fma(x.x, y.x, sum)', '(x.x * y.x + 1.0001 * sum)'));
  const updated = await Autotuner.create(gpu, { budgetMs: 60_000, cache });
  expect(namesOf(await updated.matmul(SMALL))).toEqual(['base']);
});

it.each([
  ['not JSON', 'cached choices were not read: SyntaxError'],
  ['{"a": 1}', 'cached choices were not read: Error: not an object of names'],
])('goes on without a cache that holds %s, and says so', async (text, problem) => {
  const cache = memoryCache();
  await (await Autotuner.create(unknownGpu(), { budgetMs: 60_000, cache })).matmul(SMALL);
  for (const name of cache.entries.keys()) cache.entries.set(name, text);
  const tuner = await Autotuner.create(unknownGpu(), { budgetMs: 60_000, cache });
  expect(tuner.problems[0]).toContain(problem);
  await tuner.matmul(SMALL);
  expect(tuner.records[0]!.how).toBe('measured');
});

it('goes on when a cache cannot be written, and says so', async () => {
  const cache = { ...memoryCache(), write: () => Promise.reject(new Error('disk full')) };
  const tuner = await Autotuner.create(unknownGpu(), { budgetMs: 60_000, cache });
  await tuner.matmul(SMALL);
  expect(tuner.problems).toEqual(['choices were not kept: Error: disk full']);
});

it('takes the base kernels when the time is up, and for ever when it is 0', async () => {
  const tuner = await Autotuner.create(unknownGpu(), { budgetMs: 0.001 });
  expect(namesOf(await tuner.matmul(SMALL))).toEqual(['base']);
  expect(namesOf(await tuner.matmul({ ...SMALL, k: 4096 }))).toEqual(['base']);
  expect(tuner.records.map(({ how }) => how)).toEqual(['out of time', 'out of time']);
  await enableTuner(real, { budgetMs: 0 });
  expect(real.tuner).toBeUndefined();
});

it('takes the base kernel where there is no room to compare others, and says so', async () => {
  const gpu = unknownGpu();
  const create = gpu.createBuffer.bind(gpu);
  gpu.createBuffer = (label, bytes, usage) => {
    if (bytes > 2 ** 20) throw new GpuMemoryError('no room');
    return create(label, bytes, usage);
  };
  const tuner = await Autotuner.create(gpu, { budgetMs: 60_000 });
  expect(namesOf(await tuner.matmul({ ...SMALL, m: 1024, n: 256, k: 512 }))).toEqual(['base']);
  expect(tuner.records.map(({ how }) => how)).toEqual(['out of memory']);
  expect(tuner.problems).toEqual(['NT f32 1024x256x512: no room: the base kernel is used']);
  expect(gpu.liveBytes).toBe(0);
});

it('takes presets on software adapters, checked against float64 and not measured', async () => {
  expect(presetFor('llvmpipe', SMALL, 1)).toBe('lanes 8 by 1');
  expect(presetFor('SwiftShader Device', SMALL, 1)).toBe('base');
  expect(presetFor('nvidia lovelace', SMALL, 1)).toBeUndefined();
  if (!isLavapipe(real.adapterName)) return;
  const gpu = Gpu.fromDevice(real.device, real.adapterName);
  const tuner = await Autotuner.create(gpu);
  const large: MatmulProblem = { ...SMALL, layout: 'TN', m: 64, n: 64, k: 512 };
  expect(namesOf(await tuner.matmul(large))).toEqual(['lanes 8 by 16, single']);
  expect(gpu.stats.tunerPipelines).toBe(1);
  const broken = Gpu.fromDevice(real.device, real.adapterName);
  miscompile(broken, 'matmul_lanes', (source) => source.replaceAll('store_one(m + e / 4u', 'store_one(m'));
  const second = await Autotuner.create(broken);
  expect(namesOf(await second.matmul(large))).toEqual(['base']);
  expect(second.problems[0]).toContain('results are wrong: not used');
});

it('gives few rows and many rows kernels of their own; a replay takes the one for its rows, and the bits stay', async () => {
  const [n, k] = [32, 64];
  const one = MATMUL_VARIANTS.find(({ name }) => name === 'columns 8')!;
  const few = MATMUL_VARIANTS.find(({ name }) => name === 'columns 16')!;
  const run = async (tuned: boolean) => {
    real.tuner = tuned
      ? {
          matmul: () =>
            Promise.resolve([
              { variant: one, upTo: 1 },
              { variant: few, upTo: 8 },
              { variant: BASE_MATMUL, upTo: Infinity },
            ]),
        }
      : undefined;
    const record = new Recorder(real, 'rows');
    const rows = record.extent('rows', 100, { few: true });
    const [x, weight] = [record.input('x', [100, k]), record.input('w', [n, k])];
    const live = record.input('live', [1], 'u32');
    const y = record.input('y', [100, n]);
    linear(record, { x, weight, y, live, m: rows, n, k });
    const program = await record.finish();
    real.write(x.buffer, 0, Float32Array.from(noise(100 * k, 1)));
    real.write(weight.buffer, 0, Float32Array.from(noise(n * k, 2)));
    real.write(live.buffer, 0, Uint32Array.of(100));
    const counter = countCalls(real.device);
    const results: { kernel: string; bits: Uint32Array }[] = [];
    for (const count of [1, 2, 8, 9, 100]) {
      rows.set(count);
      const submission = new Submission(real).clear(y).run(program);
      const read = submission.read(y);
      submission.submit();
      results.push({ kernel: program.costs()[0]!.kernel, bits: new Uint32Array(await read) });
    }
    counter.stop();
    expect(counter.counts.createBindGroup ?? 0).toBe(0);
    expect(counter.counts.createComputePipelineAsync ?? 0).toBe(0);
    program.destroy();
    return results;
  };
  const base = await run(false);
  const tuned = await run(true);
  expect(tuned.map((each) => each.kernel)).toEqual([
    'matmul_columns',
    'matmul_columns',
    'matmul_columns',
    'matmul',
    'matmul',
  ]);
  expect(tuned.map(({ bits }) => bits)).toEqual(base.map(({ bits }) => bits));
});

it('asks for choices by rows only where few are to be expected', async () => {
  const tuner = await Autotuner.create(Gpu.fromDevice(real.device, 'SwiftShader'), {});
  const counts = async (problem: MatmulProblem) => {
    const before = tuner.records.length;
    const choices = await tuner.matmul(problem);
    return { classes: tuner.records.length - before, choices: choices.length };
  };
  expect(await counts({ ...SMALL, m: 256, few: true })).toEqual({ classes: 5, choices: 1 }); // the base kernel, five times
  expect(await counts({ ...SMALL, m: 300 })).toEqual({ classes: 1, choices: 1 });
});
