/**
 * @file One forward pass of new tokens over the paged key-value cache, then sampling: recorded twice, once for prefill
 * (many new tokens per sequence, rows written by the host) and once for decode (one per running sequence, rows packed by
 * the GPU itself). Both are the same kernels, so a token's bits do not depend on which of the two computed it.
 */
import {
  Arena,
  ENTRY_WORDS,
  PAGE,
  RESULT_WORDS,
  Recorder,
  SETTINGS_WORDS,
  STATE_WORDS,
  Tensor,
  advance,
  allOrNothing,
  copyPages,
  embedding,
  headLinear,
  pagedAttention,
  rmsnorm,
  rope,
  ropeTable,
  sample,
  swiglu,
} from '../kernels';
import type { DType, Extent, Gpu, Program } from '../kernels';
import type { ModelConfig } from './config';
import type { Adapter } from './lora';
import { PlainPasses } from './passes';
import type { Weights } from './weights';

export type CacheStorage = 'f32' | 'f16';

export interface GenerationCapacity {
  /** Sequences in flight. */
  slots: number;
  /** Pages of the key-value cache. */
  pages: number;
  /** Of keys and values. f16 halves the memory; log-probabilities then differ from the trainer's by its rounding. */
  cacheStorage: CacheStorage;
  /** New tokens that one prefill submission computes. */
  prefillRows: number;
  /** Decode steps in one submission. */
  steps: number;
}

/** Per-sequence state that lives on the GPU between submissions. */
export class GenerationState {
  readonly pagesPerSlot: number;
  private constructor(
    readonly gpu: Gpu,
    readonly config: ModelConfig,
    readonly capacity: GenerationCapacity,
    /** Per layer: [pages, 2, PAGE, kvHeads * headDim]. */
    readonly caches: readonly Tensor[],
    readonly pageTable: Tensor,
    readonly settings: Tensor,
    readonly state: Tensor,
    readonly results: Tensor,
    readonly control: Tensor,
    readonly ropes: Tensor,
    private readonly arenas: readonly Arena[],
  ) {
    this.pagesPerSlot = pageTable.shape[1]!;
  }

  /** @throws GpuLimitError, GpuMemoryError; nothing is left allocated then */
  static create(gpu: Gpu, config: ModelConfig, capacity: GenerationCapacity): Promise<GenerationState> {
    const { slots, pages, steps, cacheStorage } = capacity;
    const pageElements = pageSize(config);
    const pagesPerSlot = Math.ceil(config.maxPositions / PAGE);
    return allOrNothing(async (own) => {
      const arenas: Arena[] = [];
      // Each in a buffer of its own: some kernels read one and write another.
      const make = async (label: string, shape: number[], dtype: DType = 'u32') => {
        const tensor = new Tensor(`generation.${label}`, shape, dtype);
        arenas.push(own(await Arena.create(gpu, tensor.label, [tensor])));
        return tensor;
      };
      const caches: Tensor[] = [];
      for (let i = 0; i < config.layers; i++)
        caches.push(await make(`cache ${i}`, [pages, pageElements], cacheStorage));
      const state = new GenerationState(
        gpu,
        config,
        capacity,
        caches,
        await make('page table', [slots, pagesPerSlot]),
        await make('settings', [slots, SETTINGS_WORDS]),
        await make('state', [slots, STATE_WORDS]),
        await make('results', [steps + 1, slots, RESULT_WORDS]),
        await make('control', [2]),
        await make('rope table', [config.maxPositions, config.headDim], 'f32'),
        arenas,
      );
      const table = ropeTable(config.maxPositions, config.headDim, config.ropeTheta, config.ropeScaling);
      gpu.write(state.ropes.buffer, 0, table);
      return state;
    });
  }

  destroy(): void {
    for (const arena of this.arenas) arena.destroy();
  }
}

/** Elements of one page of one layer: PAGE keys, then PAGE values. */
export function pageSize(config: ModelConfig): number {
  return 2 * PAGE * config.kvHeads * config.headDim;
}

/** Forward and sampling over up to `rows` new tokens. */
export class GenerationProgram {
  program!: Program;
  /** New tokens; for decode, an upper bound of the running sequences. */
  readonly rows: Extent;
  /** Rows whose logits are wanted. */
  readonly heads: Extent;
  /** Samples drawn; several may share one row's logits. */
  readonly samples: Extent;
  /** Pages copied before sampling (prefill only). */
  readonly copies: Extent;
  readonly ids: Tensor;
  readonly rowPlace: Tensor;
  readonly entries: Tensor;
  readonly headIndex: Tensor;
  readonly copyPairs: Tensor;
  readonly liveRows: Tensor;
  readonly liveSamples: Tensor;
  readonly logits: Tensor;

  /** @throws GpuLimitError, GpuMemoryError */
  static async create(
    weights: Weights,
    state: GenerationState,
    kind: 'prefill' | 'decode',
    adapter?: Adapter,
  ): Promise<GenerationProgram> {
    const record = new Recorder(weights.gpu, kind);
    const generation = new GenerationProgram(record, weights, state, kind, adapter);
    generation.program = await record.finish({ keep: [generation.logits] });
    const { gpu } = weights;
    if (kind === 'prefill') {
      gpu.write(generation.liveRows.buffer, 0, Uint32Array.of(0xffffffff));
      gpu.write(generation.liveSamples.buffer, 0, Uint32Array.of(0xffffffff));
    } else {
      const identity = Uint32Array.from({ length: state.capacity.slots }, (_, i) => i);
      gpu.write(generation.headIndex.buffer, 0, identity);
    }
    return generation;
  }

