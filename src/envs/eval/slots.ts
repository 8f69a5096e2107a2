/** @file How many rollouts may be in flight at once. */
import { unlessAborted } from '../deadline';

/** A number of slots that one scheduler takes from and many rollouts give back to. */
export class Slots {
  #free: number;
  #waiting: { count: number; go: () => void } | undefined;

  constructor(count: number) {
    this.#free = count;
  }

  /**
   * Waits until so many are free, and takes them. One caller at a time.
   * @throws the signal's reason
   */
  async take(count: number, signal: AbortSignal): Promise<void> {
    if (this.#free < count) {
      await unlessAborted(new Promise<void>((go) => (this.#waiting = { count, go })), signal);
    }
    signal.throwIfAborted();
    this.#free -= count;
  }

  give(count: number): void {
    this.#free += count;
    if (!this.#waiting || this.#free < this.#waiting.count) return;
    this.#waiting.go();
    this.#waiting = undefined;
  }
}
