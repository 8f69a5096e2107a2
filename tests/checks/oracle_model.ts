/** @file Forward pass and every parameter's gradient against the float64 oracle. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Submission } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { Generator, TrainProgram, Weights, loadCheckpoint, packSequences, parseSafetensors } from '../../src/model';
import type { Storage, TrainingSequence } from '../../src/model';
import { lossParameters } from '../../src/rl/losses';
import type { LossName } from '../../src/rl/losses';
import { diskFolder } from '../../cli/files';
import { readFixture, readJsonFile } from './files';
import type { FixtureTensor } from './files';
import { oracleLossSettings } from './oracle_losses';
import { missing, relativeError } from './report';
import type { Check, CheckCase } from './report';

const FORWARD_TOLERANCE = 1e-4;
const GRADIENT_TOLERANCE = 5e-4;
const LOSS_TOLERANCE = 1e-4;

/** Every model in `models/`: logits, log-probabilities, entropies, hidden states. */
export const forwardCheck: Check = {
  name: 'oracle: forward',
  async run(gpu, dir) {
    const cases: CheckCase[] = [];
    for (const { model, fixture } of forwardFixtures(dir)) {
      if (fixture) {
        cases.push(...(await checkForward(gpu, dir, model, fixture, 'f32')));
        const own = storedAs(dir, model);
        if (own !== 'f32') cases.push(...(await checkForward(gpu, dir, model, fixture, own)));
      } else cases.push(missing(`forward/${model}.safetensors`));
    }
    return cases;
  },
};

/** Every model of `models/`, with its fixture where there is one. */
function forwardFixtures(dir: string): { model: string; fixture: Map<string, FixtureTensor> | undefined }[] {
  return readdirSync(join(dir, 'models'))
    .sort()
    .map((model) => {
      const path = join(dir, 'forward', `${model}.safetensors`);
      return { model, fixture: existsSync(path) ? readFixture(path) : undefined };
    });
}

/** How a checkpoint's matrices are stored. */
function storedAs(dir: string, model: string): Storage {
  const folder = join(dir, 'models', model);
  const file = readdirSync(folder).find((name) => name.endsWith('.safetensors'))!;
  const { entries } = parseSafetensors(readFileSync(join(folder, file)), file);
  return [...entries.values()][0]!.dtype.toLowerCase() as Storage;
}

/** Rows up to this length come with their hidden states. */
const HIDDEN_STATES_UP_TO = 32;

async function checkForward(
  gpu: Gpu,
  dir: string,
  model: string,
  fixture: Map<string, FixtureTensor>,
  storage: Storage,
): Promise<CheckCase[]> {
  const { config, tensors } = await loadCheckpoint(diskFolder(join(dir, 'models', model)));
  const weights = await Weights.create(gpu, config, 'parameters', { storage });
  weights.write(tensors, model);
  const length = fixture.get('input_ids')!.shape[1]!;
  const ids = fixture.get('input_ids')!.values;
  const lengths = [...fixture.get('lengths')!.values];

  // A row exists only where a next token is asked for. The last position of a row is reached by a made-up next token,
  // whose own log-probability is not compared.
  const sequences: TrainingSequence[] = lengths.map((n, b) => ({
    ids: [...ids.slice(b * length, b * length + n), 0],
    mask: [0, ...new Array<number>(n).fill(1)],
  }));
  const packed = packSequences(sequences, config);
  const capacity = { tokens: packed.tokens, rows: packed.rows, sequences: packed.sequences };
  const train = await TrainProgram.create(weights, null, { ...capacity, inspect: true });
  const cases: CheckCase[] = [];
  const compare = (name: string, actual: Float32Array, width: number, skipLast: boolean) => {
    const expected = fixture.get(name);
    if (!expected) {
      const optional = (name.startsWith('hidden.') || name === 'final_norm') && length > HIDDEN_STATES_UP_TO;
      if (!optional) cases.push(missing(`${model} ${name}`));
      return;
    }
    const stride = expected.shape[1]!;
    const a: number[] = [];
    const e: number[] = [];
    let row = 0;
    lengths.forEach((n, b) => {
      for (let t = 0; t < n; t++, row++) {
        if (skipLast && t === n - 1) continue;
        for (let i = 0; i < width; i++) {
          a.push(actual[row * width + i]!);
          e.push(expected.values[(b * stride + t) * width + i]!);
        }
      }
    });
    const tolerance = FORWARD_TOLERANCE;
    if (e.length > 0) cases.push({ name: `${model} in ${storage} ${name}`, error: relativeError(a, e), tolerance });
  };
  for (const [suffix, temperature] of [
    ['t1', 1],
    ['t07', 0.7],
  ] as const) {
    train.temperature = temperature;
    train.load(packed);
    const run = new Submission(gpu);
    train.forward(run);
    const read = (name: string) => {
      const tensor = train.tensors.get(name)!;
      return run.read(tensor);
    };
    const logprobs = train.readLogprobs(run);
    const entropies = train.readEntropies(run);
    const logits = read('logits');
    const finalNorm = read('final_norm');
    const hidden = Array.from({ length: config.layers + 1 }, (_, i) => read(`hidden.${i}`));
    run.submit();
    compare(`logprobs_${suffix}`, new Float32Array(await logprobs), 1, true);
    compare(`entropy_${suffix}`, new Float32Array(await entropies), 1, false);
    if (temperature !== 1) continue;
    compare('logits', new Float32Array(await logits), config.vocabSize, false);
    compare('final_norm', new Float32Array(await finalNorm), config.hiddenSize, false);
    // Hidden states exist for every token, the made-up last one of each row included: drop it.
    for (const [i, bytes] of hidden.entries()) {
      const all = new Float32Array(await bytes);
      const kept: number[] = [];
      let token = 0;
      for (const n of lengths) {
        kept.push(...all.slice(token * config.hiddenSize, (token + n) * config.hiddenSize));
        token += n + 1;
      }
      compare(`hidden.${i}`, Float32Array.from(kept), config.hiddenSize, false);
    }
  }
  train.destroy();
  weights.destroy();
  return cases;
}

