/** @file Entry of the trainer worker: all GPU work of the page happens in this thread, and all writing of runs. */
import { Gpu } from '../../src/kernels';
import type { Command } from '../protocol';
import { openShelf } from './opfs_storage';
import { Session } from './session';

const scope = self as unknown as DedicatedWorkerGlobalScope;
const session = new Session(
  (notice, transfer) => scope.postMessage(notice, transfer ?? []),
  () => Gpu.acquire(),
  openShelf(),
  openShelf('models'),
  openShelf('kernels'),
);
scope.addEventListener('message', ({ data }: MessageEvent<Command>) => session.receive(data));
