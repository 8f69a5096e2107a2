/** @file The adapters of runs: what is listed, and what a run is opened with. */
import { expect, it } from 'vitest';
import { starterFolder } from '../../../cli/files';
import { formatAdapter, initialAdapter, loadAdapter, loadCheckpoint } from '../../../src/model';
import type { FileSource, LoraConfig } from '../../../src/model';
import {
  MemoryStorage,
  RunStore,
  exportRun,
  findAdapter,
  listAdapters,
  readArchive,
  readRunRecord,
  resolveConfig,
} from '../../../src/rl';
import type { Files } from '../../../src/rl';
import { ended, play, snapshot, started, stepped } from './fake_run';

const LORA: LoraConfig = {
  rank: 2,
  alpha: 4,
  targets: ['q_proj', 'v_proj'],
  dropout: 0,
  rslora: false,
  baseModel: 'starters/reverse-text',
};

const { config } = await loadCheckpoint(starterFolder('reverse-text')!);
const filesOf = (seed: number, lora = LORA): Files => formatAdapter(lora, initialAdapter(config, lora, seed));

async function run(name: string, start = 'starter', lora = LORA) {
  const storage = new MemoryStorage(name);
  const settings = resolveConfig({ env: 'reverse-text', method: 'lora', start, grpo: { steps: 4 } });
  const store = await RunStore.create(storage, settings);
  await store.record(started());
  for (let step = 1; step <= 3; step++) {
    await store.record(stepped(step));
    await store.checkpoint(snapshot(step), filesOf(step, lora));
  }
  return { storage, store };
}

it('adapters of a run are listed, the newest first, with where they are read from', async () => {
  const { storage, store } = await run('one');
  const list = () => listAdapters(storage, 'one');
  expect((await list()).map(({ step, kept }) => [step, kept])).toEqual([
    [3, 'checkpoint'],
    [2, 'checkpoint'],
  ]);
  await store.record(stepped(4));
  await store.record(ended());
  expect((await readRunRecord(storage, 'one')).finished).toBe(false);
  await store.finish(filesOf(4));
  expect((await readRunRecord(storage, 'one')).finished).toBe(true);
  const adapters = await list();
  expect(adapters.map(({ run, step, kept }) => [run, step, kept])).toEqual([
    ['one', 4, 'end'],
    ['one', 3, 'checkpoint'],
    ['one', 2, 'checkpoint'],
  ]);
  for (const { step, folder, lora } of adapters) {
    expect(lora).toEqual(LORA);
    expect((await loadAdapter(folder, config)).tensors).toEqual(
      new Map([...initialAdapter(config, LORA, step)].sort(([a], [b]) => (a < b ? -1 : 1))),
    );
  }
  expect(adapters[1]!.folder.name).toBe('one/checkpoints/step-000003');
});

it('the adapter of a step is found, and one that is not there is said to be missing', async () => {
  const { storage } = await run('one');
  expect((await findAdapter(storage, 'one')).step).toBe(3);
  expect((await findAdapter(storage, 'one', 2)).step).toBe(2);
  await expect(findAdapter(storage, 'one', 1)).rejects.toThrow('one has no adapter of step 1; it has those of 3, 2');
  const { storage: full } = await play({ steps: 2 });
  expect(await listAdapters(full, 'full')).toEqual([]);
  await expect(findAdapter(full, 'full')).rejects.toThrow('has no adapter: it trains all weights');
});

it('a half-written checkpoint has no adapter, and a broken config names its file', async () => {
  const { storage } = await run('one');
  await storage.remove('checkpoints/step-000003/manifest.json');
  expect((await listAdapters(storage, 'one')).map(({ step }) => step)).toEqual([2]);
  await storage.write('checkpoints/step-000002/adapter_config.json', new TextEncoder().encode('{"peft_type": "IA3"}'));
  await expect(listAdapters(storage, 'one')).rejects.toThrow(
    'one/checkpoints/step-000002/adapter_config.json: peft_type is "IA3"',
  );
});

it('an archive of a run has its adapters', async () => {
  const { storage, store } = await run('one');
  await store.finish(filesOf(3));
  const { run: imported } = await readArchive(await exportRun(storage, 'one'), 'one.zip');
  const read = async (from: MemoryStorage) => (await listAdapters(from, 'one')).map(({ folder: _, ...rest }) => rest);
  expect(await read(imported)).toEqual(await read(storage));
  expect(await imported.read('adapter_model.safetensors')).toEqual(filesOf(3).get('adapter_model.safetensors'));
});

it('a run that is taken up again reads its base where it was, and an adapter it began with from its checkpoint', async () => {
  const named = (name: string): FileSource => ({ name, read: () => Promise.resolve(undefined) });
  const others = {
    starter: (env: string) => Promise.resolve(named(`the starter of ${env}`)),
    folder: (path: string) => Promise.resolve(named(`the folder ${path}`)),
  };
  const open = async (start: string, lora: LoraConfig) => {
    const { storage, store } = await run('one', start, lora);
    await store.release();
    return (await RunStore.open(storage)).sources(others);
  };
  const fresh = await open('starter', LORA);
  expect((await fresh.starter('reverse-text'))?.name).toBe('the starter of reverse-text');
  const over = await open('models/mine', { ...LORA, baseModel: 'models/mine' });
  expect((await over.folder('models/mine')).name).toBe('the folder models/mine');
  const from = await open('adapters/mine', LORA);
  const adapter = await from.folder('adapters/mine');
  expect(adapter.name).toBe('step-000003');
  expect((await loadAdapter(adapter, config)).lora).toEqual(LORA);
  expect((await from.folder('models/teacher')).name).toBe('the folder models/teacher');
});
