import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { makeDecodeReport } from '../../bench/decode/report';
import { replaceSection } from '../../bench/docs/page';
import { barChart } from '../../bench/docs/plot';
import { SECTIONS, adapterLine, barsOf } from '../../bench/docs/sections';
import { entryName, formatEntry, problemsOf } from '../../bench/entry';
import type { Entry, Report } from '../../bench/entry';
import { goalsOf } from '../../bench/goals';
import { makeGrpoReport } from '../../bench/grpo/report';
import { makeMatmulReport } from '../../bench/matmul/report';
import { addResult, readResults, resultName } from '../../bench/results';
import { makeSteadyReport } from '../../bench/steady/report';
import { CONFIGS, flopsPerStep } from '../../bench/train/configs';
import { makeReport } from '../../bench/train/report';
import type { TrainerResult } from '../../bench/train/run';
import { COUNTED } from '../../bench/counters';
import type { Counts } from '../../bench/counters';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-bench-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const CPU = 'mesa software llvmpipe-llvm-15 Mesa 25';
const GPU = 'nvidia hopper H100';

function entry(report: Report, adapter = CPU): Entry {
  const versions = { dawn: '0.6.2', 'jax-js': '0.1.25' };
  return { ...report, machine: { adapter, date: '2026-11-25', node: '20', cpu: 'EPYC', cores: 2, versions } };
}

function counts(given: Partial<Counts> = {}): Counts {
  return { ...(Object.fromEntries(COUNTED.map((name) => [name, 0])) as Counts), ...given };
}

function trainer(name: string, ms: number, startMs: number, loss = 4): TrainerResult {
  const cost = (wallMs: number) => ({ wallMs, cpuMs: 2 * wallMs, counts: counts({ dispatches: 65, submits: 1 }) });
  const start = { ...cost(startMs), counts: counts({ pipelines: 40 }) };
  const steps = [0, 0, 1, 1].map((round) => ({ ...cost(ms), loss, round }));
  return { name, start, tuning: { pipelines: 12, ms: 300 }, steps: [{ ...start, loss, round: null }, ...steps] };
}

const S = { ...CONFIGS.S!, rounds: 2, steps: 2 };

const trainEntry = (adapter = CPU, tfjsLoss = 4) => {
  const results = [trainer('ours', 100, 1000), trainer('jax-js', 160, 4000), trainer('tfjs', 300, 2500, tfjsLoss)];
  return entry({ part: 'train', report: makeReport(S, results) }, adapter);
};

const product = (name: string, ms: number) => ({ name, ms: [ms, ms, 9 * ms], cpuMs: [ms, ms, ms] });

const matmulEntry = (difference = 1e-6) => {
  const shape = { name: 'M out', layout: 'NT' as const, m: 2048, n: 128, k: 128, times: 1 };
  const products = [product('ours', 1), product('plain', 0.99), product('jax-js', 2)];
  const slow = {
    ...shape,
    layout: 'TN' as const,
    products: [product('ours', 1), product('plain', 1), product('jax-js', 1.2)],
  };
  const results = [
    { ...shape, products, differences: [0, difference] },
    { ...slow, differences: [0, 1e-7] },
  ];
  return entry({ part: 'matmul', report: makeMatmulReport(results) });
};

const decodeEntry = (adapter = CPU, sequences = 33) => {
  const setting = {
    config: 'M',
    model: S.model,
    parameters: 1e6,
    promptTokens: 32,
    newTokens: 64,
    rounds: 1,
    missing: null,
  };
  const series = (decoder: string, rollouts: number, ms: number) => ({ decoder, rollouts, ms: [ms], cpuMs: [ms] });
  const all = [
    series('ours', 1, 100),
    series('transformers.js', 1, 200),
    series('ours', 32, 800),
    series('transformers.js', 32, 3200),
  ];
  const equal = { sequences, of: 33, firstDifference: sequences < 33 ? 7 : null, theirs: 30 };
  return entry({ part: 'decode', report: makeDecodeReport({ ...setting, equal }, all) }, adapter);
};

