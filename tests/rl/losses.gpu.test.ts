/**
 * @file Every loss with every setting together, from logits to the gradient by the logits, against central differences in
 * float64: what the oracle's fixtures, one term at a time, do not show.
 */
import { beforeAll, expect, it } from 'vitest';
import { LOSS_METRICS, logitsBackward, logprob, policyLoss } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { LOSS_NAMES, lossParameters, lossSettings } from '../../src/rl';
import type { LossName, LossSettings } from '../../src/rl';
import { Bench, noise, numericGradient } from '../checks/harness';
import { logprobs } from '../checks/reference';
import { relativeError } from '../checks/report';
import { freeze, split, surrogateOfLogits } from '../checks/surrogate';
import { testGpu } from '../gpu';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

const VOCABULARY = 19;
const LENGTHS = [7, 1, 0, 12, 3];
const ROWS = LENGTHS.reduce((a, b) => a + b, 0);
const ADVANTAGES = [1.1, -0.6, 2, -1.4, 0.5];
const TOTALS = { tokens: ROWS, sequences: LENGTHS.length, maxCompletionLength: 15 };

const SETTINGS: [string, Partial<LossSettings>][] = [
  ['alone', {}],
  ['with KL, entropy bonus and two-sided clip', { beta: 0.3, entropyCoefficient: 0.7, delta: 1.25 }],
  [
    'with an entropy penalty and tight limits',
    { entropyCoefficient: -0.2, epsilonLow: 0.05, epsilonHigh: 0.06, maskLow: 0.02, maskHigh: 0.03, klTau: 0.5 },
  ],
];
const CASES = LOSS_NAMES.flatMap((name) =>
  SETTINGS.flatMap(([label, given]) => [1, 0.7].map((temperature) => ({ name, label, given, temperature }))),
);

/** Rows whose policy has moved a little from the one that sampled, in both directions, and is some way from the reference. */
function data(temperature: number) {
  const logits = noise(ROWS * VOCABULARY, 1).map((value) => Math.fround(1.5 * value));
  // Every other target is a likely one: only large probabilities can move far.
  const targets = Array.from({ length: ROWS }, (_, row) => {
    const values = [...logits.slice(row * VOCABULARY, (row + 1) * VOCABULARY)];
    return row % 2 === 0 ? values.indexOf(Math.max(...values)) : (row * 5) % VOCABULARY;
  });
  const now = logprobs(logits, targets, VOCABULARY, temperature).logprob;
  const [moved, apart] = [noise(ROWS, 2), noise(ROWS, 3)];
  const old = now.map((value, row) => Math.fround(Math.min(-1e-3, value + 0.3 * moved[row]!)));
  const reference = now.map((value, row) => Math.fround(value + 0.5 * apart[row]!));
  const empty = LENGTHS.map((length, s) => ({ old: new Array<number>(length).fill(0), reference: [], advantage: s }));
  const [olds, references] = [split(old, empty), split(reference, empty)];
  const sequences = LENGTHS.map((_, s) => ({
    old: olds[s]!,
    reference: references[s]!,
    advantage: Math.fround(ADVANTAGES[s]!),
  }));
  return { logits, targets, now: split(now, empty), old, reference, sequences };
}

it.each(CASES)('$name $label, temperature $temperature', async ({ name, given, temperature }) => {
  const { logits, targets, now, old, reference, sequences } = data(temperature);
  const settings = lossSettings(name, given);
  const frozen = freeze(name, settings, sequences, now);
  const loss = surrogateOfLogits(
    name,
    settings,
    TOTALS,
    sequences,
    { targets, vocabulary: VOCABULARY, temperature },
    frozen,
  );
  const expected = numericGradient(loss, logits);
  const { gradient, metrics } = await onGpu(name, settings, temperature);
  expect(relativeError(gradient, expected)).toBeLessThan(2e-5);
  const value = metrics[LOSS_METRICS.indexOf('loss')]!;
  // cispo's value is its own: the factor that the gradient does not see is part of it all the same.
  expect(Math.abs(value - loss(logits))).toBeLessThan(2e-5 * Math.max(1, Math.abs(loss(logits))));

  async function onGpu(kind: LossName, parameters: LossSettings, temperature: number) {
    const bench = new Bench(gpu, 'losses');
    const chunk = {
      logits: bench.input('logits', logits),
      targets: bench.ids('targets', targets),
      lse: bench.output('lse', [ROWS, 2]),
      entropy: bench.output('entropy', [ROWS]),
      rows: ROWS,
      offset: 0,
      vocabulary: VOCABULARY,
      temperature,
    };
    const newLogprob = bench.output('logprob', [ROWS]);
    logprob(bench.record, { ...chunk, logprob: newLogprob });
    const advantage = sequences.flatMap(({ old: rows, advantage: a }) => rows.map(() => a));
    const begin = [0];
    for (const length of LENGTHS) begin.push(begin.at(-1)! + length);
    const dlogprob = bench.output('dlogprob', [ROWS, 2]);
    policyLoss(bench.record, {
      begin: bench.ids('begin', begin),
      logprob: newLogprob,
      entropy: chunk.entropy,
      behaviour: bench.input(
        'behaviour',
        old.flatMap((value, row) => [value, reference[row]!, advantage[row]!]),
      ),
      dlogprob,
      sequenceMetrics: bench.output('per sequence', [LENGTHS.length, LOSS_METRICS.length]),
      metrics: bench.input('metrics', new Float32Array(LOSS_METRICS.length)),
      sequences: LENGTHS.length,
      parameters: lossParameters(kind, parameters, TOTALS),
    });
    logitsBackward(bench.record, { ...chunk, dlogprob });
    const [dlogits, sums] = await bench.run('logits', 'metrics');
    return { gradient: dlogits!, metrics: sums! };
  }
});

it('the cases above have tokens on every side of every limit', () => {
  const { now, sequences } = data(1);
  const sides = new Set<string>();
  now.forEach((values, s) => {
    const { old, advantage } = sequences[s]!;
    values.forEach((value, t) => {
      const ratio = Math.exp(value - old[t]!);
      const sign = advantage > 0 ? 'good' : 'bad';
      sides.add(`${sign} ${ratio < 0.8 ? 'low' : ratio > 1.25 ? 'far' : ratio > 1.2 ? 'high' : 'inside'}`);
      const moved = Math.exp(value) - Math.exp(old[t]!);
      sides.add(`${sign} ${moved > 0.03 ? 'rose' : moved < -0.02 ? 'fell' : 'stayed'}`);
    });
  });
  for (const sign of ['good', 'bad']) {
    for (const side of ['low', 'far', 'inside', 'rose', 'fell', 'stayed']) expect(sides).toContain(`${sign} ${side}`);
  }
});
