/**
 * @file The models that are asked in the playground, one to a side. A run's own models are asked as they are; others get
 * their weights onto the GPU once, whatever adapters are put beside them: who changes from one adapter to another of the
 * same base waits for the adapter alone.
 */
import { formatBytes, measureAllocations } from '../../../src/kernels';
import type { DeviceLimits, Gpu } from '../../../src/kernels';
import {
  AdapterSwitch,
  Generator,
  NativeModel,
  Weights,
  isAdapter,
  loadAdapter,
  readPeftConfig,
} from '../../../src/model';
import type { FileSource, GeneratorOptions, LoadedAdapter, ModelConfig, ModelText, Storage } from '../../../src/model';
import { UnfitConfigError, assumedBudget, baseOf, openModel } from '../../../src/rl';
import type { Policy, Sampler, TrainConfig } from '../../../src/rl';
import type { ModelRef } from '../../playground_protocol';
import type { Models } from '../models/lazy-models';

/** The run that is open, as far as its models can be asked. */
export interface OpenRun {
  config: TrainConfig;
  policy: Policy;
  before: Sampler;
  /** GRPO steps behind the weights. */
  step: number;
  /** Differs whenever the weights do, now and as they started. */
  versions: { current: string; start: string };
}

export interface SeatsHost {
  gpu: () => Promise<Gpu>;
  run: () => OpenRun | undefined;
  models: () => Promise<Models>;
}

/** A model that can be asked. */
export interface Seat {
  model: NativeModel;
  text: ModelText;
  /** Differs whenever the weights do. */
  version: string;
  /** GRPO steps behind the weights, where they are a run's. */
  step: number | null;
}

/** Weights on the GPU that are no run's, or a run's that do not change. */
interface Base {
  name: string;
  text: ModelText;
  weights: Weights;
  /** Freed with the last side that uses it; else it is the run's. */
  isOwn: boolean;
}

/** What a side has of its own. */
interface Held {
  base: Base;
  generator: Generator;
  adapters: AdapterSwitch;
}

/** What a reference stands for: a base, and what lies beside it. */
interface Resolved {
  baseName: string;
  folder: () => Promise<FileSource>;
  adapter: FileSource | undefined;
  step: number | null;
}

/** Longest conversation, in tokens, and bytes of its keys and values. */
const CONTEXT = 4096;
const CACHE_BYTES = 256 * 2 ** 20;

/** Sequences at once, and with them rows of logits: more than one conversation, since alternatives are read row by row. */
const SLOTS = 16;
const PREFILL_ROWS = 256;

export class Seats {
  readonly #held = new Map<number, Held>();
  #gpu: Gpu | undefined;

  constructor(private readonly host: SeatsHost) {}

