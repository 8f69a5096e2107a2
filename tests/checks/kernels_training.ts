/** @file The kernels of a training step's end: losses and their metrics, gradient norm, clipping, AdamW; and long grids. */
import {
  Arena,
  DECAY_BLOCK,
  Gpu,
  LOSS_METRICS,
  MAX_WORKGROUPS,
  Recorder,
  Submission,
  Tensor,
  adamw,
  embedding,
  logitsBackward,
  policyLoss,
  rmsnorm,
  swiglu,
} from '../../src/kernels';
import { LOSS_NAMES, lossParameters, lossSettings, referenceLoss } from '../../src/rl/losses';
import type { LossName, LossSettings, ReferenceSequence } from '../../src/rl/losses';
import { deviceWithLimits } from './device';
import { Bench, noise, numericGradient, quickNoise } from './harness';
import * as reference from './reference';
import { relativeError } from './report';
import type { Check, CheckCase } from './report';

const FORWARD = 1e-5;
const BACKWARD = 2e-5;

// ---- Losses ----

/** Tokens of each sequence: none, one, fewer and more than the 64 lanes; more sequences than lanes as well. */
const LENGTHS = [0, 1, 3, 64, 65, 150, ...Array.from({ length: 70 }, (_, i) => i % 7)];

/** Losses whose gradient is that of their value: the others hold something constant (`sg` in rl/losses.ts). */
const DIFFERENTIABLE: readonly LossName[] = ['sft', 'grpo', 'bnpo', 'dr_grpo', 'dapo', 'gspo', 'prime', 'ipo'];

/** What the kernel counts besides the loss, by metric, from the definitions in oracle/README.md. */
function referenceMetrics(
  name: LossName,
  settings: LossSettings,
  sequences: readonly ReferenceSequence[],
  entropies: readonly number[],
): Record<Exclude<(typeof LOSS_METRICS)[number], 'loss'>, number> {
  const m = {
    entropy: entropies.reduce((a, b) => a + b, 0),
    clipLow: 0,
    clipHigh: 0,
    masked: 0,
    maskedLow: 0,
    maskedHigh: 0,
    mismatchKl: 0,
    referenceKl: 0,
    referenceLogRatio: 0,
    maxLogRatio: 0,
    tokens: 0,
    logprob: 0,
  };
  for (const sequence of sequences) {
    const gaps = sequence.new.map((value, t) => value - sequence.old[t]!);
    const mean = gaps.reduce((a, b) => a + b, 0) / Math.max(1, gaps.length);
    const clipped = { low: 0, high: 0 };
    gaps.forEach((gap, t) => {
      const A = name === 'distill' ? sequence.reference[t]! - sequence.new[t]! : sequence.advantage;
      const raw = Math.exp(name === 'gspo' ? mean : gap);
      const ratio = settings.delta > 0 ? Math.min(raw, settings.delta) : raw;
      if (['grpo', 'bnpo', 'dr_grpo', 'dapo', 'gspo'].includes(name)) {
        if (ratio < 1 - settings.epsilonLow && A < 0) clipped.low++;
        if (ratio > 1 + settings.epsilonHigh && A > 0) clipped.high++;
      }
      if (name === 'cispo' && raw > settings.epsilonHigh && A > 0) clipped.high++;
      if (['prime', 'ipo', 'distill'].includes(name)) {
        const moved = Math.exp(sequence.new[t]!) - Math.exp(sequence.old[t]!);
        const rose = moved > settings.maskHigh && (name !== 'prime' || A > 0);
        const fell = moved < -settings.maskLow && (name !== 'prime' || A <= 0);
        m.masked += Number(rose || fell);
        m.maskedLow += Number(fell && A < 0);
        m.maskedHigh += Number(rose && A > 0);
      }
      const toReference = sequence.reference[t]! - sequence.new[t]!;
      m.mismatchKl += Math.exp(gap) - gap - 1;
      m.referenceKl += Math.exp(toReference) - toReference - 1;
      m.referenceLogRatio += toReference;
      m.maxLogRatio = Math.max(m.maxLogRatio, Math.abs(gap));
      m.tokens++;
      m.logprob += sequence.new[t]!;
    });
    // gspo clips whole sequences.
    m.clipLow += name === 'gspo' ? Math.min(1, clipped.low) : clipped.low;
    m.clipHigh += name === 'gspo' ? Math.min(1, clipped.high) : clipped.high;
  }
  return m;
}

const policyLossCheck: Check = {
  name: 'losses, their derivatives and metrics',
  async run(gpu) {
    const cases: CheckCase[] = [];
    for (const [index, name] of LOSS_NAMES.entries()) {
      cases.push(...(await checkLoss(gpu, name, lossSettings(name), index)));
      const everything = { beta: 0.04, entropyCoefficient: 0.02, delta: 1.6 };
      cases.push(...(await checkLoss(gpu, name, lossSettings(name, everything), index + 100, ' with everything on')));
    }
    return cases;
  },
};

