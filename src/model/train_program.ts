/**
 * @file Forward, loss and backward of the transformer over a packed batch, recorded once and replayed.
 *
 * Reads top to bottom as the model does: embedding; per layer norm, qkv, rope, attention, out + residual, norm, gate and
 * up, SwiGLU, down + residual; final norm on the rows that carry loss; logits in chunks; loss; and back. Gradients are
 * added to an arena of the parameters' layout. With an adapter the weights are frozen: the only gradients are the adapter's,
 * and the backward ends at the first layer's.
 */
import {
  BEHAVIOUR_FIELDS,
  LOSS_METRICS,
  Recorder,
  attention,
  attentionBackward,
  biasGradient,
  embedding,
  embeddingBackward,
  headBackward,
  headLinear,
  linearBackwardWeight,
  logitsBackward,
  logprob,
  policyLoss,
  rmsnorm,
  rmsnormBackward,
  rmsnormBackwardWeight,
  rope,
  ropeBackward,
  ropeTable,
  swiglu,
  swigluBackward,
} from '../kernels';
import type { Extent, Gpu, LossParameters, Program, Tensor, Submission } from '../kernels';
import type { PackedBatch } from './batch';
import type { Adapter, AdapterDropout } from './lora';
import { PlainPasses } from './passes';
import type { LayerMatrix, LowActivations, Passes, Product } from './passes';
import { Weights } from './weights';
import type { LayerWeights } from './weights';

/** What one replay can hold. */
export interface BatchCapacity {
  tokens: number;
  /** Tokens that carry loss. */
  rows: number;
  sequences: number;
}

export interface TrainProgramOptions extends BatchCapacity {
  /** Bytes of logits kept at once; more rows are computed in chunks (and twice). */
  logitsBytes?: number;
  /**
   * Keep only each layer's input, and compute a layer's activations again just before its backward: the same bits from
   * much less memory, for one more forward pass.
   */
  recompute?: boolean;
  /** Keep every activation readable after a run, for tests: `tensors`. */
  inspect?: boolean;
  /** Beside the weights, which are frozen then. */
  adapter?: Adapter | undefined;
  /** Prepare for leaving out some of the adapter's inputs: what `TrainProgram.dropout` says. */
  dropout?: boolean;
}

/** Activations of one layer that the backward reads. */
interface LayerActivations {
  input: Tensor;
  inputRstd: Tensor;
  normed: Tensor;
  qkv: Tensor;
  qk: Tensor;
  qkRstd: Tensor | undefined;
  attended: Tensor;
  lse: Tensor;
  middle: Tensor;
  mlpRstd: Tensor;
  mlpNormed: Tensor;
  gateUp: Tensor;
  act: Tensor;
  /** Of the adapter. */
  low: LowActivations;
}

const DEFAULT_LOGITS_BYTES = 64 * 2 ** 20;

/** Chunks of rows begin at multiples of this, so that they can be bound whatever the width of a row. */
const ROW_ALIGNMENT = 64;

export class TrainProgram {
  /** Settings of the loss; read anew at every run. */
  readonly loss: LossParameters = {
    kind: 0,
    perSequence: false,
    normalizer: 1,
    epsilonLow: 0.2,
    epsilonHigh: 0.2,
    delta: 0,
    beta: 0,
    maskLow: 0.2,
    maskHigh: 0.2,
    klTau: 0,
    entropyCoefficient: 0,
  };
  /** Log-probabilities are those of softmax(logits / temperature). */
  temperature = 1;
  /** What is left out of the adapter's inputs; 0 wherever log-probabilities are compared. */
  dropout: AdapterDropout = { rate: 0, key: [0, 0], firstToken: 0 };
  /** With `inspect` readable after a run: logits, hidden.0, hidden.1, ..., final_norm, and after a backward dlogprob. */
  readonly tensors = new Map<string, Tensor>();

