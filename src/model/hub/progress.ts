/** @file How far a download is, how fast it goes and when it will be done. */

export interface ModelProgress {
  /** The file it is at. */
  file: string;
  /** Bytes of the model that are there, and all of them. The total is not known before the hub has been asked. */
  done: number;
  total: number | undefined;
  /** Over the last seconds; undefined before anything has come. */
  bytesPerSecond: number | undefined;
  secondsLeft: number | undefined;
  /** Somebody else, another tab or process, is downloading the same model: it is waited for. */
  waiting: boolean;
}

/** Seconds over which the rate is taken. */
const WINDOW = 5;

/** Seconds between two reports. */
const REPORT = 0.1;

/** Adds up the files of a model. */
export class ProgressMeter {
  total: number | undefined;
  #before = 0;
  #file = '';
  #done = 0;
  #reported = -Infinity;
  /** When how many bytes had come over the wire. */
  readonly #samples: { at: number; came: number }[] = [];
  #came = 0;

  constructor(
    private readonly report: ((progress: ModelProgress) => void) | undefined,
    /** Seconds, of any clock that does not go backwards. */
    private readonly now: () => number = () => performance.now() / 1000,
  ) {}

  waiting(): void {
    this.report?.({ ...this.#state(), waiting: true });
  }

  /** @param before bytes of the files that are complete */
  begin(file: string, before: number): void {
    this.#file = file;
    this.#before = before;
    this.#done = 0;
    this.#tell(true);
  }

  /** @param fresh of `done` that came over the wire since the last call */
  bytes(done: number, fresh: number): void {
    this.#done = done;
    this.#came += fresh;
    if (fresh > 0) {
      const at = this.now();
      this.#samples.push({ at, came: this.#came });
      while (this.#samples[1] && at - this.#samples[0]!.at > WINDOW) this.#samples.shift();
    }
    this.#tell(this.#before + done === this.total);
  }

  #tell(always: boolean): void {
    const now = this.now();
    if (!always && now - this.#reported < REPORT) return;
    this.#reported = now;
    this.report?.(this.#state());
  }

  #state(): ModelProgress {
    const done = this.#before + this.#done;
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const seconds = last ? last.at - first!.at : 0;
    const rate = seconds > 0 ? (last!.came - first!.came) / seconds : undefined;
    return {
      file: this.#file,
      done,
      total: this.total,
      bytesPerSecond: rate,
      secondsLeft: rate && this.total !== undefined ? (this.total - done) / rate : undefined,
      waiting: false,
    };
  }
}
