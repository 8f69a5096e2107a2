/**
 * @file TensorFlow.js on its WebGPU backend: the step written by hand from its operations, as there are no transformers in
 * it. Gradients by `variableGrads`; AdamW written out per tensor (tf.train.adam has no weight decay), with scalars made
 * once. q, k, v and gate, up are one matrix each, as in ours and jax-js's.
 *
 * Everything of a step but its new weights and moments is freed by `tidy`; the loss is read every step.
 */
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import type { TensorValues } from '../../src/model';
import { installBrowserGlobals } from '../browser_globals';
import { ADAMW } from './configs';
import type { BenchConfig } from './configs';
import type { Trainer } from './trainer';

interface Layer {
  inputNorm: tf.Variable;
  /** [dim, 3 dim] */
  qkv: tf.Variable;
  out: tf.Variable;
  mlpNorm: tf.Variable;
  /** [dim, 2 ffn] */
  gateUp: tf.Variable;
  down: tf.Variable;
}

interface Model {
  embedding: tf.Variable;
  layers: Layer[];
  finalNorm: tf.Variable;
  head: tf.Variable;
}

/** One trained tensor, its moments, and whether it decays. */
interface Slot {
  value: tf.Variable;
  mean: tf.Variable;
  variance: tf.Variable;
  decays: boolean;
}

/** @param values initial weights by Hugging Face name */
export async function createTfjs(device: GPUDevice, config: BenchConfig, values: TensorValues): Promise<Trainer> {
  installBrowserGlobals(device);
  tf.registerBackend('webgpu', () => new WebGPUBackend(device, device.adapterInfo));
  if (!(await tf.setBackend('webgpu'))) throw new Error('TensorFlow.js did not take its WebGPU backend');
  tf.enableProdMode();

  const slots: Slot[] = [];
  const model = uploadModel(config, values, slots);
  const constants = makeConstants(config);
  const variables = slots.map(({ value }) => value);
  const lossOf = lossFunction(config, model, constants);
  let count = 0;
  return {
    name: 'tfjs',
    async step(batch) {
      const loss = tf.tidy(() => {
        const ids = tf.tensor1d(batch.inputs, 'int32');
        const targets = tf.tensor1d(batch.targets, 'int32');
        const { value, grads } = tf.variableGrads(() => lossOf(ids, targets), variables);
        count++;
        for (const slot of slots) update(slot, grads[slot.value.name]!, count, constants);
        return value;
      });
      const [mean] = await loss.data(); // submits what is left of the step and waits for it
      loss.dispose();
      return mean!;
    },
  };
}

/** Weights as x W wants them, [in, out]. */
function uploadModel({ model }: BenchConfig, values: TensorValues, slots: Slot[]): Model {
  const add = (initial: () => tf.Tensor): tf.Variable => {
    const value = tf.tidy(() => tf.variable(initial()));
    const zeros = () => tf.tidy(() => tf.variable(tf.zeros(value.shape)));
    slots.push({ value, mean: zeros(), variance: zeros(), decays: value.rank > 1 });
    return value;
  };
  const tensor = (name: string): tf.Tensor => {
    const { shape, values: data } = values.get(name)!;
    return tf.tensor(data, shape);
  };
  const plain = (name: string) => add(() => tensor(name));
  const matrix = (...names: string[]) =>
    add(() =>
      tf.concat(
        names.map((name) => tf.transpose(tensor(name))),
        1,
      ),
    );
  const layers = Array.from({ length: model.layers }, (_, i): Layer => {
    const at = `model.layers.${i}`;
    return {
      inputNorm: plain(`${at}.input_layernorm.weight`),
      qkv: matrix(...['q', 'k', 'v'].map((name) => `${at}.self_attn.${name}_proj.weight`)),
      out: matrix(`${at}.self_attn.o_proj.weight`),
      mlpNorm: plain(`${at}.post_attention_layernorm.weight`),
      gateUp: matrix(...['gate', 'up'].map((name) => `${at}.mlp.${name}_proj.weight`)),
      down: matrix(`${at}.mlp.down_proj.weight`),
    };
  });
  return {
    embedding: plain('model.embed_tokens.weight'),
    layers,
    finalNorm: plain('model.norm.weight'),
    head: matrix('lm_head.weight'),
  };
}

type Constants = ReturnType<typeof makeConstants>;