  #program!: Program;
  #pairs = 0;
  readonly #tokens: Extent;
  readonly #rows: Extent;
  readonly #sequences: Extent;
  readonly #distinct: Extent;
  readonly #inputs: Record<InputName, Tensor>;
  readonly #table: Tensor;
  readonly #live: Tensor;
  readonly #logprob: Tensor;
  readonly #entropy: Tensor;
  readonly #metrics: Tensor;
  readonly #passes: Passes;

  /**
   * @param gradients of what is trained: of `weights`, or with an adapter, of that. Every run adds to them. Null: forward
   * only
   * @throws GpuLimitError, GpuMemoryError
   */
  static async create(
    weights: Weights,
    gradients: Weights | Adapter | null,
    options: TrainProgramOptions,
  ): Promise<TrainProgram> {
    const { gpu, config } = weights;
    const record = new Recorder(gpu, 'train');
    const train = new TrainProgram(record, weights, gradients, options);
    const keep = [train.#logprob, train.#entropy, ...(options.inspect ? train.tensors.values() : [])];
    train.#program = await record.finish({ keep });
    const table = ropeTable(config.maxPositions, config.headDim, config.ropeTheta, config.ropeScaling);
    gpu.write(train.#table.buffer, 0, table);
    gpu.write(train.#live.buffer, 0, Uint32Array.of(0xffffffff));
    return train;
  }

  private constructor(
    record: Recorder,
    readonly weights: Weights,
    readonly gradients: Weights | Adapter | null,
    readonly options: TrainProgramOptions,
  ) {
    const { config } = weights;
    const { adapter } = options;
    /** Gradients of the weights: none where they are frozen. */
    const own = gradients instanceof Weights ? gradients : undefined;
    const low = gradients instanceof Weights ? undefined : (gradients ?? undefined);
    if (gradients && !!adapter !== !!low) throw new Error('gradients must be of what is trained: weights or adapter');
    const { hiddenSize: dim, vocabSize: vocabulary, rmsNormEps: eps } = config;
    const tokens = (this.#tokens = record.extent('tokens', options.tokens));
    const rows = (this.#rows = record.extent('rows', options.rows));
    this.#sequences = record.extent('sequences', options.sequences);
    this.#distinct = record.extent('distinct ids', Math.min(vocabulary, options.tokens));
    const u32 = (label: string, ...shape: number[]) => record.input(label, shape, 'u32');
    const input = (this.#inputs = {
      ids: u32('ids', tokens.capacity),
      positions: u32('positions', tokens.capacity),
      sequenceBegin: u32('sequence begin', tokens.capacity),
      sequenceEnd: u32('sequence end', tokens.capacity),
      slot: u32('slot', tokens.capacity),
      distinctIds: u32('distinct ids', this.#distinct.capacity),
      idBegin: u32('id begin', this.#distinct.capacity + 1),
      idOrder: u32('id order', tokens.capacity),
      rowToken: u32('row token', rows.capacity),
      targets: u32('targets', rows.capacity),
      behaviour: record.input('behaviour', [rows.capacity, BEHAVIOUR_FIELDS]),
      rowBegin: u32('row begin', this.#sequences.capacity + 1),
    });
    const live = (this.#live = u32('live', 1));
    const mask = options.dropout ? () => this.dropout : undefined;
    this.#passes = adapter?.passes(record, tokens, live, low, mask) ?? new PlainPasses(record, tokens, live);
    this.#table = record.input('rope table', [config.maxPositions, config.headDim]);
    this.#metrics = record.input('metrics', [LOSS_METRICS.length]);

    // ---- Forward ----
    record.segment('forward');
    let hidden = record.tensor('hidden.0', [tokens.capacity, dim]);
    this.tensors.set('hidden.0', hidden);
    embedding(record, { ids: input.ids, weight: weights.embedding, out: hidden, live, rows: tokens, dim });
    const activations: LayerActivations[] = [];
    weights.layers.forEach((layer, i) => {
      record.cut();
      const output = record.tensor(`hidden.${i + 1}`, [tokens.capacity, dim]);
      this.tensors.set(`hidden.${i + 1}`, output);
      const a = this.#layerActivations(record, i, `layer ${i}`, hidden);
      this.#layerForward(record, i, layer, a, output);
      activations.push(a);
      hidden = output;
    });
    record.cut();
    const normed = record.tensor('final norm', [rows.capacity, dim]);
    this.tensors.set('final_norm', normed);
    const finalRstd = record.tensor('final rstd', [rows.capacity]);
    const index = input.rowToken;
    const { finalNorm, head } = weights;
    rmsnorm(record, { x: hidden, weight: finalNorm, y: normed, rstd: finalRstd, live, rows, dim, eps, index });

    // The vocabulary's logits exist for one chunk of rows at a time.
    const fitting = Math.floor((options.logitsBytes ?? DEFAULT_LOGITS_BYTES) / (4 * vocabulary * ROW_ALIGNMENT));
    const chunkRows = Math.min(rows.capacity, Math.max(1, fitting) * ROW_ALIGNMENT);
    const chunkCount = Math.ceil(rows.capacity / chunkRows);
    const logits = record.tensor('logits', [chunkRows, vocabulary]);
    this.tensors.set('logits', logits);
    const lse = record.tensor('lse', [rows.capacity, 2]);
    this.#logprob = record.tensor('logprob', [rows.capacity]);
    this.#entropy = record.tensor('entropy', [rows.capacity]);
    const chunks = Array.from({ length: chunkCount }, (_, i) => {
      const offset = i * chunkRows;
      return {
        offset,
        rows: () => Math.min(chunkRows, Math.max(0, rows.value - offset)),
        logits,
        targets: input.targets,
        lse,
        entropy: this.#entropy,
        vocabulary,
        temperature: () => this.temperature,
        normed: rowsOf(normed, offset, chunkRows),
      };
    });
    type Chunk = (typeof chunks)[number];
    const computeLogits = (chunk: Chunk) =>
      headLinear(record, { x: chunk.normed, weight: head, y: logits, live, m: chunk.rows, n: vocabulary, k: dim });
    for (const chunk of chunks) {
      computeLogits(chunk);
      logprob(record, { ...chunk, logprob: this.#logprob });
    }

    if (!gradients) return;

    // ---- Loss ----
    record.segment('backward');
    const dlogprob = record.tensor('dlogprob', [rows.capacity, 2]);
    this.tensors.set('dlogprob', dlogprob);
    policyLoss(record, {
      begin: input.rowBegin,
      logprob: this.#logprob,
      entropy: this.#entropy,
      behaviour: input.behaviour,
      dlogprob,
      sequenceMetrics: record.tensor('sequence metrics', [this.#sequences.capacity, LOSS_METRICS.length]),
      metrics: this.#metrics,
      sequences: this.#sequences,
      parameters: this.loss,
    });

    // ---- Backward ----
    const dnormed = record.tensor('dfinal norm', [rows.capacity, dim]);
    for (const chunk of chunks) {
      if (chunkCount > 1) computeLogits(chunk);
      logitsBackward(record, { ...chunk, dlogprob });
      headBackward(record, {
        dy: logits,
        x: chunk.normed,
        weight: head,
        dx: rowsOf(dnormed, chunk.offset, chunkRows),
        dWeight: own?.head,
        rows: chunk.rows,
        vocabulary,
        dim,
      });
    }
    if (own) {
      rmsnormBackwardWeight(record, {
        x: { tensor: hidden, stride: dim },
        dy: { tensor: dnormed, stride: dim },
        rstd: { tensor: finalRstd, stride: 1 },
        gradient: own.finalNorm,
        tokens: rows,
        dim,
        index,
      });
    }
    const dhidden = record.tensor('dhidden', [tokens.capacity, dim]);
    rmsnormBackward(record, {
      x: hidden,
      weight: finalNorm,
      rstd: finalRstd,
      dy: dnormed,
      dx: dhidden,
      rows: tokens,
      dim,
      slot: input.slot,
    });
    for (let i = config.layers - 1; i >= 0; i--) {
      record.cut();
      const layer = weights.layers[i]!;
      let a = activations[i]!;
      if (options.recompute) {
        a = this.#layerActivations(record, i, `layer ${i} again`, a.input);
        this.#layerForward(record, i, layer, a);
      }
      this.#layerBackward(record, i, layer, own?.layers[i], a, dhidden);
    }
    if (!own) return;
    record.cut();
    embeddingBackward(record, {
      dx: dhidden,
      distinctIds: input.distinctIds,
      begin: input.idBegin,
      order: input.idOrder,
      gradient: own.embedding,
      distinct: this.#distinct,
      dim,
    });
  }

  #layerActivations(record: Recorder, i: number, name: string, input: Tensor): LayerActivations {
    const { config } = this.weights;
    const { hiddenSize: dim, intermediateSize: width, headDim, heads: qHeads, kvHeads } = config;
    const tensor = (label: string, columns: number) =>
      record.tensor(`${name} ${label}`, [this.#tokens.capacity, columns]);
    const qkHeads = qHeads + kvHeads;
    return {
      input,
      inputRstd: tensor('input rstd', 1),
      normed: tensor('normed', dim),
      qkv: tensor('qkv', (qHeads + 2 * kvHeads) * headDim),
      qk: tensor('qk', qkHeads * headDim),
      qkRstd: config.qkNorm ? tensor('qk rstd', qkHeads) : undefined,
      attended: tensor('attended', qHeads * headDim),
      lse: tensor('attention lse', qHeads),
      middle: tensor('middle', dim),
      mlpRstd: tensor('mlp rstd', 1),
      mlpNormed: tensor('mlp normed', dim),
      gateUp: tensor('gate up', 2 * width),
      act: tensor('act', width),
      low: this.#passes.activations(i, name),
    };
  }

  /** Computes a layer's activations, and its output where one is wanted: the backward reads all but that. */
  #layerForward(record: Recorder, i: number, layer: LayerWeights, a: LayerActivations, output?: Tensor): void {
    const { config } = this.weights;
    const { hiddenSize: dim, intermediateSize: width, rmsNormEps: eps, headDim, heads: qHeads, kvHeads } = config;
    const { input } = a;
    const tokens = this.#tokens;
    const live = this.#live;
    const qWidth = qHeads * headDim;
    const qkvWidth = (qHeads + 2 * kvHeads) * headDim;
    const common = { live, rows: tokens, dim, eps };
    const linear = (matrix: LayerMatrix, product: Product) => this.#passes.linear(i, matrix, a.low, product);
    rmsnorm(record, { x: input, weight: layer.inputNorm, y: a.normed, rstd: a.inputRstd, ...common });
    linear('qkv', { x: a.normed, weight: layer.qkv, bias: layer.qkvBias, y: a.qkv, n: qkvWidth, k: dim });
    rope(record, {
      qkv: a.qkv,
      qk: a.qk,
      positions: this.#inputs.positions,
      table: this.#table,
      norms: layer.qkNorm,
      rstd: a.qkRstd,
      rows: tokens,
      eps,
      qHeads,
      kvHeads,
      headDim,
    });
    attention(record, {
      qk: a.qk,
      qkv: a.qkv,
      sequenceBegin: this.#inputs.sequenceBegin,
      out: a.attended,
      lse: a.lse,
      tokens,
      pairs: () => this.#pairs,
      qHeads,
      kvHeads,
      headDim,
    });
    linear('out', { x: a.attended, weight: layer.out, y: a.middle, residual: input, n: dim, k: qWidth });
    rmsnorm(record, { x: a.middle, weight: layer.mlpNorm, y: a.mlpNormed, rstd: a.mlpRstd, ...common });
    linear('gateUp', { x: a.mlpNormed, weight: layer.gateUp, y: a.gateUp, n: 2 * width, k: dim });
    swiglu(record, { gateUp: a.gateUp, act: a.act, live, rows: tokens, width });
    if (output) linear('down', { x: a.act, weight: layer.down, y: output, residual: a.middle, n: dim, k: width });
    else this.#passes.prepare(i, 'down', a.low, a.act, width);
  }

  /**
   * Turns `dhidden` from the gradient of the layer's output into that of its input, in place. Where the weights are frozen
   * nobody asks for the first layer's.
   */
  #layerBackward(
    record: Recorder,
    i: number,
    layer: LayerWeights,
    gradient: LayerWeights | undefined,
    a: LayerActivations,
    dhidden: Tensor,
  ): void {
    const { config } = this.weights;
    const { hiddenSize: dim, intermediateSize: width, headDim, heads: qHeads, kvHeads } = config;
    const tokens = this.#tokens;
    const live = this.#live;
    const tensor = (label: string, columns: number) => record.tensor(`layer ${i} ${label}`, [tokens.capacity, columns]);
    const qWidth = qHeads * headDim;
    const qkvWidth = (qHeads + 2 * kvHeads) * headDim;
    const qkHeads = qHeads + kvHeads;
    /** y = x W^T: dx (where wanted) from dy, and dW or the adapter's gradients; `n` outputs, `k` inputs. */
    const linearBackward = (
      matrix: LayerMatrix,
      { dy, x, dx, n, k }: { dy: Tensor; x: Tensor; dx: Tensor | undefined; n: number; k: number },
    ) => {
      this.#passes.backward(i, matrix, a.low, { dy, x, weight: layer[matrix], dx, n, k });
      if (gradient) linearBackwardWeight(record, { dy, x, dWeight: gradient[matrix], m: n, n: k, k: tokens });
    };
    const normBackward = (x: Tensor, weight: Tensor, rstd: Tensor, dy: Tensor, dWeight: Tensor | undefined) => {
      if (dWeight) {
        rmsnormBackwardWeight(record, {
          x: { tensor: x, stride: dim },
          dy: { tensor: dy, stride: dim },
          rstd: { tensor: rstd, stride: 1 },
          gradient: dWeight,
          tokens,
          dim,
        });
      }
      rmsnormBackward(record, { x, weight, rstd, dy, dx: dhidden, rows: tokens, dim });
    };

    // MLP
    const dact = tensor('dact', width);
    linearBackward('down', { dy: dhidden, x: a.act, dx: dact, n: dim, k: width });
    swigluBackward(record, { gateUp: a.gateUp, dact, live, rows: tokens, width });
    const dmlpNormed = tensor('dmlp normed', dim);
    linearBackward('gateUp', { dy: a.gateUp, x: a.mlpNormed, dx: dmlpNormed, n: 2 * width, k: dim });
    normBackward(a.middle, layer.mlpNorm, a.mlpRstd, dmlpNormed, gradient?.mlpNorm);

    // Attention
    const dattended = tensor('dattended', qWidth);
    linearBackward('out', { dy: dhidden, x: a.attended, dx: dattended, n: dim, k: qWidth });
    const dqk = tensor('dqk', qkHeads * headDim);
    const dqkv = tensor('dqkv', qkvWidth);
    attentionBackward(record, {
      qk: a.qk,
      qkv: a.qkv,
      sequenceBegin: this.#inputs.sequenceBegin,
      sequenceEnd: this.#inputs.sequenceEnd,
      out: a.attended,
      lse: a.lse,
      dout: dattended,
      dqk,
      dqkv,
      delta: tensor('delta', qHeads),
      tokens,
      pairs: () => this.#pairs,
      qHeads,
      kvHeads,
      headDim,
    });
    const { positions } = this.#inputs;
    const norms = layer.qkNorm;
    const rotated = { dqk, dqkv, positions, table: this.#table, norms, qkv: a.qkv, rstd: a.qkRstd };
    ropeBackward(record, { ...rotated, rows: tokens, qHeads, kvHeads, headDim });
    if (gradient?.qkNorm && a.qkRstd) {
      const stride = gradient.qkNorm.shape[1]!;
      [
        { heads: qHeads, firstHead: 0, row: 0 },
        { heads: kvHeads, firstHead: qHeads, row: 1 },
      ].forEach(({ heads, firstHead, row }) => {
        rmsnormBackwardWeight(record, {
          x: { tensor: a.qkv, stride: qkvWidth, offset: firstHead * headDim },
          dy: { tensor: dqk, stride: qkHeads * headDim, offset: firstHead * headDim },
          rstd: { tensor: a.qkRstd!, stride: qkHeads, offset: firstHead },
          gradient: gradient.qkNorm!.view(row * stride, [headDim]),
          tokens,
          heads,
          dim: headDim,
        });
      });
    }
    if (gradient?.qkvBias)
      biasGradient(record, { dy: dqkv, gradient: gradient.qkvBias, rows: tokens, columns: qkvWidth });
    const dnormed = gradient || i > 0 ? tensor('dnormed', dim) : undefined;
    linearBackward('qkv', { dy: dqkv, x: a.normed, dx: dnormed, n: qkvWidth, k: dim });
    if (dnormed) normBackward(a.input, layer.inputNorm, a.inputRstd, dnormed, gradient?.inputNorm);
  }

  /**
   * Uploads a batch; it stays until the next. Must be in a submission of its own step: uploads take effect before
   * everything submitted after them.
   * @throws GpuLimitError when it exceeds the capacity
   */
  load(batch: PackedBatch): void {
    this.#tokens.set(batch.tokens);
    this.#rows.set(batch.rows);
    this.#sequences.set(batch.sequences);
    this.#distinct.set(batch.rowsById.ids.length);
    this.#pairs = batch.pairs;
    for (const [name, data] of Object.entries(inputValues(batch))) {
      const tensor = this.#inputs[name as InputName];
      if (data.length > 0) this.weights.gpu.write(tensor.buffer, tensor.offset, data);
    }
  }

  /** Appends the forward pass: log-probabilities and entropies of the loaded batch's rows. */
  forward(submission: Submission): void {
    submission.run(this.#program, 'forward');
  }

  /** Appends loss and backward; gradients and metrics are added to. */
  backward(submission: Submission): void {
    submission.run(this.#program, 'backward');
  }

  /** Appends a reset of the metrics: at the start of an optimizer step. */
  clearMetrics(submission: Submission): void {
    submission.clear(this.#metrics);
  }

  /** Metrics summed since `clearMetrics`, in the order of LOSS_METRICS. */
  readMetrics(submission: Submission): Promise<ArrayBuffer> {
    return submission.read(this.#metrics);
  }

  /** Log-probability of each row's target, [rows]. */
  readLogprobs(submission: Submission): Promise<ArrayBuffer> {
    return submission.read(this.#logprob, this.#rows.value);
  }

  /** Entropy of each row's distribution in nats, [rows]. */
  readEntropies(submission: Submission): Promise<ArrayBuffer> {
    return submission.read(this.#entropy, this.#rows.value);
  }

  /** What forward and backward of the loaded batch dispatch. */
  costs(): ReturnType<Program['costs']> {
    return [...this.#program.costs('forward'), ...this.#program.costs('backward')];
  }

  /** Bytes of activations and inputs. */
  get byteLength(): number {
    return this.#program.byteLength;
  }

  get gpu(): Gpu {
    return this.weights.gpu;
  }

  destroy(): void {
    this.#program.destroy();
  }
}

/** Rows [offset, offset + count) of a matrix, as far as it goes. */
function rowsOf(tensor: Tensor, offset: number, count: number): Tensor {
  if (offset === 0 && count >= tensor.shape[0]!) return tensor;
  const [rows, columns] = tensor.shape as [number, number];
  return tensor.view(offset * columns, [Math.min(count, rows - offset), columns]);
}

/** What the host writes for every batch, by input. */
function inputValues(batch: PackedBatch) {
  return {
    ids: batch.ids,
    positions: batch.positions,
    sequenceBegin: batch.sequenceBegin,
    sequenceEnd: batch.sequenceEnd,
    slot: batch.slot,
    distinctIds: batch.rowsById.ids,
    idBegin: batch.rowsById.begin,
    idOrder: batch.rowsById.order,
    rowToken: batch.rowToken,
    targets: batch.targets,
    behaviour: batch.behaviour,
    rowBegin: batch.rowBegin,
  };
}

type InputName = keyof ReturnType<typeof inputValues>;
