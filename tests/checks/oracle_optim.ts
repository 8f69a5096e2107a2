/** @file optim/adamw.json (norm, clipping, five updates) and sampling/cases.json (probabilities after every filter). */
import {
  Arena,
  ENTRY_WORDS,
  NO_TOKEN,
  RESULT_WORDS,
  Recorder,
  STATE_WORDS,
  Submission,
  Tensor,
  adamw,
  packSettings,
  sample,
} from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { deriveKey } from '../../src/random';
import { readJsonFile } from './files';
import { frequencyCases, logprobTolerance } from './frequencies';
import { Bench } from './harness';
import { relativeError } from './report';
import type { Check, CheckCase } from './report';

interface AdamWCase {
  name: string;
  betas: [number, number];
  eps: number;
  weight_decay: number[];
  max_norm: number | null;
  params: number[][];
  steps: {
    lr: number;
    grads: number[][];
    grad_norm: number;
    clipped_grads: number[][];
    params: number[][];
    exp_avg: number[][];
    exp_avg_sq: number[][];
  }[];
}

const TOLERANCE = 1e-4;

async function checkAdamW(gpu: Gpu, test: AdamWCase): Promise<CheckCase[]> {
  const make = (label: string) =>
    Arena.create(
      gpu,
      label,
      test.params.map((values, i) => new Tensor(`${i}`, [values.length])),
    );
  const [parameters, gradients, expAvg, expAvgSq] = await Promise.all(['p', 'g', 'm', 'v'].map(make));
  const decay = await Arena.create(gpu, 'decay', [new Tensor('decay', [parameters!.length / 64])]);
  const write = (arena: Arena, values: number[][]) =>
    values.forEach((list, i) => gpu.write(arena.get(`${i}`).buffer, arena.get(`${i}`).offset, Float32Array.from(list)));
  write(parameters!, test.params);
  test.weight_decay.forEach((value, i) => {
    const { offset, length } = parameters!.get(`${i}`);
    gpu.write(decay.get('decay').buffer, offset / 64, new Float32Array(Math.ceil(length / 64)).fill(value));
  });
  let lr = 0;
  let t = 0;
  const [beta1, beta2] = test.betas;
  const record = new Recorder(gpu, 'adamw');
  const clip = adamw(record, {
    parameters: parameters!,
    gradients: gradients!,
    expAvg: expAvg!,
    expAvgSq: expAvgSq!,
    decay,
    beta1,
    beta2,
    epsilon: test.eps,
    lr: () => lr,
    stepSize: () => lr / (1 - beta1 ** t),
    inverseSqrtCorrection2: () => 1 / Math.sqrt(1 - beta2 ** t),
    maxNorm: test.max_norm ?? 0,
  });
  const program = await record.finish({ keep: [clip] });
  const cases: CheckCase[] = [];
  for (const step of test.steps) {
    t++;
    lr = step.lr;
    write(gradients!, step.grads);
    const run = new Submission(gpu).run(program);
    const read = (arena: Arena) => test.params.map((_, i) => run.read(arena.get(`${i}`)));
    const [p, m, v, c] = [read(parameters!), read(expAvg!), read(expAvgSq!), run.read(clip)];
    run.submit();
    const flat = async (reads: Promise<ArrayBuffer>[]) =>
      (await Promise.all(reads)).flatMap((bytes) => [...new Float32Array(bytes)]);
    const [norm, factor] = new Float32Array(await c);
    const name = `${test.name} step ${t}`;
    cases.push({
      name: `${name} norm`,
      error: Math.abs(norm! - step.grad_norm) / Math.max(step.grad_norm, 1e-12),
      tolerance: TOLERANCE,
    });
    const clipped = step.grads.flat().map((g) => g * factor!);
    cases.push({
      name: `${name} clipped`,
      error: relativeError(clipped, step.clipped_grads.flat()),
      tolerance: TOLERANCE,
    });
    cases.push({
      name: `${name} params`,
      error: relativeError(await flat(p), step.params.flat()),
      tolerance: TOLERANCE,
    });
    cases.push({
      name: `${name} exp_avg`,
      error: relativeError(await flat(m), step.exp_avg.flat()),
      tolerance: TOLERANCE,
    });
    cases.push({
      name: `${name} exp_avg_sq`,
      error: relativeError(await flat(v), step.exp_avg_sq.flat()),
      tolerance: TOLERANCE,
    });
  }
  program.destroy();
  for (const arena of [parameters!, gradients!, expAvg!, expAvgSq!, decay]) arena.destroy();
  return cases;
}

