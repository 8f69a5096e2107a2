/**
 * @file A model's parameters on the GPU: one flat arena, and the table that maps Hugging Face's tensor names to it.
 *
 * Projections that read the same input lie next to each other (q, k, v; gate, up) and are one matrix to the kernels.
 * Gradients, moments and snapshots are arenas of the same layout.
 */
import { Arena, DECAY_BLOCK, Submission, Tensor, normStride } from '../kernels';
import type { Gpu } from '../kernels';
import type { ModelConfig } from './config';
import { countParameters } from './config';
import { CheckpointError } from './errors';

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

/** One Hugging Face tensor: which arena tensor it is part of, and where. */
export interface NamedTensor {
  name: string;
  shape: number[];
  tensor: Tensor;
  /** First element inside `tensor`. */
  offset: number;
  /** Subject to weight decay: matrices are, norms and biases are not (as in the Hugging Face Trainer). */
  decayed: boolean;
}

function layOut(config: ModelConfig) {
  const { hiddenSize: d, intermediateSize: f, headDim, heads, kvHeads, vocabSize } = config;
  const q = heads * headDim;
  const kv = kvHeads * headDim;
  const named: NamedTensor[] = [];
  const tensors: Tensor[] = [];
  const add = (label: string, shape: number[], parts: [name: string, shape: number[], offset: number][]): Tensor => {
    const tensor = new Tensor(label, shape);
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

/** Values by Hugging Face name, in the order of the arena. */
export type TensorValues = Map<string, { shape: number[]; values: Float32Array<ArrayBuffer> }>;

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
export class Weights {
  readonly named: readonly NamedTensor[];
  readonly embedding: Tensor;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Tensor;
  /** The embedding itself where they are tied. */
  readonly head: Tensor;

  private constructor(
    readonly gpu: Gpu,
    readonly config: ModelConfig,
    readonly label: string,
    readonly arena: Arena,
    layout: ReturnType<typeof layOut>,
  ) {
    this.named = layout.named;
    this.embedding = layout.embedding;
    this.layers = layout.layers;
    this.finalNorm = layout.finalNorm;
    this.head = layout.head;
  }

  /**
   * Reserves memory for a model, filled with zeros.
   * @param label 'parameters', 'gradients', ...
   * @throws GpuLimitError, GpuMemoryError
   */
  static async create(gpu: Gpu, config: ModelConfig, label = 'parameters'): Promise<Weights> {
    const layout = layOut(config);
    return new Weights(gpu, config, label, await Arena.create(gpu, label, layout.tensors), layout);
  }

  get parameterCount(): number {
    return countParameters(this.config);
  }

  /**
   * Replaces all values. Checks every name, shape and value before the first write.
   * @param source where the values come from, for messages
   * @throws CheckpointError naming the tensor: missing, extra, of another shape, or not finite
   */
  write(values: TensorValues, source: string): void {
    checkNamed(values, this.named, this.config, source);
    const words = new Float32Array(this.arena.length);
    for (const { name, tensor, offset } of this.named) {
      const given = values.get(name)!;
      const broken = given.values.findIndex((value) => !Number.isFinite(value));
      if (broken >= 0)
        throw new CheckpointError(`${source}: tensor ${name} holds ${given.values[broken]} at ${broken}`);
      words.set(given.values, tensor.offset / 4 + offset);
    }
    this.gpu.write(this.arena.buffer, 0, words);
  }

  /** Replaces the flat arena, padding included: what `readFlat` returned. */
  writeFlat(words: Float32Array<ArrayBuffer>): void {
    if (words.length !== this.arena.length) throw new Error(`${this.label}: ${words.length} of ${this.arena.length}`);
    this.gpu.write(this.arena.buffer, 0, words);
  }

  /** The flat arena as it is after everything submitted so far. */
  async readFlat(): Promise<Float32Array<ArrayBuffer>> {
    const submission = new Submission(this.gpu, `read ${this.label}`);
    const bytes = submission.read(this.arena.flat(this.label));
    submission.submit();
    return new Float32Array(await bytes);
  }

  /** Values by Hugging Face name. */
  async read(): Promise<TensorValues> {
    return this.split(await this.readFlat());
  }

  /** Cuts a flat arena into tensors by Hugging Face name. */
  split(flat: Float32Array<ArrayBuffer>): TensorValues {
    return new Map(
      this.named.map(({ name, shape, tensor, offset }) => {
        const begin = tensor.offset / 4 + offset;
        const length = shape.reduce((product, size) => product * size, 1);
        return [name, { shape, values: flat.slice(begin, begin + length) }];
      }),
    );
  }

  /** Fills with zeros. */
  clear(): void {
    new Submission(this.gpu, `clear ${this.label}`).clear(this.arena.flat(this.label)).submit();
  }

  /** Copies another arena of the same layout, on the GPU. */
  copyFrom(other: Weights): void {
    const submission = new Submission(this.gpu, `copy ${other.label} to ${this.label}`);
    submission.copy(other.arena.flat(other.label), this.arena.flat(this.label)).submit();
  }

  /** Weight decay per DECAY_BLOCK elements of the arena. */
  decayTable(decay: number): Float32Array<ArrayBuffer> {
    const table = new Float32Array(this.arena.length / DECAY_BLOCK);
    for (const { tensor, decayed } of this.named) {
      if (!decayed) continue;
      const begin = tensor.offset / 4 / DECAY_BLOCK;
      table.fill(decay, begin, begin + Math.ceil(tensor.length / DECAY_BLOCK));
    }
    return table;
  }

  destroy(): void {
    this.arena.destroy();
  }
}