  /**
   * A side's model, ready to be asked.
   * @param onProgress bytes of its weights that are on the GPU, and all of them
   * @throws CheckpointError, UnfitConfigError when it does not fit beside what is there, GpuError, the signal's reason
   */
  async take(
    side: number,
    ref: ModelRef,
    { signal, onProgress }: { signal: AbortSignal; onProgress: (done: number, total: number) => void },
  ): Promise<Seat> {
    if (!isOwn(ref)) {
      this.#free(side);
      return this.#ofRun(ref.kind);
    }
    const gpu = await this.host.gpu();
    if (gpu !== this.#gpu) this.leave();
    this.#gpu = gpu;
    const { baseName, folder, adapter, step } = await this.#resolve(ref);
    let held = this.#held.get(side);
    if (held?.base.name !== baseName) {
      this.#free(side);
      const base = await this.#base(gpu, baseName, folder, signal, onProgress);
      held = await this.#reserve(side, base);
    }
    const loaded: LoadedAdapter | undefined = adapter && (await loadAdapter(adapter, held.base.weights.config));
    if (loaded || held.adapters.current) await held.adapters.use(loaded);
    const { text } = held.base;
    const model = new NativeModel(nameOf(ref), text.chat, held.generator);
    return { model, text, version: `${baseName} ${adapter?.name ?? ''}`, step };
  }

  /** Frees what sides from this one on hold. */
  release(from: number): void {
    for (const side of [...this.#held.keys()]) if (side >= from) this.#free(side);
  }

  /** Frees everything. */
  leave(): void {
    this.release(0);
  }

  /** The run goes, and with it what was shared. */
  leaveRun(): void {
    for (const [side, { base }] of [...this.#held]) if (!base.isOwn) this.#free(side);
  }

  #ofRun(kind: 'current' | 'start'): Seat {
    const run = this.host.run();
    if (!run) throw new Error('there is no model to ask: no run is open');
    const { policy, before, step, versions } = run;
    const model = kind === 'start' ? before.model : policy.chatModel('current');
    return { model, text: policy.text, version: versions[kind], step: kind === 'start' ? 0 : step };
  }

  async #resolve(ref: OwnRef): Promise<Resolved> {
    const models = await this.host.models();
    if (ref.kind === 'model') {
      const folder = await models.folder(ref.name);
      if (!(await isAdapter(folder))) {
        return {
          baseName: models.canonical(ref.name),
          folder: () => Promise.resolve(folder),
          adapter: undefined,
          step: null,
        };
      }
      const { baseModel } = await readPeftConfig(folder);
      return { ...this.#below(models, baseModel ?? ''), adapter: folder, step: null };
    }
    const { model, config } = await models.ofRun(ref.run, ref.step);
    if (model.lora) return { ...this.#below(models, baseOf(config)), adapter: model.folder, step: model.step };
    const folder = () => Promise.resolve(model.folder);
    return { baseName: `run:${ref.run} ${ref.step}`, folder, adapter: undefined, step: model.step };
  }

  /** What lies below an adapter. */
  #below(models: Models, name: string): Pick<Resolved, 'baseName' | 'folder'> {
    return { baseName: models.canonical(name), folder: () => models.find(name) };
  }

  /** Weights that are there already - another side's, or a run's below its adapter - or new ones. */
  async #base(
    gpu: Gpu,
    name: string,
    find: () => Promise<FileSource>,
    signal: AbortSignal,
    onProgress: (done: number, total: number) => void,
  ): Promise<Base> {
    for (const { base } of this.#held.values()) if (base.name === name) return base;
    const run = this.host.run();
    const models = await this.host.models();
    if (run?.policy.adapter && models.canonical(baseOf(run.config)) === name) {
      return { name, text: run.policy.text, weights: run.policy.weights, isOwn: false };
    }
    const { config, text, checkpoint } = await openModel(await find());
    const computed = { ...config, maxPositions: contextOf(config) };
    const { storage } = checkpoint;
    await requireRoom(gpu, computed, storage, { source: checkpoint.source, budgetMb: run?.config.memory.budget_mb });
    const weights = await Weights.create(gpu, computed, 'playground', { storage });
    try {
      await checkpoint.writeTo(weights, { signal, onProgress });
    } catch (error) {
      weights.destroy();
      throw error;
    }
    return { name, text, weights, isOwn: true };
  }

  async #reserve(side: number, base: Base): Promise<Held> {
    try {
      const generator = await Generator.create(base.weights, generatorOptions(base.weights.config));
      const held = { base, generator, adapters: new AdapterSwitch(generator) };
      this.#held.set(side, held);
      return held;
    } catch (error) {
      this.#freeBase(base);
      throw error;
    }
  }

  #free(side: number): void {
    const held = this.#held.get(side);
    if (!held) return;
    this.#held.delete(side);
    held.generator.destroy();
    held.adapters.destroy();
    this.#freeBase(held.base);
  }

  #freeBase(base: Base): void {
    const isUsed = [...this.#held.values()].some((held) => held.base === base);
    if (base.isOwn && !isUsed) base.weights.destroy();
  }
}

/** A model whose weights are read for the playground. */
type OwnRef = Extract<ModelRef, { kind: 'model' } | { kind: 'run' }>;

function isOwn(ref: ModelRef): ref is OwnRef {
  return ref.kind === 'model' || ref.kind === 'run';
}

function nameOf(ref: OwnRef): string {
  return ref.kind === 'model' ? ref.name : `${ref.run}, step ${ref.step}`;
}

/** Bytes of keys and values of one token, in f32. */
function tokenBytes({ layers, kvHeads, headDim }: ModelConfig): number {
  return layers * 2 * kvHeads * headDim * 4;
}

/** As long as the cache holds in 16 bits, in whole pages of tokens. */
function contextOf(config: ModelConfig): number {
  const fitting = Math.floor(CACHE_BYTES / (tokenBytes(config) / 2) / 64) * 64;
  return Math.min(config.maxPositions, CONTEXT, fitting);
}

/** Keys and values are kept exactly where there is room for that. */
function generatorOptions(config: ModelConfig): GeneratorOptions {
  const isExact = tokenBytes(config) * config.maxPositions <= CACHE_BYTES;
  return {
    slots: SLOTS,
    prefillRows: PREFILL_ROWS,
    cacheBytes: CACHE_BYTES,
    cacheStorage: isExact ? 'f32' : 'f16',
  };
}

/** @throws UnfitConfigError; GpuLimitError for what no memory could hold */
async function requireRoom(
  gpu: Gpu,
  config: ModelConfig,
  storage: Storage,
  { source, budgetMb }: { source: string; budgetMb: number | undefined },
): Promise<void> {
  const limits: DeviceLimits = gpu.device.limits;
  const allocations = await measureAllocations(limits, async (noting) => {
    await Generator.create(await Weights.create(noting, config, 'playground', { storage }), generatorOptions(config));
  });
  const needed = allocations.reduce((sum, { bytes }) => sum + bytes, 0);
  const budget = budgetMb === undefined ? assumedBudget(limits) : budgetMb * 2 ** 20;
  if (gpu.liveBytes + needed <= budget) return;
  throw new UnfitConfigError(
    `${source} needs ${formatBytes(needed)} of GPU memory beside the ${formatBytes(gpu.liveBytes)} in use; ` +
      `${formatBytes(budget)} are ${budgetMb === undefined ? 'assumed (memory.budget_mb of the run tells how much there is)' : 'allowed by memory.budget_mb'}. ` +
      'Choose a smaller model',
  );
}
