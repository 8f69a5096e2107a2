/** @file The runs that are kept in this browser: listed, compared, forked, deleted, and as files from and to elsewhere. Loaded with the first question about them. */
import {
  compareTraining,
  exportRun,
  forkRun,
  importRun,
  parseAssignment,
  readArchive,
  readRunRecord,
  removeRun,
  summarizeRun,
} from '../../src/rl';
import type { Notice, RunsRequest, ShownRun } from '../protocol';
import { freeName } from './run_names';
import type { RunShelf } from './shelf';

type Post = (notice: Notice, transfer?: Transferable[]) => void;

/** Does what was asked, and sends the list as it is then. A request that fails says why and changes nothing. */
export async function answerRuns(shelf: RunShelf, request: RunsRequest, post: Post): Promise<void> {
  const orSay = (work: Promise<void>) =>
    work.catch((error: unknown) => {
      post({ type: 'runs-said', message: error instanceof Error ? error.message : String(error), failed: true });
    });
  await orSay(answer(shelf, request, post));
  await orSay(listRuns(shelf).then((runs) => post({ type: 'runs', runs, lasts: shelf.lasts })));
}

async function answer(shelf: RunShelf, request: RunsRequest, post: Post): Promise<void> {
  const say = (message: string) => post({ type: 'runs-said', message, failed: false });
  switch (request.what) {
    case 'list':
      return;
    case 'compare': {
      const runs = [];
      for (const id of request.ids) runs.push(await readRunRecord(shelf.at(id), id));
      post({ type: 'compared', comparison: compareTraining(runs) });
      return;
    }
    case 'fork': {
      const { id, step, settings } = request;
      const target = await freeName(shelf, `${id}-fork`);
      const layers = settings.map(parseAssignment);
      const options = { parentName: id, ...(step !== null && { step }), layers };
      const { parent } = await forkRun(shelf.at(id), shelf.at(target), options);
      say(`${target} goes on from step ${parent!.step} of ${id}: resume it to train.`);
      return;
    }
    case 'delete':
      await removeRun(shelf.at(request.id));
      say(`${request.id} is deleted.`);
      return;
    case 'export': {
      const bytes = await exportRun(shelf.at(request.id), request.id);
      post({ type: 'exported', name: `${request.id}.zip`, bytes, note: '' }, [bytes.buffer]);
      return;
    }
    case 'import': {
      const { id, run } = await readArchive(request.bytes, request.name);
      const target = await freeName(shelf, id);
      await importRun(run, shelf.at(target));
      say(`${target} was imported.`);
      return;
    }
  }
}

async function listRuns(shelf: RunShelf): Promise<ShownRun[]> {
  const inUse = await shelf.inUse();
  const runs: ShownRun[] = [];
  for (const id of await shelf.names()) {
    runs.push({ ...(await summarizeRun(shelf.at(id), id)), inUse: inUse.has(id) });
  }
  const created = ({ about }: ShownRun) => about?.created ?? '';
  return runs.sort((a, b) => (created(a) < created(b) ? 1 : -1));
}
