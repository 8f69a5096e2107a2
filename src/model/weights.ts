/**
 * @file A model's parameters on the GPU: one flat arena, and the table that maps Hugging Face's tensor names to it.
 *
 * Projections that read the same input lie next to each other (q, k, v; gate, up) and are one matrix to the kernels.
 * Gradients, moments and snapshots are arenas of the same layout.
 */
import { Arena, Q8_BLOCK, Tensor, normStride } from '../kernels';
import type { Gpu } from '../kernels';
import type { ModelConfig } from './config';
import { countParameters } from './config';
import { CheckpointError } from './errors';
import { FlatParameters } from './parameters';
import type { NamedTensor, TensorValues } from './parameters';
import type { Storage } from './storage';

/** Parameters of one layer, as the kernels read them. */
export interface LayerWeights {
  /** [hidden] */
  inputNorm: Tensor;
  /** [(Q + 2 K) headDim, hidden] */
  qkv: Tensor;
  /** [(Q + 2 K) headDim] */
  qkvBias?: Tensor | undefined;
  /** [2, normStride(headDim)] */
  qkNorm?: Tensor | undefined;
  /** [hidden, Q headDim] */
  out: Tensor;
  /** [hidden] */
  mlpNorm: Tensor;
  /** [2 intermediate, hidden] */
  gateUp: Tensor;
  /** [hidden, intermediate] */
  down: Tensor;
}

function layOut(config: ModelConfig, storage: Storage = 'f32') {
  const { hiddenSize: d, intermediateSize: f, headDim, heads, kvHeads, vocabSize } = config;
  const q = heads * headDim;
  const kv = kvHeads * headDim;
  const named: NamedTensor[] = [];
  const tensors: Tensor[] = [];
  const add = (label: string, shape: number[], parts: [name: string, shape: number[], offset: number][]): Tensor => {
    // Norms and biases are few, and always f32. Padded q/k norms are two rows, but no matrix.
    const isMatrix = parts.every(([, partShape]) => partShape.length > 1);
    const tensor = new Tensor(label, shape, isMatrix ? storage : 'f32');
    tensors.push(tensor);
    for (const [name, partShape, offset] of parts) {
      named.push({ name, shape: partShape, tensor, offset, decayed: partShape.length > 1 });
    }
    return tensor;
  };
  const single = (name: string, shape: number[]) => add(name, shape, [[name, shape, 0]]);

  const embedding = single('model.embed_tokens.weight', [vocabSize, d]);
  const layers: LayerWeights[] = [];
  for (let i = 0; i < config.layers; i++) {
    const at = `model.layers.${i}`;
    const attn = `${at}.self_attn`;
    const inputNorm = single(`${at}.input_layernorm.weight`, [d]);
    const qkv = add(
      `${attn}.qkv.weight`,
      [q + 2 * kv, d],
      [
        [`${attn}.q_proj.weight`, [q, d], 0],
        [`${attn}.k_proj.weight`, [kv, d], q * d],
        [`${attn}.v_proj.weight`, [kv, d], (q + kv) * d],
      ],
    );
    const qkvBias = config.qkvBias
      ? add(
          `${attn}.qkv.bias`,
          [q + 2 * kv],
          [
            [`${attn}.q_proj.bias`, [q], 0],
            [`${attn}.k_proj.bias`, [kv], q],
            [`${attn}.v_proj.bias`, [kv], q + kv],
          ],
        )
      : undefined;
    const stride = normStride(headDim);
    const qkNorm = config.qkNorm
      ? add(
          `${attn}.qk_norm.weight`,
          [2, stride],
          [
            [`${attn}.q_norm.weight`, [headDim], 0],
            [`${attn}.k_norm.weight`, [headDim], stride],
          ],
        )
      : undefined;
    const out = single(`${attn}.o_proj.weight`, [d, q]);
    const mlpNorm = single(`${at}.post_attention_layernorm.weight`, [d]);
    const gateUp = add(
      `${at}.mlp.gate_up.weight`,
      [2 * f, d],
      [
        [`${at}.mlp.gate_proj.weight`, [f, d], 0],
        [`${at}.mlp.up_proj.weight`, [f, d], f * d],
      ],
    );
    const down = single(`${at}.mlp.down_proj.weight`, [d, f]);
    layers.push({ inputNorm, qkv, qkvBias, qkNorm, out, mlpNorm, gateUp, down });
  }
  const finalNorm = single('model.norm.weight', [d]);
  const head = config.tiedEmbeddings ? embedding : single('lm_head.weight', [vocabSize, d]);
  return { named, tensors, embedding, layers, finalNorm, head };
}

