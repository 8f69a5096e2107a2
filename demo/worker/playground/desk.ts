/** @file Conversations as the worker is asked for them: what is to be done in turn, and what at once. */
import type { DeviceLostError } from '../../../src/kernels';
import type { PlaygroundRequest } from '../../playground_protocol';
import type { Playground, PlaygroundHost } from './lazy-playground';

export class PlaygroundDesk {
  #playground: Playground | undefined;
  #abort = new AbortController();
  /** What ends a request, from the moment it came. */
  readonly #signals = new WeakMap<PlaygroundRequest, AbortSignal>();

  constructor(private readonly host: PlaygroundHost) {}

  /**
   * Takes a request. What needs no device is done at once.
   * @returns whether it is to be played when the device is free
   */
  receive(request: PlaygroundRequest): boolean {
    if (request.what === 'stop') this.stop();
    else if (request.what === 'say') this.#abort = new AbortController();
    this.#signals.set(request, this.#abort.signal);
    if (request.what === 'enter') void this.play(request);
    return request.what !== 'stop' && request.what !== 'enter';
  }

  /** Ends what is being said, and what was asked for since. */
  stop(): void {
    this.#abort.abort(new DOMException('stopped by the user', 'AbortError'));
  }

  /** The run goes. */
  leaveRun(): void {
    this.#playground?.leaveRun();
  }

  /** @throws DeviceLostError */
  async play(request: PlaygroundRequest): Promise<void> {
    if (request.what === 'stop') return;
    const signal = this.#signals.get(request)!;
    const { Playground } = await import('./lazy-playground');
    await (this.#playground ??= new Playground(this.host)).play(request, signal);
  }

  /** Of one that was given up with the device. */
  giveUp(request: PlaygroundRequest, { message }: DeviceLostError): void {
    const { post } = this.host;
    if (request.what === 'say') {
      for (const side of request.models.keys()) post({ what: 'failed', id: request.id, side, message });
    } else if (request.what === 'alternatives') {
      const { id, side, turn } = request;
      post({ what: 'no-alternatives', id, side, turn, message });
    }
  }
}