function makeConstants({ model, batch, length }: BenchConfig) {
  const { headDim, ropeTheta, rmsNormEps } = model;
  const { lr, beta1, beta2, epsilon, weightDecay } = ADAMW;
  const table = (f: (angle: number) => number) => {
    const angle = (i: number) => Math.floor(i / headDim) * ropeTheta ** ((-2 * (i % (headDim / 2))) / headDim);
    const data = Float32Array.from({ length: length * headDim }, (_, i) => f(angle(i)));
    return tf.tensor(data, [length, headDim]);
  };
  const mask = Float32Array.from({ length: length * length }, (_, i) =>
    i % length > Math.floor(i / length) ? -1e9 : 0,
  );
  return {
    cos: table(Math.cos),
    sin: table(Math.sin),
    mask: tf.tensor(mask, [length, length]),
    eps: tf.scalar(rmsNormEps),
    scale: tf.scalar(1 / Math.sqrt(headDim)),
    perToken: tf.scalar(-1 / (batch * length)),
    beta1: tf.scalar(beta1),
    beta2: tf.scalar(beta2),
    notBeta1: tf.scalar(1 - beta1),
    notBeta2: tf.scalar(1 - beta2),
    epsilon: tf.scalar(epsilon),
    decayed: tf.scalar(1 - lr * weightDecay),
  };
}

/** Mean cross-entropy over all positions. */
function lossFunction(
  { model, batch, length }: BenchConfig,
  { embedding, layers, finalNorm, head }: Model,
  c: Constants,
) {
  const { hiddenSize, heads, headDim, vocabSize } = model;
  const tokens = batch * length;
  const rmsNorm = (x: tf.Tensor, weight: tf.Variable): tf.Tensor => {
    const meanSquare = tf.mean(tf.square(x), -1, true);
    return tf.mul(tf.mul(x, tf.rsqrt(tf.add(meanSquare, c.eps))), weight);
  };
  /** [tokens, dim] to [batch, heads, length, headDim] */
  const split = (x: tf.Tensor) => tf.transpose(tf.reshape(x, [batch, length, heads, headDim]), [0, 2, 1, 3]);
  const rope = (x: tf.Tensor): tf.Tensor => {
    const [first, second] = tf.split(x, 2, -1);
    return tf.add(tf.mul(x, c.cos), tf.mul(tf.concat([tf.neg(second!), first!], -1), c.sin));
  };
  return (ids: tf.Tensor1D, targets: tf.Tensor1D): tf.Scalar => {
    let x: tf.Tensor = tf.gather(embedding, ids); // [tokens, dim]
    for (const layer of layers) {
      const [q, k, v] = tf.split(tf.matMul(rmsNorm(x, layer.inputNorm), layer.qkv), 3, -1).map(split);
      const scores = tf.mul(tf.matMul(rope(q!), rope(k!), false, true), c.scale);
      const mixed = tf.matMul(tf.softmax(tf.add(scores, c.mask)), v!);
      const joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [tokens, hiddenSize]);
      x = tf.add(x, tf.matMul(joined, layer.out as tf.Tensor));
      const [gate, up] = tf.split(tf.matMul(rmsNorm(x, layer.mlpNorm), layer.gateUp), 2, -1);
      x = tf.add(x, tf.matMul(tf.mul(tf.mul(gate!, tf.sigmoid(gate!)), up!), layer.down as tf.Tensor));
    }
    const logprobs = tf.logSoftmax(tf.matMul(rmsNorm(x, finalNorm), head));
    return tf.mul(tf.sum(tf.mul(logprobs, tf.oneHot(targets, vocabSize))), c.perToken);
  };
}

/** AdamW: p = (1 - lr wd) p - lr m' / (sqrt(v') + eps), with m' and v' the moments without their bias. */
function update({ value, mean, variance, decays }: Slot, gradient: tf.Tensor, count: number, c: Constants): void {
  const { lr, beta1, beta2 } = ADAMW;
  mean.assign(tf.add(tf.mul(mean, c.beta1), tf.mul(gradient, c.notBeta1)));
  variance.assign(tf.add(tf.mul(variance, c.beta2), tf.mul(tf.square(gradient), c.notBeta2)));
  const spread = tf.add(tf.mul(tf.sqrt(variance), tf.scalar(1 / Math.sqrt(1 - beta2 ** count))), c.epsilon);
  const move = tf.mul(tf.div(mean, spread), tf.scalar(lr / (1 - beta1 ** count)));
  value.assign(tf.sub(decays ? tf.mul(value, c.decayed) : value, move));
}
