/**
 * @file The other side: jax-js, as its users train. The whole step (loss, gradient, AdamW) is one jitted function;
 * AdamW is written out because npm had no @jax-js/optax (2026-11); optax's adamw is the same formula.
 *
 * Chosen by trying on S and M: q, k, v and gate, up as one matrix each save 40 of 323 dispatches (S) and are never slower.
 * No faster: weights stored [out, in]; the embedding as a one-hot product. A `takeAlongAxis` cross-entropy does not
 * compile under jit in 0.1.25 ("routine primitive scatter input is not imm").
 */
import { defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax';
import type { TensorValues } from '../../src/model';
import { installBrowserGlobals } from '../browser_globals';
import { ADAMW } from './configs';
import type { BenchConfig } from './configs';
import type { Trainer } from './trainer';

/* eslint-disable @typescript-eslint/consistent-type-definitions -- jax-js's trees want index signatures, which interfaces lack */
type Layer = {
  inputNorm: np.Array;
  /** [dim, 3 dim] */
  qkv: np.Array;
  out: np.Array;
  mlpNorm: np.Array;
  /** [dim, 2 ffn] */
  gateUp: np.Array;
  down: np.Array;
};

type Parameters = { embedding: np.Array; layers: Layer[]; finalNorm: np.Array; head: np.Array };

type State = { parameters: Parameters; mean: Parameters; variance: Parameters; count: np.Array };

type Inputs = { ids: np.Array; targets: np.Array; cos: np.Array; sin: np.Array };

/** @param values initial weights by Hugging Face name */
export async function createJax(device: GPUDevice, config: BenchConfig, values: TensorValues): Promise<Trainer> {
  installBrowserGlobals(device);
  const devices = await init('webgpu');
  if (!devices.includes('webgpu')) throw new Error('jax-js found no WebGPU device');
  defaultDevice('webgpu');

  const parameters = uploadParameters(config, values);
  const zeros = () => mapTree((x) => np.zeros(x.shape), parameters);
  let state: State = { parameters, mean: zeros(), variance: zeros(), count: np.zeros([]) };
  const { cos, sin } = ropeTables(config);
  const step = jit(trainStep(config));
  const shape = [config.batch, config.length];
  return {
    name: 'jax-js',
    async step(batch) {
      const ids = np.array(batch.inputs, { shape });
      const targets = np.array(batch.targets, { shape });
      const [next, loss] = step(state, { ids, targets, cos: cos.ref, sin: sin.ref });
      state = next;
      return (await loss.jsAsync()) as number; // submits the whole step and waits for it
    },
  };
}

/** Weights as x @ W wants them, [in, out]. */
function uploadParameters({ model }: BenchConfig, values: TensorValues): Parameters {
  const upload = (name: string): np.Array => {
    const { shape, values: data } = values.get(name)!;
    return np.array(data, { shape });
  };
  const matrix = (...names: string[]): np.Array =>
    np.concatenate(
      names.map((name) => upload(name).transpose()),
      1,
    );
  const layers = Array.from({ length: model.layers }, (_, i): Layer => {
    const at = `model.layers.${i}`;
    return {
      inputNorm: upload(`${at}.input_layernorm.weight`),
      qkv: matrix(...['q', 'k', 'v'].map((name) => `${at}.self_attn.${name}_proj.weight`)),
      out: matrix(`${at}.self_attn.o_proj.weight`),
      mlpNorm: upload(`${at}.post_attention_layernorm.weight`),
      gateUp: matrix(...['gate', 'up'].map((name) => `${at}.mlp.${name}_proj.weight`)),
      down: matrix(`${at}.mlp.down_proj.weight`),
    };
  });
  return {
    embedding: upload('model.embed_tokens.weight'),
    layers,
    finalNorm: upload('model.norm.weight'),
    head: matrix('lm_head.weight'),
  };
}

/** cos and sin of every position and channel, [length, 1, headDim], the second half of the channels as the first. */
function ropeTables({ model, length }: BenchConfig): { cos: np.Array; sin: np.Array } {
  const { headDim, ropeTheta } = model;
  const table = (f: (angle: number) => number) => {
    const angle = (i: number) => Math.floor(i / headDim) * ropeTheta ** ((-2 * (i % (headDim / 2))) / headDim);
    const data = Float32Array.from({ length: length * headDim }, (_, i) => f(angle(i)));
    return np.array(data, { shape: [length, 1, headDim] });
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
}

function rmsNorm(x: np.Array, weight: np.Array, eps: number): np.Array {
  const rms = np.sqrt(np.square(x.ref).mean(-1, { keepdims: true }).add(eps));
  return x.div(rms).mul(weight);
}

function rope(x: np.Array, cos: np.Array, sin: np.Array): np.Array {
  const [first, second] = np.split(x.ref, 2, -1);
  return x.mul(cos).add(np.concatenate([second!.neg(), first!], -1).mul(sin));
}

/** Mean cross-entropy over all positions. */
function lossOf({ model, batch, length }: BenchConfig) {
  const { hiddenSize, heads, headDim, vocabSize, rmsNormEps: eps } = model;
  const split = [batch, length, heads, headDim];
  return ({ embedding, layers, finalNorm, head }: Parameters, { ids, targets, cos, sin }: Inputs): np.Array => {
    let x = embedding.slice(ids); // [batch, length, dim]
    for (const layer of layers) {
      const [q, k, v] = np.split(np.dot(rmsNorm(x.ref, layer.inputNorm, eps), layer.qkv), 3, -1);
      const attended = nn.dotProductAttention(
        rope(q!.reshape(split), cos.ref, sin.ref),
        rope(k!.reshape(split), cos.ref, sin.ref),
        v!.reshape(split),
        { isCausal: true },
      );
      x = x.add(np.dot(attended.reshape([batch, length, hiddenSize]), layer.out));
      const [gate, up] = np.split(np.dot(rmsNorm(x.ref, layer.mlpNorm, eps), layer.gateUp), 2, -1);
      x = x.add(np.dot(nn.silu(gate!).mul(up!), layer.down));
    }
    cos.dispose();
    sin.dispose();
    const logprobs = nn.logSoftmax(np.dot(rmsNorm(x, finalNorm, eps), head));
    return logprobs
      .mul(nn.oneHot(targets, vocabSize))
      .sum()
      .mul(-1 / (batch * length));
  };
}

function trainStep(config: BenchConfig) {
  const lossAndGradient = valueAndGrad(lossOf(config));
  const { lr, beta1, beta2, epsilon, weightDecay } = ADAMW;
  return (state: State, inputs: Inputs): [State, np.Array] => {
    const [loss, gradient] = lossAndGradient(tree.ref(state.parameters), inputs);
    const count = state.count.add(1);
    const mean = mapTree((m, g) => m.mul(beta1).add(g.mul(1 - beta1)), state.mean, tree.ref(gradient));
    const variance = mapTree((v, g) => v.mul(beta2).add(np.square(g).mul(1 - beta2)), state.variance, gradient);
    const correction1 = np.subtract(1, np.power(beta1, count.ref));
    const correction2 = np.subtract(1, np.power(beta2, count.ref));
    const update = (p: np.Array, m: np.Array, v: np.Array) => {
      const scale = np.sqrt(v.div(correction2.ref)).add(epsilon);
      const direction = m.div(correction1.ref).div(scale);
      return p.ndim > 1 ? p.ref.sub(direction.add(p.mul(weightDecay)).mul(lr)) : p.sub(direction.mul(lr));
    };
    const parameters = mapTree(update, state.parameters, tree.ref(mean), tree.ref(variance));
    correction1.dispose();
    correction2.dispose();
    return [{ parameters, mean, variance, count }, loss];
  };
}

/** `tree.map` over parameters and what has their layout. */
function mapTree(change: (...leaves: np.Array[]) => np.Array, first: Parameters, ...rest: Parameters[]): Parameters {
  return tree.map<np.Array, np.Array, Parameters>(change, first, ...rest);
}
