/** @file Our side: TrainProgram and AdamW, one submission a step, as Policy.update does it. */
import { BEHAVIOUR_FIELDS, LOSS_METRICS, Submission, groupRowsById } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { AdamW, TrainProgram, Weights } from '../../src/model';
import type { PackedBatch, TensorValues } from '../../src/model';
import { lossParameters, lossSettings } from '../../src/rl';
import { ADAMW, tokensPerStep } from './configs';
import type { BenchConfig } from './configs';
import type { Batch } from './data';
import type { Trainer, Tuning } from './trainer';

/** @param values initial weights by Hugging Face name */
export async function createOurs(gpu: Gpu, config: BenchConfig, values: TensorValues): Promise<Trainer> {
  const weights = await Weights.create(gpu, config.model);
  weights.write(values, 'bench');
  const gradients = await Weights.create(gpu, config.model, 'gradients');
  const optimizer = await AdamW.create(weights, gradients, { ...ADAMW, maxNorm: 0 });
  const tokens = tokensPerStep(config);
  const train = await TrainProgram.create(weights, gradients, { tokens, rows: tokens, sequences: config.batch });
  const totals = { tokens, sequences: config.batch, maxCompletionLength: config.length };
  Object.assign(train.loss, lossParameters('sft', lossSettings('sft'), totals));
  return {
    name: 'ours',
    tuning: () => tuningOf(gpu),
    async step(batch) {
      train.load(pack(batch, config));
      const submission = new Submission(gpu, 'train');
      gradients.clear(submission);
      train.clearMetrics(submission);
      train.forward(submission);
      train.backward(submission);
      const update = optimizer.update(submission, ADAMW.lr);
      const read = train.readMetrics(submission);
      submission.submit();
      const [metrics] = await Promise.all([read, update]);
      return new Float32Array(metrics)[LOSS_METRICS.indexOf('loss')]!;
    },
  };
}

/** What a tuner, where there is one, has done on this device. */
function tuningOf(gpu: Gpu): Tuning {
  const { tunerPipelines = 0, tunerMs = 0 }: Partial<Record<string, number>> = { ...gpu.stats };
  return { pipelines: tunerPipelines, ms: tunerMs };
}

/**
 * A batch in which every token carries loss. `packSequences` reads targets from the sequence itself, so the last token
 * of each would have none.
 */
function pack({ inputs, targets }: Batch, { batch, length, model }: BenchConfig): PackedBatch {
  const tokens = inputs.length;
  const ids = Uint32Array.from(inputs);
  const all = Uint32Array.from({ length: tokens }, (_, i) => i);
  return {
    tokens,
    rows: tokens,
    sequences: batch,
    ids,
    positions: all.map((i) => i % length),
    sequenceBegin: all.map((i) => i - (i % length)),
    sequenceEnd: all.map((i) => i - (i % length) + length),
    rowsById: groupRowsById(ids, model.vocabSize),
    rowToken: all,
    slot: all,
    targets: Uint32Array.from(targets),
    behaviour: new Float32Array(tokens * BEHAVIOUR_FIELDS),
    rowBegin: Uint32Array.from({ length: batch + 1 }, (_, i) => i * length),
    pairs: (batch * length * (length + 1)) / 2,
  };
}
