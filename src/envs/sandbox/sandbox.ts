/**
 * @file Sandboxes: where a model's code runs. All of them live in one worker, each with a memory of its own; runs wait for
 * each other. What holds the worker up is ended with it, and the sandboxes that had nothing to do with that are made again, by
 * running once more what had run in them: as no run looks at a clock, they come out the same.
 */
import { subKey } from '../../random';
import type { RandomKey } from '../../random';
import { sandboxLimits } from './protocol';
import type { RunResult, SandboxLimits, SandboxReply, SandboxRequest, Stop } from './protocol';
import { startSandboxWorker } from './worker';
import type { SandboxWorker, StartSandboxWorker } from './worker';

/** The worker could not be had, or failed while nothing of a model's ran in it. */
export class SandboxError extends Error {
  override name = 'SandboxError';
}

export interface SandboxHostOptions {
  /** Seconds after which a run that does not count its steps is ended. */
  clockSeconds?: number;
  start?: StartSandboxWorker;
}

const DEFAULT_CLOCK_SECONDS = 20;

/** What a sandbox holds, as far as the host knows it. */
interface Contents {
  limits: SandboxLimits;
  key: RandomKey;
  /** How often it has been emptied. */
  emptied: number;
  /** What has run in it since. */
  history: string[];
  /** The worker in which it is open. */
  worker: Connection | undefined;
}

/** A worker and its sandboxes. */
export class SandboxHost {
  readonly #options: Required<SandboxHostOptions>;
  #worker: Connection | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #count = 0;
  #heldBytes = 0;

  constructor({ clockSeconds = DEFAULT_CLOCK_SECONDS, start = startSandboxWorker }: SandboxHostOptions = {}) {
    this.#options = { clockSeconds, start };
  }

  /** Bytes of memory that the worker kept for all sandboxes together after the last run. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * A new, empty sandbox. The worker hears of it with its first run.
   * @param key of its Math.random
   * @throws TypeError for limits that cannot be
   */
  open({ limits = {}, key = [0, 0] }: { limits?: Partial<SandboxLimits>; key?: RandomKey } = {}): Sandbox {
    const id = this.#count++;
    const contents: Contents = {
      limits: sandboxLimits(limits),
      key,
      emptied: 0,
      history: [],
      worker: undefined,
    };
    return {
      run: (code) => this.#inTurn(() => this.#run(id, contents, code)),
      dispose: () =>
        this.#inTurn(() => {
          if (contents.worker === this.#worker) this.#worker?.tell({ type: 'close', sandbox: id });
          contents.worker = undefined;
        }),
    };
  }

  /** Ends the worker; it is started again when there is something to run. */
  close(): void {
    this.#worker?.end();
    this.#worker = undefined;
  }

  #inTurn<T>(task: () => T | Promise<T>): Promise<T> {
    const turn = this.#queue.then(task);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #run(id: number, contents: Contents, code: string): Promise<RunResult> {
    if (this.#worker?.failed) this.close();
    const worker = (this.#worker ??= await this.#connect());
    if (contents.worker !== worker) {
      const { limits, key, emptied, history } = contents;
      worker.tell({ type: 'open', sandbox: id, limits, key: subKey(key, emptied) });
      for (const earlier of history) {
        const again = await this.#ask(worker, id, earlier);
        if (again.stopped) throw new SandboxError(`a sandbox could not be made again: ${again.error}`);
      }
      contents.worker = worker;
    }
    const result = await this.#ask(worker, id, code);
    contents.history.push(code);
    if (result.stopped) {
      contents.worker = undefined;
      contents.history = [];
      contents.emptied++;
    }
    return result;
  }

  /** Lets the worker run something, and ends it where that does not come back. */
  async #ask(worker: Connection, sandbox: number, code: string): Promise<RunResult> {
    const { clockSeconds } = this.#options;
    const reply = await worker.ask({ type: 'run', sandbox, code }, clockSeconds);
    if (reply?.type === 'ran') {
      this.#heldBytes = reply.heldBytes;
      return reply.result;
    }
    this.close();
    const left = 'nothing that was declared is left';
    return reply
      ? failure('crash', `the interpreter failed (${reply.type === 'broken' ? reply.message : reply.type}); ${left}`)
      : failure('clock', `stopped after ${clockSeconds} s; ${left}`);
  }

  async #connect(): Promise<Connection> {
    let worker: SandboxWorker;
    try {
      worker = await this.#options.start();
    } catch (error) {
      throw new SandboxError(`no worker for sandboxes: ${error instanceof Error ? error.message : String(error)}`);
    }
    const connection = new Connection(worker);
    const reply = await connection.reply();
    if (reply?.type === 'broken') throw new SandboxError(`the worker of the sandboxes failed: ${reply.message}`);
    return connection;
  }
}

export interface Sandbox {
  /**
   * Runs code after what has run in it before. What the code does wrong is part of the result.
   * @throws SandboxError when there is no worker to run it
   */
  run: (code: string) => Promise<RunResult>;
  /** Frees its memory. */
  dispose: () => Promise<void>;
}

function failure(stopped: Stop, error: string): RunResult {
  return { stdout: '', error, stopped, cut: false, steps: 0 };
}

/** A started worker, and the one reply that is awaited of it. */
class Connection {
  #failure: string | undefined;
  #hear: ((reply: SandboxReply | undefined) => void) | undefined;

  constructor(private readonly worker: SandboxWorker) {
    worker.listen(
      (reply) => this.#hear?.(reply),
      ({ message }) => this.#break(message),
    );
  }

  /** Whether it has died. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  tell(request: SandboxRequest): void {
    this.worker.post(request);
  }

  /** @returns undefined when the time is over */
  ask(request: SandboxRequest, seconds: number): Promise<SandboxReply | undefined> {
    this.tell(request);
    return this.reply(seconds);
  }

  async reply(seconds = Infinity): Promise<SandboxReply | undefined> {
    if (this.#failure !== undefined) return { type: 'broken', message: this.#failure };
    this.worker.hold(true);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      return await new Promise((resolve) => {
        this.#hear = resolve;
        if (Number.isFinite(seconds)) timer = setTimeout(() => resolve(undefined), 1000 * seconds);
      });
    } finally {
      clearTimeout(timer);
      this.worker.hold(false);
    }
  }

  end(): void {
    this.#break('its worker was ended');
    this.worker.terminate();
  }

  #break(message: string): void {
    this.#failure ??= message;
    this.#hear?.({ type: 'broken', message });
  }
}

let shared: SandboxHost | undefined;

/** The host that environments use unless told otherwise: one for the whole thread. */
export function sharedSandboxHost(): SandboxHost {
  return (shared ??= new SandboxHost());
}