/**
 * Every model again, token by token through the key-value cache: each position's logits from a sequence that holds the
 * positions before it in the cache and computes one new row.
 */
export const cacheCheck: Check = {
  name: 'oracle: forward through the key-value cache',
  async run(gpu, dir) {
    const cases: CheckCase[] = [];
    for (const { model, fixture } of forwardFixtures(dir)) {
      if (!fixture) {
        cases.push(missing(`forward/${model}.safetensors`));
        continue;
      }
      const { config, tensors } = await loadCheckpoint(diskFolder(join(dir, 'models', model)));
      const weights = await Weights.create(gpu, config);
      weights.write(tensors, model);
      const generator = await Generator.create(weights, { slots: 1 });
      const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens: 1, stopTokens: [] };
      const [, length] = fixture.get('input_ids')!.shape as [number, number];
      const ids = [...fixture.get('input_ids')!.values];
      const ours: number[] = [];
      const expected: number[] = [];
      for (const [b, n] of fixture.get('lengths')!.values.entries()) {
        let continues: number | undefined;
        for (let t = 0; t < n; t++) {
          const promptIds = ids.slice(b * length, b * length + t + 1);
          continues = (await generator.generate({ promptIds, sampling, key: [0, 0], continues })).cacheId;
          const submission = new Submission(gpu);
          const read = submission.read(generator.logits, config.vocabSize);
          submission.submit();
          ours.push(...new Float32Array(await read));
          const at = (b * length + t) * config.vocabSize;
          expected.push(...fixture.get('logits')!.values.slice(at, at + config.vocabSize));
        }
      }
      cases.push({ name: `${model} logits`, error: relativeError(ours, expected), tolerance: FORWARD_TOLERANCE });
      const tokens = fixture.get('lengths')!.values.reduce((sum, n) => sum + n, 0);
      cases.push({
        name: `${model} rows computed per token`,
        error: generator.stats.prefillTokens / tokens,
        tolerance: 1,
      });
      generator.destroy();
      weights.destroy();
    }
    return cases;
  },
};

interface LossCase {
  file: string;
  kind: LossName;
  temperature: number;
  loss: number;
  old?: string;
  advantage?: string;
  max_completion_length?: number;
  eps_low?: number;
  eps_high?: number;
  beta?: number;
  mask_low?: number;
  mask_high?: number;
  kl_tau?: number;
}

/** Every model and loss in `backward/`: the loss, its derivative per token, every parameter's gradient. */
export const backwardCheck: Check = {
  name: 'oracle: backward',
  async run(gpu, dir) {
    const index = readJsonFile(dir, 'cases.json') as {
      backward: Record<string, { inputs: string; losses: Record<string, LossCase> }>;
    };
    const cases: CheckCase[] = [];
    // Models without fixtures, and fixtures that the index does not know, would go unseen.
    const files = (folder: string) => (existsSync(join(dir, folder)) ? readdirSync(join(dir, folder)) : []);
    for (const model of new Set([...files('models'), ...files('backward')])) {
      const listed = index.backward[model];
      if (!listed || Object.keys(listed.losses).length === 0) cases.push(missing(`backward of ${model} in cases.json`));
      const known = [listed?.inputs, ...Object.values(listed?.losses ?? {}).map(({ file }) => file)];
      for (const file of files(`backward/${model}`).map((name) => `backward/${model}/${name}`)) {
        if (!known.includes(file)) cases.push(missing(`${file} in cases.json`));
      }
    }
    for (const [model, { inputs, losses }] of Object.entries(index.backward)) {
      cases.push(...(await checkBackward(gpu, dir, model, readFixture(dir, inputs), losses)));
    }
    return cases;
  },
};