export const adamwCheck: Check = {
  name: 'oracle: AdamW and clipping',
  async run(gpu, dir) {
    const cases: CheckCase[] = [];
    for (const test of readJsonFile(dir, 'optim', 'adamw.json') as AdamWCase[])
      cases.push(...(await checkAdamW(gpu, test)));
    return cases;
  },
};

interface SamplingCase {
  name: string;
  logits: number[];
  temperature: number;
  top_k: number;
  top_p: number;
  min_p: number;
  probs: number[];
}

/** Samples drawn per case: every draw is another slot and position, so other random numbers. */
const DRAWS = 2000;

async function checkSampling(gpu: Gpu, test: SamplingCase, index: number): Promise<CheckCase[]> {
  const vocabulary = test.logits.length;
  const bench = new Bench(gpu, 'sample');
  const key = deriveKey(7, index);
  const settings = packSettings({
    key,
    temperature: test.temperature,
    topK: test.top_k,
    topP: test.top_p,
    minP: test.min_p,
    stopTokens: [],
    lastPosition: 2 ** 31,
  });
  sample(bench.record, {
    logits: bench.input('logits', test.logits),
    entries: bench.ids('entries', Array.from({ length: DRAWS }, (_, i) => [0, i, i]).flat(), [DRAWS, ENTRY_WORDS]),
    live: bench.live(),
    settings: bench.ids('settings', Array.from({ length: DRAWS }, () => [...settings]).flat()),
    state: bench.ids('state', new Uint32Array(DRAWS * STATE_WORDS)),
    results: bench.ids('results', new Uint32Array(DRAWS * RESULT_WORDS)),
    control: bench.ids('control', [0, 0]),
    count: DRAWS,
    vocabulary,
    slots: DRAWS,
  });
  const [results] = await bench.run('results');
  const words = new Uint32Array(results!.buffer);
  const counts = new Array<number>(vocabulary).fill(0);
  let worstLogprob = 0;
  // log softmax(logits / temperature) before the filters; at temperature 1 when greedy
  const scaled = test.logits.map((z) => z / (test.temperature === 0 ? 1 : test.temperature));
  const largest = Math.max(...scaled);
  const logSum = Math.log(scaled.reduce((sum, z) => sum + Math.exp(z - largest), 0));
  for (let i = 0; i < DRAWS; i++) {
    const token = words[i * 2]!;
    if (token === NO_TOKEN || token >= vocabulary)
      return [{ name: `${test.name}: token ${token}`, error: NaN, tolerance: 0 }];
    counts[token]!++;
    worstLogprob = Math.max(worstLogprob, Math.abs(results![i * 2 + 1]! - (scaled[token]! - largest - logSum)));
  }
  return [
    ...frequencyCases(test.name, counts, test.probs),
    { name: `${test.name}: log-probability`, error: worstLogprob, tolerance: logprobTolerance(scaled) },
  ];
}

export const samplingCheck: Check = {
  name: 'oracle: sampling',
  async run(gpu, dir) {
    const cases: CheckCase[] = [];
    const tests = readJsonFile(dir, 'sampling', 'cases.json') as SamplingCase[];
    for (const [i, test] of tests.entries()) cases.push(...(await checkSampling(gpu, test, i)));
    return cases;
  },
};
