/** @file Evaluations in the library's environments that are under way. What plays them is loaded with the first one. */
import type { EnvironmentEval, EnvironmentNews, EnvironmentRequest } from '../environments_protocol';
import type { LocalModel } from './lazy-environment-eval';

export class EnvironmentEvals {
  readonly #running = new Map<number, { controller: AbortController; native: boolean }>();

  constructor(private readonly post: (news: EnvironmentNews, transfer?: Transferable[]) => void) {}

  /**
   * Takes a request. What needs no device begins at once.
   * @returns whether it is to be played when the device is free
   */
  receive(request: EnvironmentRequest): boolean {
    if (request.what === 'cancel') {
      this.#running.get(request.id)?.controller.abort();
      return false;
    }
    const { kind } = request.model;
    const native = kind === 'current' || kind === 'start';
    this.#running.set(request.id, { controller: new AbortController(), native });
    if (!native) void this.play(request, undefined);
    return native;
  }

  /** Ends those of a run's models: another run takes their place. */
  cancelNative(): void {
    for (const { controller, native } of this.#running.values()) if (native) controller.abort();
  }

  /** Plays to the end and tells what became of it. */
  async play(request: EnvironmentEval, local: LocalModel | undefined): Promise<void> {
    const { id } = request;
    const { signal } = this.#running.get(id)!.controller;
    try {
      signal.throwIfAborted();
      const { evaluateEnvironment } = await import('./lazy-environment-eval');
      await evaluateEnvironment(request, local, signal, this.post);
    } catch (error) {
      const message = signal.aborted ? null : error instanceof Error ? error.message : String(error);
      this.post({ what: 'ended', id, message });
    } finally {
      this.#running.delete(id);
    }
  }
}