async function checkLoss(
  gpu: Gpu,
  name: LossName,
  settings: LossSettings,
  seed: number,
  suffix = '',
): Promise<CheckCase[]> {
  const sequences = LENGTHS.map((length, s): ReferenceSequence => {
    // Probabilities far enough from 0 that masks by p - q take effect.
    const now = [...noise(length, 80, seed, s)].map((v) => -0.2 - Math.abs(v));
    const near = (path: number, spread: number) =>
      [...noise(length, path, seed, s)].map((v, t) => Math.fround(Math.min(-0.01, now[t]! + spread * v)));
    return {
      new: now.map(Math.fround),
      old: near(81, 0.3),
      reference: near(82, 0.3),
      advantage: noise(1, 83, seed, s)[0]!,
    };
  });
  const rows = LENGTHS.reduce((a, b) => a + b, 0);
  const begin = LENGTHS.reduce((list, length) => [...list, list.at(-1)! + length], [0]);
  const entropies = [...noise(rows, 84, seed)].map(Math.abs).map(Math.fround);
  // As of a step of which this is one micro-batch.
  const totals = { tokens: 2 * rows, sequences: 2 * LENGTHS.length, maxCompletionLength: 200 };
  const parameters = lossParameters(name, settings, totals);
  const started = noise(LOSS_METRICS.length, 85).map((v) => Math.fround(Math.abs(v) / 10));

  const bench = new Bench(gpu, 'loss');
  policyLoss(bench.record, {
    begin: bench.ids('begin', begin),
    logprob: bench.input(
      'new',
      sequences.flatMap((sequence) => sequence.new),
    ),
    entropy: bench.input('entropy', entropies),
    behaviour: bench.input(
      'behaviour',
      sequences.flatMap(({ old, reference: ref, advantage }) => old.flatMap((value, t) => [value, ref[t]!, advantage])),
    ),
    dlogprob: bench.output('derivative', [rows, 2]),
    sequenceMetrics: bench.output('per sequence', [LENGTHS.length, LOSS_METRICS.length]),
    metrics: bench.input('metrics', started),
    sequences: LENGTHS.length,
    parameters,
  });
  const [derivative, metrics] = await bench.run('derivative', 'metrics');

  const expected = referenceLoss(name, settings, totals, sequences);
  const weightOf = (length: number) => 1 / (parameters.normalizer * (parameters.perSequence ? length : 1));
  const bonus = LENGTHS.flatMap((length) =>
    new Array<number>(length).fill(settings.entropyCoefficient * weightOf(length)),
  );
  const loss = expected.loss - bonus.reduce((sum, weight, row) => sum + weight * entropies[row]!, 0);
  const measured = { loss, ...referenceMetrics(name, settings, sequences, entropies) };
  const label = `${name}${suffix}`;
  const cases: CheckCase[] = LOSS_METRICS.map((metric, i) => {
    const before = started[i]!;
    const wanted = metric === 'maxLogRatio' ? Math.max(before, measured[metric]) : before + measured[metric];
    return {
      name: `${label}: ${metric}, added`,
      error: Math.abs(metrics![i]! - wanted) / Math.max(Math.abs(wanted), 0.1),
      tolerance: FORWARD,
    };
  });
  const every = (which: number) => derivative!.filter((_, i) => i % 2 === which);
  const gradient = expected.gradient.flat();
  cases.push({ name: `${label}: derivative`, error: relativeError(every(0), gradient), tolerance: BACKWARD });
  cases.push({ name: `${label}: weight of the entropy`, error: relativeError(every(1), bonus), tolerance: FORWARD });
  if (DIFFERENTIABLE.includes(name)) {
    const numeric = sequences.flatMap((sequence) => [
      ...numericGradient(
        (at) => referenceLoss(name, settings, totals, [{ ...sequence, new: [...at] }]).loss,
        Float64Array.from(sequence.new),
      ),
    ]);
    cases.push({ name: `${label}: finite differences`, error: relativeError(every(0), numeric), tolerance: BACKWARD });
  }
  return cases;
}

// ---- AdamW ----

/** Lengths of the parameters in the arena: odd ones, so that padding lies between them; 1.3 million in all. */
const PARAMETERS = [400_001, 77, 300_000, 64, 450_003, 150_000];
const DECAYS = [0.1, 0, 0.3, 0, 0.02, 0.2];

/** The largest binding of the device on which arenas go in ranges: each holds half a million elements. */
const SMALL_BINDING = 2 * 2 ** 20;

