/** @file Adapters against the float64 oracle: logits, loss and the gradient of every A and B; for every model in its own storage. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Submission } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import {
  Adapter,
  LORA_TARGETS,
  TrainProgram,
  Weights,
  initialAdapter,
  loadAdapter,
  loraScale,
  mergeAdapter,
  openCheckpoint,
  packSequences,
} from '../../src/model';
import type { LoraConfig, OpenCheckpoint, TensorValues, TrainingSequence } from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import { lossParameters, lossSettings } from '../../src/rl/losses';
import { diskFolder } from '../../cli/files';
import { readFixture, readJsonFile } from './files';
import type { FixtureTensor } from './files';
import { missing, relativeError } from './report';
import type { Check, CheckCase } from './report';

const FORWARD_TOLERANCE = 1e-4;
const GRADIENT_TOLERANCE = 5e-4;
const LOSS_TOLERANCE = 1e-4;

interface LoraCase {
  file: string;
  adapter: string;
  rank: number;
  alpha: number;
  loss: number;
}

/** Every adapter in `lora/`, read from PEFT's folder. */
export const loraCheck: Check = {
  name: 'oracle: LoRA',
  async run(gpu, dir) {
    const index = (readJsonFile(dir, 'cases.json') as { lora?: Record<string, LoraCase> }).lora ?? {};
    const cases: CheckCase[] = [];
    const folder = join(dir, 'lora');
    for (const file of existsSync(folder) ? readdirSync(folder) : []) {
      const model = file.replace('.safetensors', '');
      if (!index[model]) cases.push(missing(`lora of ${model} in cases.json`));
    }
    if (Object.keys(index).length === 0) cases.push(missing('lora in cases.json'));
    for (const [model, each] of Object.entries(index)) {
      const absent = [each.file, each.adapter].filter((path) => !existsSync(join(dir, path)));
      if (absent.length > 0) cases.push(...absent.map(missing));
      else cases.push(...(await checkAdapter(gpu, dir, model, each)));
    }
    return cases;
  },
};

async function checkAdapter(gpu: Gpu, dir: string, model: string, lora: LoraCase): Promise<CheckCase[]> {
  const fixture = readFixture(dir, lora.file);
  const checkpoint = await openCheckpoint(diskFolder(join(dir, 'models', model)));
  const { config } = checkpoint;
  const loaded = await loadAdapter(diskFolder(join(dir, lora.adapter)), config);
  const cases: CheckCase[] = [
    { name: `${model} rank`, error: Math.abs(loaded.lora.rank - lora.rank), tolerance: 0 },
    { name: `${model} alpha`, error: Math.abs(loaded.lora.alpha - lora.alpha), tolerance: 0 },
  ];
  const base = await checkpoint.read();
  const merged = mergeAdapter(config, base, loaded);
  for (const [name, { values }] of fixture) {
    if (!name.startsWith('merged.')) continue;
    const ours = merged.get(name.slice('merged.'.length))?.values ?? [];
    cases.push({ name: `${model} ${name}`, error: relativeError(ours, values), tolerance: 1e-6 });
  }
  // F16 and BF16 would lose bits of a base in F32; a base in 16 bits is kept as it is and as F32.
  for (const storage of new Set([checkpoint.storage, 'f32'] as const)) {
    const adapted = await adaptedModel(gpu, checkpoint, loaded.lora, loaded.tensors, storage);
    const name = `${model} in ${storage}`;
    const logits = await logitsOf(adapted, fixture);
    cases.push({
      name: `${name}: logits`,
      error: relativeError(logits.ours, logits.expected),
      tolerance: FORWARD_TOLERANCE,
    });
    const { loss, gradients } = await supervised(adapted, sequencesOf(fixture));
    const error = Math.abs(loss - lora.loss) / Math.max(Math.abs(lora.loss), 1e-2);
    cases.push({ name: `${name}: loss`, error, tolerance: LOSS_TOLERANCE });
    const wanted = [...fixture].filter(([tensor]) => tensor.startsWith('grad.'));
    for (const [tensor] of wanted) {
      if (!gradients.has(tensor.slice('grad.'.length))) cases.push(missing(`${model}: our ${tensor}`));
    }
    for (const [tensor, { values }] of gradients) {
      const expected = fixture.get(`grad.${tensor}`);
      const distance = expected ? relativeError(values, expected.values) : NaN;
      cases.push({ name: `${name}: grad ${tensor}`, error: distance, tolerance: GRADIENT_TOLERANCE });
    }
    adapted.destroy();
  }
  return cases;
}

