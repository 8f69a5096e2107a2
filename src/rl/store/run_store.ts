/**
 * @file A run as it is being kept: what happens is written down event by event, and every checkpoint makes it a place to go on
 * from. Whatever ends the process, the last whole checkpoint and the metrics up to it are there.
 */
import { formatBytes } from '../../kernels';
import { StorageFullError, encodeJson, loraCode } from '../../model';
import type { TrainConfig } from '../config';
import type { Diagnosis } from '../diagnosis';
import type { Group } from '../rollouts';
import { peftBaseName } from '../load_model';
import type { ModelSources } from '../load_model';
import type { RunEvent } from '../run';
import type { RunSnapshot } from '../snapshot';
import { newAbout, readAbout, writeAbout } from './about';
import type { RunAbout } from './about';
import {
  lastGoodCheckpoint,
  listCheckpoints,
  pruneCheckpoints,
  removeCheckpoint,
  writeCheckpoint,
} from './checkpoints';
import type { Files, LoadedCheckpoint } from './checkpoints';
import { METRICS, MODEL_CONFIGS, encodeText, evalPath, stepOfFile, tracesPath } from './layout';
import { checkSteps, metricOf, readMetrics } from './metrics';
import type { Metric, Recovered } from './metrics';
import { DamagedRunError } from './storage';
import type { RunStorage } from './storage';

/** Bytes of rollouts that a run keeps. What comes after is left out, and the file of its step says so. */
export const TRACES_LIMIT = 256e6;

/** Vectors of the size of what is trained in a checkpoint: the model, the same as trained, two moments, the start, and one more. */
const VECTORS = 6;

/** Stands for a position before everything, the warm-up included. */
const BEFORE = -1;

/** A run to go on with. */
export interface OpenedRun {
  store: RunStore;
  about: RunAbout;
  /** Undefined: nothing was saved yet, the run starts over. */
  snapshot: RunSnapshot | undefined;
  /** Where its models come from: what it started from is in the checkpoint, and may be gone elsewhere. */
  sources: (others: ModelSources) => ModelSources;
  /** What happened up to the snapshot. */
  metrics: Metric[];
  /** What was found damaged and is not used. */
  problems: string[];
}

export class RunStore {
  /** Length of metrics.jsonl. */
  #metricsBytes = 0;
  /** The same when the last checkpoint was made, and its step; at first, when the run began. */
  #saved: { metricsBytes: number; step: number } | undefined;
  /** Evals at temperature 1 by step. */
  #scores = new Map<number, number>();
  #traceBytes = 0;
  #started = false;

  private constructor(
    readonly storage: RunStorage,
    readonly config: TrainConfig,
    private readonly unlock: () => Promise<void>,
    private readonly options: RunStoreOptions,
  ) {}

  /**
   * Takes an empty folder for a new run. Nothing is written before the run starts.
   * @throws InUseError
   */
  static async create(storage: RunStorage, config: TrainConfig, options: RunStoreOptions = {}): Promise<RunStore> {
    return new RunStore(storage, config, await storage.lock(), options);
  }

