/** @file What is written down of the run that is open: from its first event on, until it has ended. */
import { RunStore, readRollouts } from '../../src/rl';
import type { Diagnosis, Files, Recovered, RunEvent, RunSnapshot, TrainConfig } from '../../src/rl';
import { freeName, runName } from './run_names';
import type { RunShelf } from './shelf';

export class KeptRun {
  /** Nothing is written any more: another tab may do so now. */
  #released = false;

  constructor(private readonly store: RunStore) {}

  /**
   * A place for a run that begins now.
   * @throws StorageFullError when its checkpoints will not fit
   */
  static async begin(shelf: RunShelf, config: TrainConfig, parameters: number): Promise<KeptRun> {
    const name = await freeName(shelf, runName(config, new Date()));
    const store = await RunStore.create(shelf.at(name), config);
    try {
      await store.requireSpace(parameters);
    } catch (error) {
      await store.release();
      throw error;
    }
    return new KeptRun(store);
  }

  get id(): string {
    return this.store.storage.name;
  }

  async record(event: RunEvent | Diagnosis): Promise<void> {
    await this.store.record(event);
  }

  async checkpoint(snapshot: RunSnapshot, model: Files): Promise<void> {
    await this.store.checkpoint(snapshot, model);
  }

  async finish(model: Files): Promise<void> {
    await this.store.finish(model);
  }

  /** Takes back what came after the last checkpoint. An ended run stays as it is. */
  async goBack(note: Recovered): Promise<void> {
    if (this.#released) return;
    await this.store.goBack();
    await this.store.record(note);
  }

  /** All rollouts that are kept, one per line. */
  rollouts(): Promise<Uint8Array<ArrayBuffer>> {
    return readRollouts(this.store.storage);
  }

  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    await this.store.release();
  }
}