/** Settings of the adapters that are put on every model: all targets, and a few with an odd rank. */
const SHAPES: Pick<LoraConfig, 'rank' | 'alpha' | 'targets' | 'rslora'>[] = [
  { rank: 4, alpha: 6, targets: LORA_TARGETS, rslora: false },
  { rank: 3, alpha: 5, targets: ['q_proj', 'v_proj', 'up_proj'], rslora: true },
];

/**
 * An adapter on every model of `models/` in the storage of its file. With B = 0 the model is the oracle's, whose gradient of
 * W gives those of A and B: dA = 0, dB = scale dW A^T. With another B it is the model with W + scale B A for weights, whose
 * own gradient (held against the oracle elsewhere) gives dA = scale B^T dW, dB = scale dW A^T, summed here in float64.
 */
export const loraModelsCheck: Check = {
  name: 'oracle: LoRA on every model',
  async run(gpu, dir) {
    const cases: CheckCase[] = [];
    for (const model of readdirSync(join(dir, 'models')).sort()) {
      const [inputs, sft] = ['inputs', 'sft'].map((file) => join(dir, 'backward', model, `${file}.safetensors`));
      if (!existsSync(inputs!) || !existsSync(sft!)) {
        cases.push(missing(`backward/${model}`));
        continue;
      }
      const checkpoint = await openCheckpoint(diskFolder(join(dir, 'models', model)));
      const sequences = sequencesOf(readFixture(inputs!));
      for (const [i, shape] of SHAPES.entries()) {
        const lora: LoraConfig = { ...shape, dropout: 0, baseModel: model };
        const name = `${model} in ${checkpoint.storage}, rank ${lora.rank}`;
        const values = randomAdapter(checkpoint, lora, i);
        const zero = new Map([...values].map(([key, each]) => [key, isB(key) ? zeroed(each) : each]));
        const fixture = readFixture(sft!);
        const oracle = (weight: string) => fixture.get(`grad.${weight}`)?.values;
        cases.push(...(await checkGradients(gpu, checkpoint, lora, zero, sequences, oracle, `${name}, B = 0`)));
        const full = await mergedGradients(gpu, checkpoint, lora, values, sequences);
        const ours = (weight: string) => full.get(weight)?.values;
        cases.push(...(await checkGradients(gpu, checkpoint, lora, values, sequences, ours, name)));
      }
    }
    return cases;
  },
};

async function checkGradients(
  gpu: Gpu,
  checkpoint: OpenCheckpoint,
  lora: LoraConfig,
  values: TensorValues,
  sequences: readonly TrainingSequence[],
  gradientOf: (weight: string) => ArrayLike<number> | undefined,
  name: string,
): Promise<CheckCase[]> {
  const adapted = await adaptedModel(gpu, checkpoint, lora, values, checkpoint.storage);
  const { gradients, untouched } = await supervised(adapted, sequences);
  adapted.destroy();
  const cases: CheckCase[] = [{ name: `${name}: parts that are no target`, error: untouched, tolerance: 0 }];
  for (const [tensor, { shape, values: ours }] of gradients) {
    const module = tensor.slice('base_model.model.'.length, tensor.indexOf('.lora_'));
    const dW = gradientOf(`${module}.weight`);
    if (!dW) {
      cases.push(missing(`${name}: gradient of ${module}.weight`));
      continue;
    }
    const a = values.get(`base_model.model.${module}.lora_A.weight`)!.values;
    const b = values.get(`base_model.model.${module}.lora_B.weight`)!.values;
    const { rank } = lora;
    const outputs = b.length / rank;
    const inputs = a.length / rank;
    const expected = Float64Array.from({ length: ours.length }, (_, at) => {
      const [row, column] = [Math.floor(at / shape[1]!), at % shape[1]!];
      let sum = 0;
      if (isB(tensor)) for (let j = 0; j < inputs; j++) sum += dW[row * inputs + j]! * a[column * inputs + j]!;
      else for (let i = 0; i < outputs; i++) sum += b[i * rank + row]! * dW[i * inputs + column]!;
      return loraScale(lora) * sum;
    });
    cases.push({
      name: `${name}: grad ${tensor}`,
      error: relativeError(ours, expected),
      tolerance: GRADIENT_TOLERANCE,
    });
  }
  return cases;
}

const isB = (name: string) => name.includes('.lora_B.');
const zeroed = (tensor: { shape: number[]; values: Float32Array }) => ({
  shape: tensor.shape,
  values: new Float32Array(tensor.values.length),
});

/** A and B of a size that is felt and does not drown the base. */
function randomAdapter({ config }: OpenCheckpoint, lora: LoraConfig, seed: number): TensorValues {
  const random = new Random(deriveKey(77, seed));
  const values = initialAdapter(config, lora, seed);
  for (const each of values.values()) each.values = each.values.map(() => 0.1 * random.normal());
  return values;
}

interface AdaptedModel {
  weights: Weights;
  adapter: Adapter;
  gradients: Adapter;
  destroy(): void;
}

