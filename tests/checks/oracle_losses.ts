/** @file losses/*.json: every loss, its derivative and metrics; accumulation over micro-batches; entropy; advantages. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BEHAVIOUR_FIELDS, LOSS_METRICS, logitsBackward, logprob, policyLoss } from '../../src/kernels';
import type { Gpu, LossParameters } from '../../src/kernels';
import { advantages } from '../../src/rl/advantages';
import type { AdvantageName } from '../../src/rl/advantages';
import { penalized } from '../../src/rl/length_penalty';
import { lossParameters, lossSettings, referenceLoss } from '../../src/rl/losses';
import type { LossName, LossSettings, StepTotals } from '../../src/rl/losses';
import { readJsonFile } from './files';
import { Bench } from './harness';
import * as reference from './reference';
import { missing, relativeError } from './report';
import type { Check, CheckCase } from './report';

const TOLERANCE = 1e-4;
/** Errors below this times the tolerance pass where the reference vanishes. */
const FLOOR = 1e-2;

/** Settings of an oracle case under our names. */
export function oracleLossSettings(name: LossName, given: Record<string, unknown>): LossSettings {
  const names: Record<string, keyof LossSettings> = {
    eps_low: 'epsilonLow',
    eps_high: 'epsilonHigh',
    delta: 'delta',
    beta: 'beta',
    mask_low: 'maskLow',
    mask_high: 'maskHigh',
    kl_tau: 'klTau',
  };
  const settings: Partial<LossSettings> = {};
  for (const [key, ours] of Object.entries(names)) if (typeof given[key] === 'number') settings[ours] = given[key];
  if (typeof given.threshold === 'number') settings.maskLow = settings.maskHigh = given.threshold;
  return lossSettings(name, settings);
}

/** The oracle's names of advantages. */
const ADVANTAGES: Record<string, AdvantageName> = {
  group_mean: 'none',
  group_std: 'group',
  batch: 'batch',
  max_rl: 'max_rl',
};

interface LossParams extends Record<string, unknown> {
  kind: LossName;
  advantage: string | null;
  max_completion_length?: number;
}

interface LossCase {
  name: string;
  group_size: number;
  rewards: number[];
  mask: number[][];
  old: number[][];
  new: number[][];
  ref: number[][];
  advantages: Record<string, number[]>;
  metrics: { mismatch_kl: number; ref_kl_k3: number };
  losses: Record<
    string,
    {
      params: LossParams;
      loss: number;
      dloss_dnew: number[][];
      metrics: Record<string, number>;
      micro_losses?: Record<string, number[]>;
    }
  >;
  splits?: Record<string, number[][]>;
}

interface LengthPenaltyCase {
  name: string;
  group_size: number;
  rewards: number[];
  output_tokens: number[];
  input_tokens: number[];
  turns: number[];
  weights: { output_tokens: number; input_tokens: number; turns: number };
  advantages: number[];
}

interface Extra {
  length_penalty: LengthPenaltyCase[];
  cases: LossCase[];
  accumulation: LossCase[];
  entropy: EntropyCase[];
}

interface EntropyCase {
  name: string;
  coef: number;
  temperature: number;
  /** [rows, vocabulary] */
  logits: number[][];
  mask: number[];
  entropy: number[];
  loss: number;
  dloss_dlogits: number[][];
}

const EXTRA = 'losses/extra.json';

function readExtra(dir: string): Extra | undefined {
  return existsSync(join(dir, EXTRA)) ? (readJsonFile(dir, EXTRA) as Extra) : undefined;
}

interface Result {
  metrics: Record<(typeof LOSS_METRICS)[number], number>;
  /** Per row of the case, at its masked positions. */
  gradient: number[][];
}

