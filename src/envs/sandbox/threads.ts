/** @file Node's worker threads, where this is Node: asked for at run time, so that no browser's bundle looks for them. */

/** As much of a worker thread as is used here. */
export interface Thread {
  postMessage: (message: unknown) => void;
  on: ((event: 'message', hear: (message: never) => void) => void) &
    ((event: 'error', hear: (error: Error) => void) => void);
  ref: () => void;
  unref: () => void;
  terminate: () => unknown;
}

interface Threads {
  Worker: new (url: URL, options?: object) => Thread;
  /** Present in a worker thread. */
  parentPort: Pick<Thread, 'postMessage' | 'on'> | null;
}

export function workerThreads(): Threads | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  return process?.getBuiltinModule?.('node:worker_threads') as Threads | undefined;
}
