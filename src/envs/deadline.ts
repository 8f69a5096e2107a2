/** @file Waiting for somebody else's code: never longer than its limit, never past a cancel. */

/** Something took longer than it may. */
export class TimeLimitError extends Error {
  override name = 'TimeLimitError';
}

/**
 * Waits for a promise until the signal aborts. What the promise does afterwards is of no interest any more.
 * @throws the signal's reason
 */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  promise.catch(() => undefined); // it may fail after nobody listens
  let stop!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Runs a task under a time limit. The task gets a signal that aborts at the limit or when `outer` does; one that ignores
 * it is left behind.
 * @param what is limited, for the message: `tool search`
 * @throws TimeLimitError, or the outer signal's reason
 */
export async function withTimeLimit<T>(
  what: string,
  limitSeconds: number,
  outer: AbortSignal | undefined,
  task: (signal: AbortSignal) => T | Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const signal = outer ? AbortSignal.any([outer, controller.signal]) : controller.signal;
  const timer = Number.isFinite(limitSeconds)
    ? setTimeout(
        () => controller.abort(new TimeLimitError(`${what} took longer than ${limitSeconds} s`)),
        limitSeconds * 1000,
      )
    : undefined;
  try {
    signal.throwIfAborted();
    return await unlessAborted(Promise.resolve(task(signal)), signal);
  } finally {
    clearTimeout(timer);
  }
}