/** Runs the loss kernel on some rows of a case. */
async function runLoss(
  gpu: Gpu,
  test: LossCase,
  rows: readonly number[],
  advantage: readonly number[],
  parameters: LossParameters,
): Promise<Result> {
  const kept = rows.map((r) => test.mask[r]!.flatMap((m, t) => (m ? [t] : [])));
  const begin = [0];
  for (const positions of kept) begin.push(begin.at(-1)! + positions.length);
  const gather = (values: number[][]) => rows.flatMap((r, i) => kept[i]!.map((t) => values[r]![t]!));
  const [now, old, ref] = [gather(test.new), gather(test.old), gather(test.ref)];
  const perRow = rows.flatMap((r, i) => kept[i]!.map(() => advantage[r]!));
  const count = begin.at(-1)!;
  const bench = new Bench(gpu, 'loss');
  policyLoss(bench.record, {
    begin: bench.ids('begin', begin),
    logprob: bench.input('new', count > 0 ? now : [0]),
    entropy: bench.input('entropy', new Float32Array(Math.max(1, count))),
    behaviour: bench.input(
      'behaviour',
      count > 0 ? now.flatMap((_, i) => [old[i]!, ref[i]!, perRow[i]!]) : new Float32Array(BEHAVIOUR_FIELDS),
    ),
    dlogprob: bench.output('gradient', [Math.max(1, count), 2]),
    sequenceMetrics: bench.output('per sequence', [rows.length, LOSS_METRICS.length]),
    metrics: bench.input('metrics', new Float32Array(LOSS_METRICS.length)),
    sequences: rows.length,
    parameters,
  });
  const [metrics, gradient] = await bench.run('metrics', 'gradient');
  return {
    metrics: Object.fromEntries(LOSS_METRICS.map((name, i) => [name, metrics![i]!])) as Result['metrics'],
    gradient: rows.map((_, i) => kept[i]!.map((_, t) => gradient![(begin[i]! + t) * 2]!)),
  };
}

function closeness(actual: number, expected: number): number {
  return Math.abs(actual - expected) / Math.max(Math.abs(expected), FLOOR);
}

function totalsOf(test: LossCase, params: LossParams): StepTotals {
  return {
    tokens: test.mask.flat().filter(Boolean).length,
    sequences: test.mask.length,
    maxCompletionLength: params.max_completion_length ?? 1,
  };
}

function masked(test: LossCase, values: number[][], rows: readonly number[]): number[] {
  return rows.flatMap((r) => values[r]!.filter((_, t) => test.mask[r]![t]));
}