  /**
   * Opens a run at its last good checkpoint: what came after it, damaged checkpoints included, is removed.
   * @throws RunFolderError, InUseError, DamagedRunError
   */
  static async open(storage: RunStorage, options: RunStoreOptions = {}): Promise<OpenedRun> {
    await readAbout(storage); // before the lock: a folder of something else is not touched
    const unlock = await storage.lock();
    try {
      const about = await readAbout(storage);
      const store = new RunStore(storage, about.config, unlock, options);
      const { checkpoint, bad, problems } = await lastGoodCheckpoint(storage);
      const metrics = checkpoint ? await readMetrics(storage, checkpoint.metricsBytes) : [];
      await store.#checkMetrics(metrics, checkpoint);
      for (const name of bad) await removeCheckpoint(storage, name);
      // Of an earlier end, if there was one: no longer the run's model.
      for (const file of MODEL_CONFIGS) await storage.remove(file);
      store.#started = true;
      store.#saved = checkpoint && { metricsBytes: checkpoint.metricsBytes, step: checkpoint.snapshot.step };
      for (const metric of metrics) if (metric.event === 'eval') store.#scores.set(metric.step, metric.result.t1);
      await store.goBack();
      return {
        store,
        about,
        snapshot: checkpoint?.snapshot,
        sources: sourcesOf(checkpoint, about.config),
        metrics,
        problems,
      };
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  async #checkMetrics(
    metrics: readonly Metric[],
    checkpoint: { metricsBytes: number; snapshot: RunSnapshot } | undefined,
  ): Promise<void> {
    const { name } = this.storage;
    const length = (await this.storage.files()).find(({ path }) => path === METRICS)?.bytes ?? 0;
    if (length < (checkpoint?.metricsBytes ?? 0)) {
      throw new DamagedRunError(
        `${name}/${METRICS} was cut: it has ${length} bytes, at the checkpoint it had ${checkpoint!.metricsBytes}`,
      );
    }
    checkSteps(metrics, checkpoint?.snapshot.step ?? 0, name);
  }

  /**
   * Refuses a run whose checkpoints will not fit.
   * @param parameters that are trained
   * @throws StorageFullError
   */
  async requireSpace(parameters: number): Promise<void> {
    const { keep_last: keepLast, keep_best: keepBest } = this.config.checkpoint;
    const needed = parameters * 4 * VECTORS * (keepLast + (keepBest ? 1 : 0) + 1);
    const free = await this.storage.freeBytes();
    if (free === undefined || free >= needed) return;
    throw new StorageFullError(
      `${this.storage.name}: the run's checkpoints take up to ${formatBytes(needed)} and ${formatBytes(free)} are free; ` +
        'make room, or lower checkpoint.keep_last',
    );
  }

  /** Writes down what happened. The first event makes the run. */
  async record(event: RunEvent | Recovered | Diagnosis): Promise<void> {
    if (event.event === 'start') {
      if (!this.#started) {
        const { parent = null, ownEnvironment = false } = this.options;
        const about = newAbout(this.config, { adapter: event.adapter, parent, ownEnvironment });
        await writeAbout(this.storage, about);
        this.#started = true;
      }
      if (this.#metricsBytes > 0) return; // it goes on
    }
    if (event.event === 'step') await this.#writeTraces(event.step, event.groups_detail);
    if (event.event === 'eval') {
      this.#scores.set(event.step, event.result.t1);
      await this.storage.write(evalPath(event.step), encodeJson(event));
    }
    const line = encodeText(`${JSON.stringify(metricOf(event))}\n`);
    await this.storage.append(METRICS, line);
    this.#metricsBytes += line.byteLength;
    if (event.event === 'start') this.#saved = { metricsBytes: this.#metricsBytes, step: BEFORE };
  }

  /** A step's rollouts, whole or, beyond the limit, one line that says how many were left out. */
  async #writeTraces(step: number, groups: readonly Group[]): Promise<void> {
    const traces = groups.flatMap((group) => group.traces);
    const limit = this.options.tracesLimit ?? TRACES_LIMIT;
    let bytes = encodeText(traces.map((trace) => `${JSON.stringify({ step, ...trace })}\n`).join(''));
    if (this.#traceBytes + bytes.byteLength > limit) {
      const note = `the rollouts of this run have reached the ${formatBytes(limit)} that are kept`;
      bytes = encodeText(`${JSON.stringify({ step, omitted_rollouts: traces.length, reason: note })}\n`);
    }
    this.#traceBytes += bytes.byteLength;
    await this.storage.write(tracesPath(step), bytes);
  }

  /**
   * Makes the run one that can be gone on with from here. Everything that the snapshot holds must have been recorded.
   * @param model files of the model folder
   * @throws StorageFullError saying what is kept
   */
  async checkpoint(snapshot: RunSnapshot, model: Files): Promise<void> {
    const { storage, config } = this;
    try {
      await writeCheckpoint(storage, snapshot, model, this.#metricsBytes);
    } catch (error) {
      throw this.#full(error, `the checkpoint of step ${snapshot.step}`);
    }
    this.#saved = { metricsBytes: this.#metricsBytes, step: snapshot.step };
    const { keep_last: keepLast, keep_best: keepBest } = config.checkpoint;
    await pruneCheckpoints(storage, { keepLast, best: keepBest ? this.bestStep : undefined });
  }

  /** Says of a full disk what there is to go on with. */
  #full(error: unknown, what: string): unknown {
    if (!(error instanceof StorageFullError)) return error;
    const kept =
      this.#saved && this.#saved.step !== BEFORE
        ? `The run can be resumed from step ${this.#saved.step}`
        : 'Nothing was saved yet';
    return new StorageFullError(`${error.message}: ${what} is lost. ${kept} once there is room.`);
  }

  /** The step with the best eval at temperature 1, the first of equals. */
  get bestStep(): number | undefined {
    let best: [number, number] | undefined;
    for (const [step, score] of this.#scores) if (!best || score > best[1]) best = [step, score];
    return best?.[0];
  }

  /** Back to the last checkpoint, or to the very start: everything written after it is taken back. */
  async goBack(): Promise<void> {
    const { metricsBytes, step } = this.#saved ?? { metricsBytes: 0, step: BEFORE };
    await this.storage.truncate(METRICS, metricsBytes);
    this.#metricsBytes = metricsBytes;
    for (const scored of [...this.#scores.keys()]) if (scored > step) this.#scores.delete(scored);
    this.#traceBytes = 0;
    for (const { path, bytes } of await this.storage.files()) {
      const of = stepOfFile(path);
      if (of !== undefined && of > step) await this.storage.remove(path);
      else if (path.startsWith('traces/')) this.#traceBytes += bytes;
    }
  }

  /** Puts the model as it is now into the run's own folder. */
  async finish(model: Files): Promise<void> {
    try {
      const names = [...model.keys()].sort(
        (a, b) => Number(MODEL_CONFIGS.includes(a)) - Number(MODEL_CONFIGS.includes(b)),
      );
      for (const file of names) await this.storage.write(file, model.get(file)!);
    } catch (error) {
      throw this.#full(error, 'the model as it was at the end');
    }
  }

  /** Lets others have the run. One that never started leaves nothing behind. */
  async release(): Promise<void> {
    await this.unlock();
  }

  /** Names of the checkpoints, the oldest first. */
  checkpoints(): Promise<string[]> {
    return listCheckpoints(this.storage);
  }
}

/** A whole model is in its checkpoint. Below an adapter lies a base, which is read from where it was before. */
function sourcesOf(
  checkpoint: LoadedCheckpoint | undefined,
  { start, method }: Pick<TrainConfig, 'start' | 'method'>,
): OpenedRun['sources'] {
  if (!checkpoint) return (others) => others;
  const { name, files } = checkpoint;
  const model = { name, read: (file: string) => Promise.resolve(files.get(file)) };
  if (method === 'full') {
    return (others) => ({
      starter: () => Promise.resolve(model),
      folder: (path) => (path === start ? Promise.resolve(model) : others.folder(path)),
    });
  }
  return (others) => ({
    ...others,
    folder: async (path) => {
      const began =
        path === start && (await (await loraCode()).readPeftConfig(model)).baseModel !== peftBaseName(start); // with an adapter, gone maybe
      return began ? model : others.folder(path);
    },
  });
}

export interface RunStoreOptions {
  /** Where a new run was forked from. */
  parent?: RunAbout['parent'];
  /** The environment is not the library's. */
  ownEnvironment?: boolean;
  /** Bytes of rollouts to keep, TRACES_LIMIT by default. */
  tracesLimit?: number;
}
