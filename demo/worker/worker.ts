/** @file Entry of the trainer worker: all GPU work of the page happens in this thread. */
import type { Command } from '../protocol';
import { Session } from './session';

const scope = self as unknown as DedicatedWorkerGlobalScope;
const session = new Session((notice, transfer) => scope.postMessage(notice, transfer ?? []));
scope.addEventListener('message', ({ data }: MessageEvent<Command>) => session.receive(data));
