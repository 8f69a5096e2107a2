/**
 * @file The worker in which sandboxes live, in a browser and in Node alike: it does what it is told, in order, and answers
 * every run. Built as a file of its own, which nobody loads before some code is to be run.
 */
import { Interpreter } from './interpreter';
import type { SandboxReply, SandboxRequest } from './protocol';
import { workerThreads } from './threads';

/** What a browser's worker and one of Node's have in common, once the difference in their events is gone. */
interface Port {
  post: (reply: SandboxReply) => void;
  listen: (hear: (request: SandboxRequest) => void) => void;
}

function port(): Port {
  const { parentPort } = workerThreads() ?? {};
  if (parentPort) {
    return {
      post: (reply) => parentPort.postMessage(reply),
      listen: (hear) => parentPort.on('message', hear),
    };
  }
  const scope = self as unknown as DedicatedWorkerGlobalScope;
  return {
    post: (reply) => scope.postMessage(reply),
    listen: (hear) => scope.addEventListener('message', ({ data }: MessageEvent<SandboxRequest>) => hear(data)),
  };
}

const { post, listen } = port();

function obey(interpreter: Interpreter, request: SandboxRequest): void {
  switch (request.type) {
    case 'open':
      return interpreter.open(request.sandbox, request.limits, request.key);
    case 'run': {
      const result = interpreter.run(request.sandbox, request.code);
      return post({ type: 'ran', result, heldBytes: interpreter.heldBytes });
    }
    case 'close':
      return interpreter.close(request.sandbox);
  }
}

const interpreter = await Interpreter.load();
listen((request) => {
  try {
    obey(interpreter, request);
  } catch (error) {
    post({ type: 'broken', message: String(error) });
  }
});
post({ type: 'ready' });