/** Names and shapes of a model's tensors, in the order of the arena. */
export function tensorShapes(config: ModelConfig): { name: string; shape: number[] }[] {
  return layOut(config).named.map(({ name, shape }) => ({ name, shape }));
}

/**
 * Checks names and shapes against a config, without a device: what a config claims is not worth reserving memory for
 * before the tensors bear it out.
 * @param source where the tensors come from, for messages
 * @throws CheckpointError naming the tensor: missing, extra, or of another shape
 */
export function checkTensors(
  tensors: ReadonlyMap<string, { shape: readonly number[] }>,
  config: ModelConfig,
  source: string,
): void {
  checkNamed(tensors, layOut(config).named, config, source);
}

function checkNamed(
  tensors: ReadonlyMap<string, { shape: readonly number[] }>,
  named: readonly NamedTensor[],
  config: ModelConfig,
  source: string,
): void {
  const wanted = new Set(named.map((entry) => entry.name));
  for (const name of tensors.keys()) {
    // Tied checkpoints may repeat the embedding as lm_head.weight; transformers ignores the copy as well.
    if (!wanted.has(name) && !(config.tiedEmbeddings && name === 'lm_head.weight')) {
      throw new CheckpointError(`${source}: tensor ${name} does not belong to this ${config.family} model`);
    }
  }
  for (const { name, shape } of named) {
    const given = tensors.get(name);
    if (!given) throw new CheckpointError(`${source}: tensor ${name} [${shape.join(', ')}] is missing`);
    if (given.shape.join() !== shape.join()) {
      throw new CheckpointError(
        `${source}: tensor ${name} has shape [${given.shape.join(', ')}], the config wants [${shape.join(', ')}]`,
      );
    }
  }
}

/** Parameters, or anything of their layout: gradients, moments, a reference snapshot. */
export class Weights extends FlatParameters {
  readonly embedding: Tensor;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Tensor;
  /** The embedding itself where they are tied. */
  readonly head: Tensor;

  private constructor(
    gpu: Gpu,
    readonly config: ModelConfig,
    label: string,
    /** Of the matrices; norms and biases are f32. */
    readonly storage: Storage,
    arena: Arena,
    layout: ReturnType<typeof layOut>,
  ) {
    super(gpu, label, arena, layout.named);
    this.embedding = layout.embedding;
    this.layers = layout.layers;
    this.finalNorm = layout.finalNorm;
    this.head = layout.head;
  }

  /**
   * Reserves memory for a model, filled with zeros.
   * @param label 'parameters', 'gradients', ...
   * @param options.storage of the matrices; what is trained is f32
   * @throws GpuLimitError, GpuMemoryError; CheckpointError where q8 cannot hold the shapes
   */
  static async create(
    gpu: Gpu,
    config: ModelConfig,
    label = 'parameters',
    { storage = 'f32' }: { storage?: Storage | undefined } = {},
  ): Promise<Weights> {
    const layout = layOut(config, storage);
    checkStorage(layout.named, storage, config);
    const split = new Set([layout.embedding.label, layout.head.label]);
    const arena = await Arena.create(gpu, label, layout.tensors, split);
    return new Weights(gpu, config, label, storage, arena, layout);
  }

  get parameterCount(): number {
    return countParameters(this.config);
  }

  alike(label: string): Promise<Weights> {
    return Weights.create(this.gpu, this.config, label, { storage: this.storage });
  }

  protected check(values: TensorValues, source: string): void {
    checkNamed(values, this.named, this.config, source);
  }
}

/** @throws CheckpointError when the parts of fused matrices do not begin on whole words, or whole blocks of q8 */
function checkStorage(named: readonly NamedTensor[], storage: Storage, config: ModelConfig): void {
  if (storage === 'f32') return;
  for (const { name, shape, offset, tensor } of named) {
    if (tensor.dtype === 'f32') continue;
    if (storage === 'q8' && shape[1]! % Q8_BLOCK !== 0) {
      throw new CheckpointError(
        `${name} [${shape.join(', ')}] of this ${config.family} model: q8 needs rows of a multiple of ${Q8_BLOCK}`,
      );
    }
    if (offset % 2 !== 0) {
      throw new CheckpointError(`${name} [${shape.join(', ')}]: parts of odd sizes cannot be kept in ${storage}`);
    }
  }
}