async function checkBackward(
  gpu: Gpu,
  dir: string,
  model: string,
  inputs: Map<string, FixtureTensor>,
  losses: Record<string, LossCase>,
): Promise<CheckCase[]> {
  const { config, tensors } = await loadCheckpoint(diskFolder(join(dir, 'models', model)));
  const weights = await Weights.create(gpu, config);
  const gradients = await Weights.create(gpu, config, 'gradients');
  weights.write(tensors, model);
  const [batch, length] = inputs.get('input_ids')!.shape as [number, number];
  const row = (name: string, b: number) => [
    ...inputs.get(name)!.values.slice(b * (length - 1), (b + 1) * (length - 1)),
  ];
  const cases: CheckCase[] = [];
  let train: TrainProgram | undefined;
  for (const [name, loss] of Object.entries(losses)) {
    if (!existsSync(join(dir, loss.file))) {
      cases.push(missing(loss.file));
      continue;
    }
    const expected = readFixture(dir, loss.file);
    const sequences: TrainingSequence[] = Array.from({ length: batch }, (_, b) => {
      const n = inputs.get('lengths')!.values[b]!;
      const shifted = (values: number[]) => [0, ...values.slice(0, n - 1)];
      return {
        ids: [...inputs.get('input_ids')!.values.slice(b * length, b * length + n)],
        mask: shifted(row('loss_mask', b)),
        oldLogprobs: loss.old ? shifted(row(loss.old, b)) : undefined,
        referenceLogprobs: inputs.has('ref_logprobs') ? shifted(row('ref_logprobs', b)) : undefined,
        advantage: loss.advantage ? inputs.get(`advantages_${loss.advantage}`)!.values[b]! : 0,
      };
    });
    const packed = packSequences(sequences, config);
    const capacity = { tokens: packed.tokens, rows: packed.rows, sequences: packed.sequences };
    train ??= await TrainProgram.create(weights, gradients, { ...capacity, inspect: true });
    const totals = {
      tokens: packed.rows,
      sequences: batch,
      maxCompletionLength: loss.max_completion_length ?? 1,
    };
    Object.assign(train.loss, lossParameters(loss.kind, oracleLossSettings(loss.kind, { ...loss }), totals));
    train.temperature = loss.temperature;
    train.load(packed);
    const run = new Submission(gpu);
    gradients.clear(run);
    train.clearMetrics(run);
    train.forward(run);
    train.backward(run);
    const metrics = train.readMetrics(run);
    const dlogprob = run.read(train.tensors.get('dlogprob')!, 2 * packed.rows);
    run.submit();
    const value = new Float32Array(await metrics)[0]!;
    cases.push({
      name: `${model} ${name} loss`,
      error: Math.abs(value - loss.loss) / Math.max(Math.abs(loss.loss), 1e-2),
      tolerance: LOSS_TOLERANCE,
    });
    // The fixture's entries at tokens that carry loss are our rows, in the same order; all others must be zero.
    const derivative = expected.get('dloss_dlogprob');
    const carries = [...inputs.get('loss_mask')!.values].map(Boolean);
    const [wanted, rest] = [true, false].map((which) => derivative?.values.filter((_, i) => carries[i] === which));
    cases.push({
      name: `${model} ${name} dloss_dlogprob`,
      error: wanted
        ? relativeError(
            new Float32Array(await dlogprob).filter((_, i) => i % 2 === 0),
            wanted,
          )
        : NaN,
      tolerance: GRADIENT_TOLERANCE,
    });
    cases.push({
      name: `${model} ${name} dloss_dlogprob elsewhere`,
      error: rest ? Math.max(0, ...rest.map(Math.abs)) : NaN,
      tolerance: 0,
    });
    const ours = new Set(gradients.named.map(({ name: parameter }) => `grad.${parameter}`));
    for (const tensor of expected.keys()) {
      if (tensor.startsWith('grad.') && !ours.has(tensor)) cases.push(missing(`${model}: our ${tensor}`));
    }
    for (const [parameter, { values }] of await gradients.read()) {
      const wanted = expected.get(`grad.${parameter}`);
      cases.push({
        name: `${model} ${name} grad ${parameter}`,
        error: wanted ? relativeError(values, wanted.values) : NaN,
        tolerance: GRADIENT_TOLERANCE,
      });
    }
  }
  train?.destroy();
  weights.destroy();
  gradients.destroy();
  return cases;
}