async function adaptedModel(
  gpu: Gpu,
  checkpoint: OpenCheckpoint,
  lora: LoraConfig,
  values: TensorValues,
  storage: OpenCheckpoint['storage'],
): Promise<AdaptedModel> {
  const { config } = checkpoint;
  const weights = await Weights.create(gpu, config, 'parameters', { storage });
  await checkpoint.writeTo(weights);
  const adapter = await Adapter.create(gpu, config, lora);
  adapter.write(values, 'adapter');
  const gradients = await adapter.alike('gradients');
  const destroy = () => [weights, adapter, gradients].forEach((part) => part.destroy());
  return { weights, adapter, gradients, destroy };
}

/** Sequences of a fixture with the mask of its loss. */
function sequencesOf(inputs: Map<string, FixtureTensor>): TrainingSequence[] {
  const [batch, length] = inputs.get('input_ids')!.shape as [number, number];
  return Array.from({ length: batch }, (_, b) => {
    const n = inputs.get('lengths')!.values[b]!;
    const mask = inputs.get('loss_mask')!.values.slice(b * (length - 1), b * (length - 1) + n - 1);
    return { ids: [...inputs.get('input_ids')!.values.slice(b * length, b * length + n)], mask: [0, ...mask] };
  });
}

/** Logits at every position of a fixture's rows: a made-up next token asks for the last one's. */
async function logitsOf({ weights, adapter }: AdaptedModel, fixture: Map<string, FixtureTensor>) {
  const { config, gpu } = weights;
  const [, length] = fixture.get('input_ids')!.shape as [number, number];
  const lengths = [...fixture.get('lengths')!.values];
  const packed = packSequences(
    lengths.map((n, b) => ({
      ids: [...fixture.get('input_ids')!.values.slice(b * length, b * length + n), 0],
      mask: [0, ...new Array<number>(n).fill(1)],
    })),
    config,
  );
  const { tokens, rows, sequences } = packed;
  const train = await TrainProgram.create(weights, null, { tokens, rows, sequences, inspect: true, adapter });
  train.load(packed);
  const run = new Submission(gpu);
  train.forward(run);
  const read = run.read(train.tensors.get('logits')!);
  run.submit();
  const ours = new Float32Array(await read);
  train.destroy();
  const width = config.vocabSize;
  const expected = lengths.flatMap((n, b) => {
    const begin = b * length * width;
    return [...fixture.get('logits')!.values.slice(begin, begin + n * width)];
  });
  return { ours, expected };
}

/** Loss and gradients of a supervised step; `untouched` counts gradients of parts that are no targets and yet not 0. */
async function supervised({ weights, adapter, gradients }: AdaptedModel, sequences: readonly TrainingSequence[]) {
  const { loss } = await step(weights, gradients, sequences, adapter);
  const flat = await gradients.readFlat();
  const named = gradients.split(flat);
  const moved = (values: Float32Array) => values.filter((value) => value !== 0).length;
  const targets = [...named.values()].reduce((sum, { values }) => sum + moved(values), 0);
  return { loss, gradients: named, untouched: moved(flat) - targets };
}

/** Gradients of the weights of the merged model. */
async function mergedGradients(
  gpu: Gpu,
  checkpoint: OpenCheckpoint,
  lora: LoraConfig,
  values: TensorValues,
  sequences: readonly TrainingSequence[],
): Promise<TensorValues> {
  const { config } = checkpoint;
  const weights = await Weights.create(gpu, config);
  const gradients = await Weights.create(gpu, config, 'gradients');
  weights.write(mergeAdapter(config, await checkpoint.read(), { lora, tensors: values }), 'merged');
  await step(weights, gradients, sequences);
  const read = await gradients.read();
  weights.destroy();
  gradients.destroy();
  return read;
}

async function step(
  weights: Weights,
  gradients: Weights | Adapter,
  sequences: readonly TrainingSequence[],
  adapter?: Adapter,
): Promise<{ loss: number }> {
  const packed = packSequences(sequences, weights.config);
  const capacity = { tokens: packed.tokens, rows: packed.rows, sequences: packed.sequences };
  const train = await TrainProgram.create(weights, gradients, { ...capacity, adapter });
  const totals = { tokens: packed.rows, sequences: packed.sequences, maxCompletionLength: 1 };
  Object.assign(train.loss, lossParameters('sft', lossSettings('sft'), totals));
  train.load(packed);
  const run = new Submission(weights.gpu);
  gradients.clear(run);
  train.clearMetrics(run);
  train.forward(run);
  train.backward(run);
  const metrics = train.readMetrics(run);
  run.submit();
  const loss = new Float32Array(await metrics)[0]!;
  train.destroy();
  return { loss };
}