async function checkCase(gpu: Gpu, test: LossCase): Promise<CheckCase[]> {
  const cases: CheckCase[] = [];
  const all = test.rewards.map((_, i) => i);
  const groups: number[][] = [];
  for (let at = 0; at < all.length; at += test.group_size) groups.push(test.rewards.slice(at, at + test.group_size));
  for (const [name, expected] of Object.entries(test.advantages)) {
    const ours = advantages(ADVANTAGES[name]!, groups).flat();
    const error = relativeError(ours, expected, FLOOR);
    cases.push({ name: `${test.name}: advantage ${name}`, error, tolerance: 1e-9 });
  }
  for (const [name, expected] of Object.entries(test.losses)) {
    const { params } = expected;
    const settings = oracleLossSettings(params.kind, params);
    const totals = totalsOf(test, params);
    const advantage = params.advantage === null ? all.map(() => 0) : test.advantages[params.advantage]!;
    const parameters = lossParameters(params.kind, settings, totals);
    const result = await runLoss(gpu, test, all, advantage, parameters);
    const wanted = masked(test, expected.dloss_dnew, all);
    const label = `${test.name}: ${name}`;
    cases.push({ name: `${label} loss`, error: closeness(result.metrics.loss, expected.loss), tolerance: TOLERANCE });
    const floor = FLOOR / Math.max(1, totals.tokens);
    cases.push({
      name: `${label} gradient`,
      error: relativeError(result.gradient.flat(), wanted, floor),
      tolerance: TOLERANCE,
    });
    for (const [metric, value] of Object.entries(expected.metrics)) {
      cases.push({
        name: `${label} ${metric}`,
        error: closeness(metricOf(metric, params.kind, result, totals), value),
        tolerance: TOLERANCE,
      });
    }

    // The float64 reference of rl/losses.ts, to nine digits (the fixtures hold eleven).
    const own = referenceLoss(
      params.kind,
      settings,
      totals,
      all.map((r) => ({
        new: masked(test, test.new, [r]),
        old: masked(test, test.old, [r]),
        reference: masked(test, test.ref, [r]),
        advantage: advantage[r]!,
      })),
    );
    cases.push({ name: `${label} float64 loss`, error: closeness(own.loss, expected.loss), tolerance: 1e-8 });
    cases.push({
      name: `${label} float64 gradient`,
      error: relativeError(own.gradient.flat(), wanted, floor),
      tolerance: 1e-8,
    });

    for (const [split, parts] of Object.entries(test.splits ?? {})) {
      const losses: number[] = [];
      const gradient: number[][] = all.map(() => []);
      for (const rows of parts) {
        const part = await runLoss(gpu, test, rows, advantage, parameters);
        losses.push(part.metrics.loss);
        rows.forEach((r, i) => (gradient[r] = part.gradient[i]!));
      }
      const inParts = relativeError(losses, expected.micro_losses![split]!, FLOOR);
      cases.push({ name: `${label} in ${split} micro-batches: losses`, error: inParts, tolerance: TOLERANCE });
      cases.push({
        name: `${label} in ${split} micro-batches: gradient`,
        error: relativeError(gradient.flat(), wanted, floor),
        tolerance: TOLERANCE,
      });
    }
  }
  const { tokens } = totalsOf(test, { kind: 'sft', advantage: null });
  const plain = await runLoss(
    gpu,
    test,
    all,
    all.map(() => 0),
    lossParameters('sft', lossSettings('sft'), { tokens, sequences: 1, maxCompletionLength: 1 }),
  );
  const { mismatch_kl: mismatch, ref_kl_k3: reference } = test.metrics;
  const perToken = (value: number) => value / Math.max(1, tokens);
  cases.push({
    name: `${test.name}: mismatch_kl`,
    error: closeness(perToken(plain.metrics.mismatchKl), mismatch),
    tolerance: TOLERANCE,
  });
  cases.push({
    name: `${test.name}: ref_kl_k3`,
    error: closeness(perToken(plain.metrics.referenceKl), reference),
    tolerance: TOLERANCE,
  });
  return cases;
}

function metricOf(metric: string, kind: LossName, { metrics: m }: Result, totals: StepTotals): number {
  const sums: Record<string, number> = {
    clip_low: m.clipLow,
    clip_high: m.clipHigh,
    clip_region: m.clipLow + m.clipHigh,
    masked: m.masked,
    masked_low: m.maskedLow,
    masked_high: m.maskedHigh,
    ref_kl: m.referenceLogRatio,
  };
  const sum = sums[metric];
  if (sum === undefined) return NaN;
  return sum / (kind === 'gspo' ? totals.sequences : Math.max(1, totals.tokens));
}

/** losses/cases.json and losses/extra.json. */
export const lossesCheck: Check = {
  name: 'oracle: losses, advantages, accumulation',
  async run(gpu, dir) {
    const cases: CheckCase[] = [];
    const tests = readJsonFile(dir, 'losses', 'cases.json') as LossCase[];
    const extra = readExtra(dir);
    if (extra) tests.push(...extra.cases, ...extra.accumulation);
    else cases.push(missing(EXTRA));
    for (const test of tests) cases.push(...(await checkCase(gpu, test)));
    return cases;
  },
};

/** The entropy bonus alone, through all three kernels: its value and its gradient by the logits. */
export const entropyCheck: Check = {
  name: 'oracle: entropy bonus',
  async run(gpu, dir) {
    const extra = readExtra(dir);
    if (!extra) return [missing(EXTRA)];
    const cases: CheckCase[] = [];
    for (const test of extra.entropy) cases.push(...(await checkEntropy(gpu, test)));
    return cases;
  },
};