const grpoEntry = () => {
  const step = { rollout: 0.5, reward: 0.1, update: 0.4, idle: 0.05, seconds: 1, tokens: 1000, sampledTokens: 500 };
  const few = { groups: 8, rollouts: 64, steps: [step], plannedBytes: 1000, peakBytes: 950 };
  const many = { groups: 64, rollouts: 512, steps: [{ ...step, tokens: 850 }], plannedBytes: 1000, peakBytes: 880 };
  return entry({ part: 'grpo', report: makeGrpoReport([few, many]) });
};

const steadyEntry = (adapter = CPU, made = 0) => {
  const cost = { wallMs: 10, cpuMs: 20, counts: counts({ submits: 1, buffers: made }) };
  return entry({ part: 'steady', report: makeSteadyReport(2048, [cost, cost], [3, 3], 0) }, adapter);
};

const verdicts = (each: Entry) => Object.fromEntries(goalsOf(each).map(({ what, met }) => [what, met]));

it('training is measured against what its kind of adapter allows', () => {
  expect(verdicts(trainEntry())).toEqual({
    'train S: CPU ms per step over those of jax-js': true, // 0.625
    'train S: wall time over that of tfjs': true, // 0.33
    'train S: dispatches': true,
    "train S: pipelines without the tuner's": true, // 40 - 12
    'train S: first step, time over that of tfjs': true, // 0.4
  });
  expect(verdicts(trainEntry(GPU))).toMatchObject({
    'train S: tokens/s over jax-js': false, // 1.6, not 8
    'train S: tokens/s over tfjs': false, // 3, not 4
  });
});

it('products, decoding, steps and the steady state are measured against their goals', () => {
  expect(verdicts(matmulEntry())).toEqual({
    'matmul over jax-js, geometric mean': false, // sqrt(2 x 1.2)
    'matmul over jax-js, worst shape': false,
    'matmul over the plain kernel, worst shape': true,
  });
  expect(verdicts(decodeEntry())).toEqual({
    'decode M: one stream over transformers.js': true, // 2
    'decode M: rollouts in sum over its one stream': true, // 8 of 4
  });
  expect(Object.values(verdicts(decodeEntry(GPU)))).toEqual([true, false]); // 8 of 10
  expect(verdicts(grpoEntry())).toEqual({
    'GRPO tokens/s, 64 groups over 8': false, // 0.85
    'GRPO peak of live GPU bytes, share off the plan': false, // 0.12
  });
  expect(Object.values(verdicts(steadyEntry()))).toEqual([true, true]);
  expect(verdicts(steadyEntry(GPU))).toMatchObject({ "host's share of a step": false }); // 0.3
});

it('what was not the same work is told, times never are', () => {
  expect([trainEntry(), matmulEntry(), decodeEntry(), grpoEntry(), steadyEntry()].flatMap(problemsOf)).toEqual([]);
  expect(problemsOf(trainEntry(CPU, 4.1))).toEqual([expect.stringMatching(/ours and tfjs differ by 2\.4e-2/)]);
  expect(problemsOf(trainEntry(CPU, NaN))).toEqual([expect.stringContaining('not the same work')]);
  expect(problemsOf(matmulEntry(1e-3))).toEqual([
    expect.stringMatching(/^NT 2048 x 128 x 128: ours and jax-js differ/),
  ]);
  expect(problemsOf(matmulEntry(NaN))).toHaveLength(1);
  expect(problemsOf(decodeEntry(CPU, 31))).toEqual([
    expect.stringMatching(/^decode M: 2 of 33 .* the first at token 7$/),
  ]);
  expect(problemsOf(steadyEntry(CPU, 1))).toEqual(['steady: 2 objects and 0 bytes came to be in the steady state']);
});

it('operations of a training step are those of its products and of attention', () => {
  // Table of the measured peers: S does 1.56 GFLOP a step, M 12.88.
  expect(flopsPerStep(CONFIGS.S!) / 1e9).toBeCloseTo(1.56, 2);
  expect(flopsPerStep(CONFIGS.M!) / 1e9).toBeCloseTo(12.88, 2);
});

