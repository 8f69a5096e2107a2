/**
 * @file The steady state of an optimizer step: what is submitted and created, and how long the host works before the GPU
 * has everything. Config S through Policy.update, as a run calls it.
 */
import { CharTokenizer, initialValues, tinyText } from '../../src/model';
import type { TrainingSequence } from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import { Policy, lossSettings } from '../../src/rl';
import { measure } from '../measure';
import type { Bench, Cost } from '../measure';
import { median } from '../statistics';
import { CONFIGS as TRAIN_CONFIGS } from '../train/configs';
import { makeSteadyReport } from './report';
import type { SteadyReport } from './report';

export { formatSteady, steadyProblems } from './report';
export type { SteadyReport } from './report';

const UNMEASURED_STEPS = 5;

export async function benchSteady(bench: Bench): Promise<SteadyReport> {
  const { gpu, options } = bench;
  const { model, batch, length } = options.quick ? TRAIN_CONFIGS.XS! : TRAIN_CONFIGS.S!;
  const steps = options.steps ?? (options.quick ? 3 : 100);
  const policy = await Policy.create(gpu, model, tinyText(new CharTokenizer('ab'), model), {
    optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.01, maxNorm: 1 },
    microBatchTokens: batch * length,
    generator: { slots: 1 },
  });
  policy.setWeights(initialValues(policy.weights, 1), 'bench');
  const sequences = fixedSequences(batch, length, model.vocabSize);
  const objective = {
    loss: 'prime' as const,
    settings: lossSettings('prime'),
    temperature: 1,
    sequences: batch,
    maxCompletionLength: length,
  };
  /** Milliseconds until everything is submitted. */
  let hostMs = 0;
  const step = () =>
    measure(bench, async () => {
      const begin = performance.now();
      const update = policy.update(sequences, objective, 1e-4);
      hostMs = performance.now() - begin; // update() runs up to its readback before it first waits
      await update;
    });
  for (let i = 0; i < UNMEASURED_STEPS; i++) await step();
  const liveBytes = gpu.liveBytes;
  const costs: Cost[] = [];
  const host: number[] = [];
  for (let i = 0; i < steps; i++) {
    costs.push(await step());
    host.push(hostMs);
  }
  const grown = gpu.liveBytes - liveBytes;
  policy.destroy();
  const ms = median(costs.map(({ wallMs }) => wallMs));
  bench.say(`steady: ${steps} steps of ${ms.toFixed(1)} ms`);
  return makeSteadyReport(batch * length, costs, host, grown);
}

function fixedSequences(count: number, length: number, vocabulary: number): TrainingSequence[] {
  const random = new Random(deriveKey(3));
  return Array.from({ length: count }, () => ({
    ids: Array.from({ length }, () => random.below(vocabulary)),
    mask: Array.from({ length }, (_, i) => Number(i >= length / 2)),
    oldLogprobs: Array.from({ length }, () => -Math.log(vocabulary)),
    advantage: random.normal(),
  }));
}
