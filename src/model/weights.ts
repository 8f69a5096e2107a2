/**
 * @file A model's parameters on the GPU: one flat arena, and the table that maps Hugging Face's tensor names to it.
 *
 * Projections that read the same input lie next to each other (q, k, v; gate, up) and are one matrix to the kernels.
 * Gradients, moments and snapshots are arenas of the same layout.
 */
import { Arena, DECAY_BLOCK, Q8_BLOCK, Submission, Tensor, bytesOf, normStride, rangeOf } from '../kernels';
import type { Gpu } from '../kernels';
import type { ModelConfig } from './config';
import { countParameters } from './config';
import { CheckpointError } from './errors';
import { FILE_TYPE, StorageError, WEIGHT_BYTES, convert, unpack } from './storage';
import type { Storage, WeightType } from './storage';

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

/** Values by Hugging Face name, in the order of the arena. */
export type TensorValues = Map<string, { shape: number[]; values: Float32Array<ArrayBuffer> }>;

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
    /** Of the matrices; norms and biases are f32. */
    readonly storage: Storage,
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
   * @param options.storage of the matrices; what is trained is f32
   * @throws GpuLimitError, GpuMemoryError; CheckpointError where q8 cannot hold the shapes
   */
  static async create(
    gpu: Gpu,
    config: ModelConfig,
    label = 'parameters',
    { storage = 'f32' }: { storage?: Storage } = {},
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

  /**
   * Replaces all values. Checks every name, shape and value before the first write.
   * @param source where the values come from, for messages
   * @throws CheckpointError naming the tensor: missing, extra, of another shape, or not finite
   */
  write(values: TensorValues, source: string): void {
    checkNamed(values, this.named, this.config, source);
    for (const { name } of this.named) {
      const { values: numbers } = values.get(name)!;
      const broken = numbers.findIndex((value) => !Number.isFinite(value));
      if (broken >= 0) throw new CheckpointError(`${source}: tensor ${name} holds ${numbers[broken]} at ${broken}`);
    }
    for (const { name } of this.named) {
      const { buffer, byteOffset, byteLength } = values.get(name)!.values;
      this.writeElements(name, 0, new Uint8Array(buffer, byteOffset, byteLength), 'F32', source);
    }
  }

  /**
   * Writes consecutive elements of a tensor, converted to how it is kept.
   * @param first element; a multiple of 64. Only a tensor's last elements may be of another number.
   * @param bytes elements of the file's type
   * @param source where they come from, for messages
   * @throws CheckpointError naming the tensor, for a value that is not finite or cannot be kept without loss
   */
  writeElements(name: string, first: number, bytes: Uint8Array, type: WeightType, source = this.label): void {
    const { buffer, offset, packed } = this.packElements(name, first, bytes, type, source);
    this.gpu.write(buffer, offset, packed);
  }

  /**
   * What `writeElements` would write, and where: for who brings it there by other means.
   * @param into memory that the result may be in
   */
  packElements(
    name: string,
    first: number,
    bytes: Uint8Array,
    type: WeightType,
    source: string,
    into?: Uint8Array<ArrayBuffer>,
  ): { buffer: GPUBuffer; offset: number; packed: Uint8Array<ArrayBuffer> } {
    const entry = this.entry(name);
    const { tensor, offset, shape } = entry;
    const count = bytes.byteLength / WEIGHT_BYTES[type];
    if (first % 64 !== 0 || first + count > shape.reduce((product, size) => product * size, 1)) {
      throw new RangeError(`${name}: ${count} elements from ${first} on`);
    }
    try {
      const packed = convert(bytes, type, tensor.dtype, into);
      return { buffer: tensor.buffer, offset: tensor.offset + bytesOf(offset + first, tensor.dtype), packed };
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      throw new CheckpointError(`${source}: tensor ${name}, from element ${first} on: ${error.message}`);
    }
  }

  /**
   * Elements of a tensor as they are after everything submitted so far, in the file type that holds them exactly.
   * @param first element; a multiple of 64
   */
  async readElements(
    name: string,
    first: number,
    count: number,
  ): Promise<{ type: WeightType; bytes: Uint8Array<ArrayBuffer> }> {
    const { tensor, offset } = this.entry(name);
    const begin = tensor.offset + bytesOf(offset + first, tensor.dtype);
    const words = bytesOf(count, tensor.dtype) / 4;
    const submission = new Submission(this.gpu, `read ${this.label}`);
    const read = submission.read(new Tensor(name, [words]).place(tensor.buffer, begin));
    submission.submit();
    const bytes = new Uint8Array(await read);
    const storage = tensor.dtype as Storage;
    const type = FILE_TYPE[storage];
    if (storage === 'q8') return { type, bytes: new Uint8Array(unpack(bytes, 'q8', count).buffer) };
    return { type, bytes: bytes.subarray(0, count * WEIGHT_BYTES[type]) };
  }

  /** @throws RangeError for a name that this model has not */
  entry(name: string): NamedTensor {
    const entry = this.named.find((candidate) => candidate.name === name);
    if (!entry) throw new RangeError(`no tensor ${name} in a ${this.config.family} model`);
    return entry;
  }

  /** Replaces the flat arena, padding included: what `readFlat` returned. */
  writeFlat(words: Float32Array<ArrayBuffer>): void {
    this.arena.write(words);
  }

  /** The flat arena as it is after everything submitted so far. */
  async readFlat(): Promise<Float32Array<ArrayBuffer>> {
    return readArena(this.arena);
  }

  /** Values by Hugging Face name, as f32 whatever they are kept in. */
  async read(): Promise<TensorValues> {
    return this.split(await this.readFlat());
  }

  /** Cuts a flat arena into tensors by Hugging Face name. */
  split(flat: Float32Array<ArrayBuffer>): TensorValues {
    const bytes = new Uint8Array(flat.buffer, flat.byteOffset, flat.byteLength);
    return new Map(
      this.named.map(({ name, shape, tensor, offset }) => {
        const begin = this.arena.wordOf(tensor) * 4 + bytesOf(offset, tensor.dtype);
        const length = shape.reduce((product, size) => product * size, 1);
        const own = bytes.subarray(begin, begin + bytesOf(length, tensor.dtype));
        return [name, { shape, values: unpack(own, tensor.dtype, length) }];
      }),
    );
  }

  /** Fills with zeros, in a submission of its own unless one is given. */
  clear(submission?: Submission): void {
    const given = submission ?? new Submission(this.gpu, `clear ${this.label}`);
    for (const piece of this.arena.flat()) given.clear(piece);
    if (!submission) given.submit();
  }

  /** Copies another arena of the same layout, on the GPU. */
  copyFrom(other: Weights): void {
    const submission = new Submission(this.gpu, `copy ${other.label} to ${this.label}`);
    const targets = this.arena.flat();
    other.arena.flat().forEach((piece, i) => submission.copy(piece, targets[i]!));
    submission.submit();
  }

  /** Weight decay per DECAY_BLOCK elements of the arena. */
  decayTable(decay: number): Float32Array<ArrayBuffer> {
    const table = new Float32Array(this.arena.length / DECAY_BLOCK);
    for (const { tensor, decayed } of this.named) {
      if (!decayed) continue;
      const begin = this.arena.wordOf(tensor) / DECAY_BLOCK;
      table.fill(decay, begin, begin + Math.ceil(tensor.length / DECAY_BLOCK));
    }
    return table;
  }

  destroy(): void {
    this.arena.destroy();
  }
}

/** Bytes of one readback of a long arena: few enough that the copies do not add up, many enough to be fast. */
export const READ_BYTES = 64 * 2 ** 20;

/** A whole arena, read piece by piece. */
async function readArena(arena: Arena): Promise<Float32Array<ArrayBuffer>> {
  const words = new Float32Array(arena.length);
  let at = 0;
  for (const flat of arena.flat()) {
    for (let begin = 0; begin < flat.length; begin += READ_BYTES / 4) {
      const submission = new Submission(arena.gpu, `read ${arena.label}`);
      const read = submission.read(rangeOf(flat, begin, Math.min(flat.length, begin + READ_BYTES / 4)));
      submission.submit();
      const part = new Float32Array(await read);
      words.set(part, at);
      at += part.length;
    }
  }
  return words;
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