it('a file keeps what it has, takes a unit again, and is of one adapter', () => {
  const path = join(scratch, 'deep', 'results.json');
  addResult(path, trainEntry());
  addResult(path, matmulEntry());
  addResult(path, { ...matmulEntry(), machine: { ...matmulEntry().machine, date: '2026-11-26' } });
  const { entries, adapter } = readResults(path);
  expect(Object.keys(entries)).toEqual(['train S', 'matmul']);
  expect(adapter).toBe(CPU);
  expect(entries.matmul!.machine.date).toBe('2026-11-26');
  expect(entryName(decodeEntry())).toBe('decode M');
  const before = readFileSync(path, 'utf8');
  expect(() => addResult(path, trainEntry(GPU))).toThrow(`${path} is of ${CPU}; this is ${GPU}`);
  expect(readFileSync(path, 'utf8')).toBe(before);
  expect(resultName('NVIDIA hopper, H100/PCIe')).toBe('nvidia-hopper-h100.json');
});

it('a file of something else is refused by its name', () => {
  const path = join(scratch, 'other.json');
  writeFileSync(path, '[]');
  expect(() => readResults(path)).toThrow(`${path}: no file of format terrarium-bench/1`);
  expect(() => addResult(path, trainEntry())).toThrow(path);
  writeFileSync(path, '{"format": ');
  expect(() => readResults(path)).toThrow(path);
  expect(existsSync(path)).toBe(true);
});

it('every unit has its table and its section of the page', () => {
  const all = [trainEntry(), matmulEntry(), decodeEntry(), grpoEntry(), steadyEntry()];
  const file = {
    format: 'terrarium-bench/1' as const,
    adapter: CPU,
    entries: Object.fromEntries(all.map((e) => [entryName(e), e])),
  };
  for (const each of all) {
    expect(formatEntry(each)).toMatch(/ours|groups|tokens/);
    expect(SECTIONS[each.part](file)).toContain('| ---');
    expect(SECTIONS[each.part]({ ...file, entries: {} })).toBeUndefined();
  }
  expect(SECTIONS.train(file)).toContain('| S over jax-js | 1.60 (1.60 to 1.60) |');
  expect(SECTIONS.goals(file)).toContain('| GRPO tokens/s, 64 groups over 8 | at least 0.9 | 0.85 | **no** |');
  expect(adapterLine(file)).toBe(`${CPU}, Node 20, EPYC (2 cores), 2026-11-25; dawn 0.6.2, jax-js 0.1.25`);
  const bars = barsOf(file);
  expect(bars.map(({ label }) => label)).toEqual([
    'training S over jax-js',
    'training S over tfjs',
    'matmul over the plain kernel',
    'matmul over jax-js',
    'decoding M, one stream',
    'decoding M, rollouts over its one stream',
    'decoding M, rollouts over its batch',
  ]);
  const svg = barChart('As fast as <them> & more', bars);
  expect(svg).toMatch(/^<svg [^>]*viewBox="0 0 760 \d+"/);
  expect(svg).toContain('As fast as &lt;them> &amp; more');
  expect(svg.match(/<rect x/g)).toHaveLength(bars.length);
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
});

it('between its marks a page is replaced, beside them it stays; without marks it is refused', () => {
  const page = 'Written.\n<!-- bench:train -->\nold\n<!-- /bench:train -->\nWritten, too.\n';
  const once = replaceSection(page, 'train', '| new |\n');
  expect(once).toBe('Written.\n<!-- bench:train -->\n\n| new |\n\n<!-- /bench:train -->\nWritten, too.\n');
  expect(replaceSection(once, 'train', '| new |\n')).toBe(once);
  expect(() => replaceSection(page, 'matmul', '')).toThrow('the page has no <!-- bench:matmul -->');
  const real = readFileSync(new URL('../../docs/PERFORMANCE.md', import.meta.url), 'utf8');
  for (const name of ['plot', 'scale', ...Object.keys(SECTIONS)])
    expect(replaceSection(real, name, 'x')).toContain('\n\nx\n\n');
});