async function checkEntropy(gpu: Gpu, test: EntropyCase): Promise<CheckCase[]> {
  // The loss kernel's rows are the tokens that count: those come first, the others after them and outside its sequence.
  const all = test.mask.map((_, i) => i);
  const order = [...all.filter((i) => test.mask[i]), ...all.filter((i) => !test.mask[i])];
  const ordered = <T>(values: readonly T[]) => order.map((i) => values[i]!);
  const rows = order.length;
  const count = test.mask.filter(Boolean).length;
  const vocabulary = test.logits[0]!.length;
  const targets = order.map((i) => i % vocabulary);
  const logits = ordered(test.logits).flat();
  // Sampled by the policy itself: the ratio is 1. Without an advantage nothing but the bonus is left of the loss.
  const old = reference.logprobs(logits, targets, vocabulary, test.temperature).logprob;
  const settings = lossSettings('dapo', { entropyCoefficient: test.coef });
  const bench = new Bench(gpu, 'entropy');
  const chunk = {
    logits: bench.input('logits', logits),
    targets: bench.ids('targets', targets),
    lse: bench.output('lse', [rows, 2]),
    entropy: bench.output('entropy', [rows]),
    rows,
    offset: 0,
    vocabulary,
    temperature: test.temperature,
  };
  const newLogprob = bench.output('logprob', [rows]);
  logprob(bench.record, { ...chunk, logprob: newLogprob });
  const dlogprob = bench.input('dlogprob', new Float32Array(rows * 2), [rows, 2]);
  policyLoss(bench.record, {
    begin: bench.ids('begin', [0, count]),
    logprob: newLogprob,
    entropy: chunk.entropy,
    behaviour: bench.input(
      'behaviour',
      old.flatMap((value) => [value, 0, 0]),
    ),
    dlogprob,
    sequenceMetrics: bench.output('per sequence', [1, LOSS_METRICS.length]),
    metrics: bench.input('metrics', new Float32Array(LOSS_METRICS.length)),
    sequences: 1,
    parameters: lossParameters('dapo', settings, { tokens: count, sequences: 1, maxCompletionLength: 1 }),
  });
  logitsBackward(bench.record, { ...chunk, dlogprob });
  const [entropy, gradient, metrics] = await bench.run('entropy', 'logits', 'metrics');
  const floor = (FLOOR * Math.abs(test.coef)) / Math.max(1, count);
  const loss = metrics![LOSS_METRICS.indexOf('loss')]!;
  return [
    {
      name: `${test.name} entropy`,
      error: relativeError(entropy!, ordered(test.entropy), FLOOR),
      tolerance: TOLERANCE,
    },
    { name: `${test.name} loss`, error: closeness(loss, test.loss), tolerance: TOLERANCE },
    {
      name: `${test.name} gradient`,
      error: relativeError(gradient!, ordered(test.dloss_dlogits).flat(), floor),
      tolerance: TOLERANCE,
    },
  ];
}

/** Rewards after the length penalty, as advantages, group by group. */
export const lengthPenaltyCheck: Check = {
  name: 'length penalty',
  run(_, dir) {
    if (!existsSync(join(dir, 'losses/extra.json'))) return Promise.resolve([missing('losses/extra.json')]);
    const { length_penalty: given } = readJsonFile(join(dir, 'losses/extra.json')) as Extra;
    const cases = given.map((each): CheckCase => {
      const { rewards, group_size: size, weights } = each;
      const costs = rewards.map((_reward, i) => ({
        outputTokens: each.output_tokens[i]!,
        inputTokens: each.input_tokens[i]!,
        turns: each.turns[i]!,
      }));
      const ours = { outputTokens: weights.output_tokens, inputTokens: weights.input_tokens, turns: weights.turns };
      const groups = Array.from({ length: rewards.length / size }, (_group, g) =>
        penalized(rewards.slice(g * size, (g + 1) * size), costs.slice(g * size, (g + 1) * size), ours),
      );
      const error = relativeError(advantages('none', groups).flat(), each.advantages, 1e-9);
      return { name: `length penalty, ${each.name}`, error, tolerance: 1e-9 };
    });
    return Promise.resolve(cases);
  },
};
