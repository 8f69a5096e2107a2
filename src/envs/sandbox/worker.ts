/** @file Where the worker of the sandboxes comes from: in browsers and in Node by itself, elsewhere from whoever knows. */
import type { SandboxReply, SandboxRequest } from './protocol';
import { workerThreads } from './threads';
import type { Thread } from './threads';

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

/** A worker as it was provided, else the one that lies beside this file: in browsers, and in Node from dist/lib. */
export function startSandboxWorker(): SandboxWorker | Promise<SandboxWorker> {
  const provided = scope[PROVIDED];
  if (provided) return provided();
  const threads = workerThreads();
  // Bundlers know the worker's file by the form of this call; Node's class takes the same arguments.
  const Worker = (threads?.Worker ?? globalThis.Worker) as typeof globalThis.Worker;
  if (typeof Worker !== 'function') throw new Error('this JavaScript engine has no workers');
  const worker = new Worker(new URL('./lazy-worker.ts', import.meta.url), { type: 'module' });
  return threads ? ofNode(worker as unknown as Thread) : ofBrowser(worker);
}

/**
 * A worker thread of Node.
 * @param url of lazy-worker.ts as it was built
 */
export function nodeWorker(url: URL): SandboxWorker {
  const threads = workerThreads();
  if (!threads) throw new Error("worker threads are Node's");
  return ofNode(new threads.Worker(url));
}

function ofNode(worker: Thread): SandboxWorker {
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

function ofBrowser(worker: Worker): SandboxWorker {
  return {
    post: (request) => worker.postMessage(request),
    listen: (hear, fail) => {
      worker.addEventListener('message', ({ data }: MessageEvent<SandboxReply>) => hear(data));
      worker.addEventListener('error', ({ message }) => fail(new Error(message || 'it could not be loaded')));
    },
    hold: () => undefined,
    terminate: () => worker.terminate(),
  };
}
