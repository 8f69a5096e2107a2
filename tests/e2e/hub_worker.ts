/** @file A worker that keeps models in the browser's private file system, as the page's does: asked by tests/e2e/hub.e2e.test.ts. */
import { openShelf } from '../../demo/worker/opfs_storage';
import { deleteCached, downloadModel, listCached, openCached, parseModelAddress, sha256 } from '../../src/model';
import type { CachedModel, HubOptions, ModelProgress } from '../../src/model';

export type HubCommand =
  | { what: 'download'; name: string; options: HubOptions }
  | { what: 'cancel' }
  | { what: 'list' }
  | { what: 'delete'; key: string }
  /** The SHA-256 of a file of a complete model, read in pieces. */
  | { what: 'hash'; name: string; file: string; endpoint: string };

export interface HubAnswer {
  name?: string;
  models?: CachedModel[];
  hash?: string | undefined;
  /** Of a download. */
  waited?: boolean;
  /** `name: message` of what was thrown. */
  error?: string;
}

const scope = self as unknown as DedicatedWorkerGlobalScope;
let controller = new AbortController();

async function answer(command: HubCommand): Promise<HubAnswer> {
  const shelf = await openShelf('models');
  switch (command.what) {
    case 'download': {
      controller = new AbortController();
      let waited = false;
      const onProgress = (progress: ModelProgress) => {
        waited ||= progress.waiting;
        scope.postMessage({ progress });
      };
      const address = parseModelAddress(command.name, command.options.endpoint);
      const { signal } = controller;
      const { name } = await downloadModel(shelf, address, { ...command.options, signal, onProgress });
      return { name, waited };
    }
    case 'cancel':
      controller.abort(new Error('called off'));
      return {};
    case 'list':
      return { models: await listCached(shelf) };
    case 'delete':
      await deleteCached(shelf, command.key);
      return {};
    case 'hash': {
      const folder = await openCached(shelf, parseModelAddress(command.name, command.endpoint));
      const file = await folder?.open?.(command.file);
      if (!file) return { hash: undefined };
      const half = Math.floor(file.size / 2);
      const bytes = new Uint8Array(file.size);
      bytes.set(await file.read(0, half));
      bytes.set(await file.read(half, file.size), half);
      return { hash: await sha256(bytes) };
    }
  }
}

scope.addEventListener('message', ({ data }: MessageEvent<{ id: number; command: HubCommand }>) => {
  void answer(data.command)
    .catch((error: unknown) => ({ error: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }))
    .then((reply) => scope.postMessage({ id: data.id, reply }));
});