  private constructor(
    record: Recorder,
    weights: Weights,
    state: GenerationState,
    kind: 'prefill' | 'decode',
    adapter: Adapter | undefined,
  ) {
    const { config, capacity, pagesPerSlot, caches, pageTable, settings, results, control, ropes } = state;
    const { hiddenSize: dim, intermediateSize: width, rmsNormEps: eps, vocabSize: vocabulary } = config;
    const { headDim, heads: qHeads, kvHeads } = config;
    const { slots } = capacity;
    const decode = kind === 'decode';
    const rows = (this.rows = record.extent('rows', decode ? slots : capacity.prefillRows));
    const heads = (this.heads = record.extent('rows with logits', Math.min(rows.capacity, slots)));
    const samples = (this.samples = record.extent('samples', slots));
    this.copies = record.extent('page copies', slots);
    const u32 = (label: string, ...shape: number[]) => record.input(label, shape, 'u32');
    const ids = (this.ids = u32('ids', rows.capacity));
    const rowPlace = (this.rowPlace = u32('row place', rows.capacity, 2));
    const entries = (this.entries = u32('entries', samples.capacity, ENTRY_WORDS));
    const index = (this.headIndex = u32('rows with logits', heads.capacity));
    const live = (this.liveRows = u32('live rows', 1));
    // In decode the three counts are one: every running sequence has one row, one row of logits, one sample.
    const liveSamples = (this.liveSamples = decode ? live : u32('live samples', 1));
    this.copyPairs = u32('page copies', this.copies.capacity, 2);

    if (decode) advance(record, { state: state.state, ids, rowPlace, entries, live, control, slots });
    const passes = adapter?.passes(record, rows, live) ?? new PlainPasses(record, rows, live);
    let hidden = record.tensor('hidden.0', [rows.capacity, dim]);
    embedding(record, { ids, weight: weights.embedding, out: hidden, live, rows, dim });
    weights.layers.forEach((layer, i) => {
      record.cut();
      const tensor = (label: string, columns: number) => record.tensor(`layer ${i} ${label}`, [rows.capacity, columns]);
      const qWidth = qHeads * headDim;
      const qkvWidth = (qHeads + 2 * kvHeads) * headDim;
      const paged = { cache: caches[i]!, pageTable, rowPlace, live, pagesPerSlot };
      const shape = { qHeads, kvHeads, headDim };
      const norm = { live, rows, dim, eps };
      const low = passes.activations(i, `layer ${i}`);
      const normed = tensor('normed', dim);
      rmsnorm(record, { x: hidden, weight: layer.inputNorm, y: normed, rstd: tensor('rstd', 1), ...norm });
      const qkv = tensor('qkv', qkvWidth);
      passes.linear(i, 'qkv', low, { x: normed, weight: layer.qkv, bias: layer.qkvBias, y: qkv, n: qkvWidth, k: dim });
      const q = tensor('q', qWidth);
      rope(record, { qkv, qk: q, table: ropes, norms: layer.qkNorm, paged, rows, eps, ...shape });
      const attended = tensor('attended', qWidth);
      pagedAttention(record, { q, out: attended, rows, ...paged, ...shape });
      const middle = tensor('middle', dim);
      passes.linear(i, 'out', low, { x: attended, weight: layer.out, y: middle, residual: hidden, n: dim, k: qWidth });
      const mlpNormed = tensor('mlp normed', dim);
      rmsnorm(record, { x: middle, weight: layer.mlpNorm, y: mlpNormed, rstd: tensor('mlp rstd', 1), ...norm });
      const gateUp = tensor('gate up', 2 * width);
      passes.linear(i, 'gateUp', low, { x: mlpNormed, weight: layer.gateUp, y: gateUp, n: 2 * width, k: dim });
      const act = tensor('act', width);
      swiglu(record, { gateUp, act, live, rows, width });
      const output = record.tensor(`hidden.${i + 1}`, [rows.capacity, dim]);
      passes.linear(i, 'down', low, { x: act, weight: layer.down, y: output, residual: middle, n: dim, k: width });
      hidden = output;
    });
    record.cut();
    const normed = record.tensor('final norm', [heads.capacity, dim]);
    const rstd = record.tensor('final rstd', [heads.capacity]);
    const headLive = decode ? live : liveSamples;
    const x = hidden;
    rmsnorm(record, { x, weight: weights.finalNorm, y: normed, rstd, live: headLive, rows: heads, dim, eps, index });
    const logits = (this.logits = record.tensor('logits', [heads.capacity, vocabulary]));
    headLinear(record, { x: normed, weight: weights.head, y: logits, live: headLive, m: heads, n: vocabulary, k: dim });
    if (!decode) {
      const pageElements = pageSize(config);
      for (const cache of caches) copyPages(record, { pairs: this.copyPairs, cache, count: this.copies, pageElements });
    }
    sample(record, {
      logits,
      entries,
      live: liveSamples,
      settings,
      state: state.state,
      results,
      control,
      count: samples,
      vocabulary,
      slots,
    });
  }

  destroy(): void {
    this.program.destroy();
  }
}
