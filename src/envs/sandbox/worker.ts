/** @file Where the worker of the sandboxes comes from: in browsers and in Node by itself, elsewhere from whoever knows. */
import type { SandboxReply, SandboxRequest } from './protocol';

/** A worker that runs lazy-worker.ts. */
export interface SandboxWorker {
  post: (request: SandboxRequest) => void;
  /** @param fail called when the worker cannot be started or dies by itself */
  listen: (hear: (reply: SandboxReply) => void, fail: (error: Error) => void) => void;
  /** Whether somebody waits for a reply: a process may end while nobody does. */
  hold: (waiting: boolean) => void;
  terminate: () => void;
}

export type StartSandboxWorker = () => SandboxWorker | Promise<SandboxWorker>;

/** In the global scope, where an environment package finds it that brings a copy of this library. */
const PROVIDED = Symbol.for('terrarium.sandbox-worker');
const scope = globalThis as { [PROVIDED]?: StartSandboxWorker };

/** Says how workers are started from now on: for programs in which the worker's file lies elsewhere. */
export function provideSandboxWorker(start: StartSandboxWorker): void {
  scope[PROVIDED] = start;
}

/** A worker as it was provided, else the one that lies beside this file, as a browser starts it or Node. */
export function startSandboxWorker(): SandboxWorker | Promise<SandboxWorker> {
  const provided = scope[PROVIDED];
  if (provided) return provided();
  if (typeof Worker !== 'function') return nodeWorker(new URL('./lazy-worker.js', import.meta.url));
  return browserWorker(new Worker(new URL('./lazy-worker.ts', import.meta.url), { type: 'module' }));
}

function browserWorker(worker: Worker): SandboxWorker {
  return {
    post: (request) => worker.postMessage(request),
    listen: (hear, fail) => {
      worker.addEventListener('message', ({ data }: MessageEvent<SandboxReply>) => hear(data));
      worker.addEventListener('error', ({ message }) => fail(new Error(message || 'the worker could not be loaded')));
    },
    hold: () => undefined,
    terminate: () => worker.terminate(),
  };
}

/**
 * A worker thread of Node.
 * @param url of lazy-worker.ts as it was built
 */
export function nodeWorker(url: URL): SandboxWorker {
  const threads = globalThis.process?.getBuiltinModule?.('node:worker_threads');
  if (!threads) throw new Error('this JavaScript engine has no workers: sandboxes need one');
  const worker = new threads.Worker(url);
  worker.unref();
  return {
    post: (request) => worker.postMessage(request),
    listen: (hear, fail) => {
      worker.on('message', hear);
      worker.on('error', fail);
    },
    hold: (waiting) => (waiting ? worker.ref() : worker.unref()),
    terminate: () => void worker.terminate(),
  };
}
