/**
 * @file Writes results as they come: lines one after the other, metadata beside them, as often as a tenth of the time
 * allows.
 */
import { now } from '../trace';
import type { Trace } from '../trace';
import { formatRow } from './results';
import type { ResultMetadata } from './results';
import type { ResultStore } from './store';

export class ResultsWriter {
  #last: Promise<void> = Promise.resolve();
  /** Lines that wait for their turn; all of them are one write. */
  #batch: { lines: string[]; written: Promise<void> } | undefined;
  #metadataQueued = false;
  /** When metadata was written last, and how long that took, in seconds. */
  #written = { at: -Infinity, cost: 0 };
  #failure: { error: unknown } | undefined;

  constructor(
    readonly store: ResultStore,
    /** Metadata as it is when it is written. */
    readonly metadata: () => ResultMetadata,
    readonly tokens: boolean,
  ) {}

  /**
   * Adds rollouts as lines.
   * @throws what the store throws, now or at an earlier write of metadata
   */
  async append(traces: readonly Trace[]): Promise<void> {
    const lines = traces.map((trace) => formatRow(trace, { tokens: this.tokens }));
    if (this.#batch) this.#batch.lines.push(...lines);
    else {
      const written = this.#queue(() => {
        this.#batch = undefined;
        return this.store.append(lines);
      });
      this.#batch = { lines, written };
    }
    await this.#batch.written;
    this.#check();
  }

  /** Has metadata written, unless that was done a moment ago or is about to be: it sums up all rollouts each time. */
  touchMetadata(): void {
    if (now() - this.#written.at >= 10 * this.#written.cost) this.#queueMetadata();
  }

  #queueMetadata(): void {
    if (this.#metadataQueued) return;
    this.#metadataQueued = true;
    this.#queue(async () => {
      this.#metadataQueued = false;
      const start = now();
      await this.store.writeMetadata(`${JSON.stringify(this.metadata())}\n`);
      this.#written = { at: now(), cost: now() - start };
    }).catch((error: unknown) => (this.#failure ??= { error }));
  }

  /** Waits for everything to be written, metadata last. */
  async flush(): Promise<void> {
    this.#queueMetadata();
    await this.#last;
    this.#check();
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #queue(write: () => Promise<void>): Promise<void> {
    const done = this.#last.then(write);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