const adamwCheck: Check = {
  name: 'gradient norm, clipping and AdamW over 1.3 million parameters, in one range and in three',
  async run(gpu) {
    const device = deviceWithLimits(gpu.device, { maxStorageBufferBindingSize: SMALL_BINDING });
    const small = Gpu.fromDevice(device, 'small bindings');
    return [...(await checkAdamW(gpu, 'one range', 1)), ...(await checkAdamW(small, 'three ranges', 3))];
  },
};

async function checkAdamW(gpu: Gpu, name: string, ranges: number): Promise<CheckCase[]> {
  const arenas = await Promise.all(
    ['parameters', 'gradients', 'exp_avg', 'exp_avg_sq'].map((label) =>
      Arena.create(
        gpu,
        label,
        PARAMETERS.map((length, i) => new Tensor(`${i}`, [length])),
      ),
    ),
  );
  const [parameters, gradients, expAvg, expAvgSq] = arenas as [Arena, Arena, Arena, Arena];
  const { length } = parameters;
  const decay = await Arena.create(gpu, 'decay', [new Tensor('decay', [length / DECAY_BLOCK])]);
  const table = new Float32Array(length / DECAY_BLOCK);
  // Padding is zero in every arena, as Arena.create leaves it.
  const values = arenas.map(() => new Float32Array(length));
  PARAMETERS.forEach((size, i) => {
    const begin = parameters.get(`${i}`).offset / 4;
    table.fill(DECAYS[i]!, begin / DECAY_BLOCK, Math.ceil((begin + size) / DECAY_BLOCK));
    values.forEach((list, which) => {
      const noise = quickNoise(size, 10 * i + which);
      list.set(which === 3 ? noise.map(Math.abs) : noise, begin);
    });
  });
  arenas.forEach((arena, which) => arena.write(values[which]!));
  gpu.write(decay.get('decay').buffer, 0, table);

  const [beta1, beta2, epsilon, lr, t, maxNorm] = [0.9, 0.95, 1e-8, 0.05, 3, 1];
  const record = new Recorder(gpu, 'adamw');
  const clip = adamw(record, {
    parameters,
    gradients,
    expAvg,
    expAvgSq,
    decay,
    beta1,
    beta2,
    epsilon,
    lr,
    stepSize: lr / (1 - beta1 ** t),
    inverseSqrtCorrection2: 1 / Math.sqrt(1 - beta2 ** t),
    maxNorm,
  });
  const program = await record.finish({ keep: [clip] });
  const run = async () => {
    const submission = new Submission(gpu).run(program);
    // Long arenas are read in pieces as well: one copy may be as long as it likes, one binding not.
    const reads = [parameters, expAvg, expAvgSq].map((arena) => submission.read(arena.flat()[0]!));
    const clipped = submission.read(clip);
    submission.submit();
    const [p, m, v] = (await Promise.all(reads)).map((bytes) => new Float32Array(bytes)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    return { p, m, v, clip: await clipped };
  };
  const kernels = program.costs().map(({ kernel }) => kernel);
  const { p, m, v, clip: words } = await run();

  const [p0, g, m0, v0] = values as [Float32Array, Float32Array, Float32Array, Float32Array];
  const norm = Math.sqrt(g.reduce((sum, value) => sum + value ** 2, 0));
  const factor = Math.min(1, maxNorm / (norm + 1e-6));
  const expected = { p: new Float64Array(length), m: new Float64Array(length), v: new Float64Array(length) };
  for (let i = 0; i < length; i++) {
    const gradient = g[i]! * factor;
    const first = (expected.m[i] = beta1 * m0[i]! + (1 - beta1) * gradient);
    const second = (expected.v[i] = beta2 * v0[i]! + (1 - beta2) * gradient ** 2);
    const decayed = p0[i]! * (1 - lr * table[Math.floor(i / DECAY_BLOCK)]!);
    const denominator = Math.sqrt(second) / Math.sqrt(1 - beta2 ** t) + epsilon;
    expected.p[i] = decayed - ((lr / (1 - beta1 ** t)) * first) / denominator;
  }
  const [ourNorm, ourFactor] = new Float32Array(words);
  const cases: CheckCase[] = [
    {
      name: `${name}: dispatches of each kernel`,
      error: ['grad_norm', 'grad_clip', 'adamw'].filter(
        (kernel, i) => kernels.filter((each) => each === kernel).length !== (i === 1 ? 1 : ranges),
      ).length,
      tolerance: 0,
    },
    { name: `${name}: norm`, error: Math.abs(ourNorm! / norm - 1), tolerance: 1e-6 },
    { name: `${name}: clip factor`, error: Math.abs(ourFactor! / factor - 1), tolerance: 1e-6 },
    { name: `${name}: finite`, error: new Uint32Array(words)[2] === 1 ? 0 : 1, tolerance: 0 },
    { name: `${name}: parameters`, error: relativeError(p, expected.p), tolerance: 1e-6 },
    { name: `${name}: exp_avg`, error: relativeError(m, expected.m), tolerance: 1e-6 },
    { name: `${name}: exp_avg_sq`, error: relativeError(v, expected.v), tolerance: 1e-6 },
  ];
  // One bad value, in the last range: nothing changes.
  for (const bad of [NaN, -Infinity]) {
    gpu.write(gradients.flat()[0]!.buffer, 4 * (length - DECAY_BLOCK), Float32Array.of(bad));
    const after = await run();
    const changed = [after.p.some((x, i) => x !== p[i]), after.m.some((x, i) => x !== m[i])].filter(Boolean).length;
    const flagged = new Uint32Array(after.clip)[2] === 0;
    cases.push({
      name: `${name}: a gradient of ${bad} changes nothing`,
      error: changed + Number(!flagged),
      tolerance: 0,
    });
  }
  program.destroy();
  for (const arena of [...arenas, decay]) arena.destroy();
  return cases;
}

// ---- Grids that are folded into two dimensions ----

/** Rows at and after which a grid of one row per workgroup of 64 threads has more than one line. */
const LONG = 64 * MAX_WORKGROUPS;

const longGridCheck: Check = {
  name: 'grids of more than 65,535 workgroups',
  async run(gpu) {
    const cases: CheckCase[] = [];
    const compare = (name: string, ours: ArrayLike<number>, expected: ArrayLike<number>) =>
      cases.push({ name, error: relativeError(ours, expected), tolerance: FORWARD });

    // One thread per element.
    const dim = 257;
    const rows = Math.ceil(LONG / dim) + 50;
    const weight = quickNoise(11 * dim, 1);
    const ids = Uint32Array.from({ length: rows }, (_, r) => (r * 7 + (r >> 8)) % 11);
    const embedded = new Bench(gpu);
    embedding(embedded.record, {
      ids: embedded.ids('ids', ids),
      weight: embedded.input('weight', weight),
      out: embedded.output('out', [rows, dim]),
      live: embedded.live(),
      rows,
      dim,
    });
    const [out] = await embedded.run('out');
    compare(
      `embedding of ${rows} x ${dim}`,
      out!,
      out!.map((_, at) => weight[ids[Math.floor(at / dim)]! * dim + (at % dim)]!),
    );

    const gateUp = quickNoise(rows * 2 * dim, 2);
    const gated = new Bench(gpu);
    swiglu(gated.record, {
      gateUp: gated.input('gate up', gateUp),
      act: gated.output('act', [rows, dim]),
      live: gated.live(),
      rows,
      width: dim,
    });
    const [act] = await gated.run('act');
    compare(`swiglu of ${rows} x ${dim}`, act!, reference.swiglu(gateUp, rows, dim));

    // 64 / lanes rows per workgroup.
    const short = LONG + 200;
    const x = quickNoise(short, 3);
    const normed = new Bench(gpu);
    rmsnorm(normed.record, {
      x: normed.input('x', x),
      weight: normed.input('weight', [1.5]),
      y: normed.output('y', [short, 1]),
      rstd: normed.output('rstd', [short]),
      live: normed.live(),
      rows: short,
      dim: 1,
      eps: 0.1,
    });
    const [y] = await normed.run('y');
    compare(`rmsnorm of ${short} x 1`, y!, reference.rmsnorm(x, [1.5], 1, 0.1));

    // Logits of a row are many: p = exp(logit), since all log-sum-exps are zero here.
    const logits = quickNoise(rows * dim, 4);
    const targets = Uint32Array.from({ length: rows }, (_, r) => (r * 5) % dim);
    const weights = Float32Array.from({ length: 2 * rows }, (_, i) => (i % 2 === 0 ? 1 + (i % 3) : 0));
    const scored = new Bench(gpu);
    logitsBackward(scored.record, {
      logits: scored.input('logits', logits),
      targets: scored.ids('targets', targets),
      lse: scored.input('lse', new Float32Array(2 * rows)),
      entropy: scored.input('entropy', new Float32Array(rows)),
      dlogprob: scored.input('weights', weights),
      rows,
      offset: 0,
      vocabulary: dim,
      temperature: 1,
    });
    const [dlogits] = await scored.run('logits');
    compare(
      `gradient of logits of ${rows} x ${dim}`,
      dlogits!,
      logits.map((z, at) => {
        const row = Math.floor(at / dim);
        return weights[2 * row]! * (Number(at % dim === targets[row]) - Math.exp(z));
      }),
    );
    return cases;
  },
};

export const trainingKernelChecks: Check[] = [policyLossCheck, adamwCheck, longGridCheck];
