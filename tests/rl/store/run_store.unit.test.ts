/** @file A run's folder in memory: what is written when, what is kept, and what a reader makes of damage. */
import { expect, it } from 'vitest';
import { InUseError, StorageFullError } from '../../../src/model';
import {
  DamagedRunError,
  MemoryStorage,
  RunFolderError,
  RunStore,
  VERSION,
  listCheckpoints,
  loadCheckpointOf,
  readMetrics,
  readRunRecord,
  removeRun,
} from '../../../src/rl';
import type { Files } from '../../../src/rl';
import packageJson from '../../../package.json';
import { CONFIG, MODEL, ended, evaluated, play, snapshot, started, stepped, text } from './fake_run';

it('the version is that of the package', () => {
  expect(VERSION).toBe(packageJson.version);
});

it('says what it is from its first event on, and nothing before', async () => {
  const storage = new MemoryStorage();
  const store = await RunStore.create(storage, CONFIG, { parent: { run: 'mother', step: 3 } });
  expect(await storage.files()).toEqual([]);
  await store.record(started());
  expect(JSON.parse(await text(storage, 'run.json'))).toMatchObject({
    format: 1,
    terrarium: VERSION,
    adapter: 'a GPU',
    environment: { name: 'even-digits', version: VERSION },
    seed: 1,
    parent: { run: 'mother', step: 3 },
    config: { env: 'even-digits', grpo: { steps: 4 } },
  });
});

it('keeps every event, the rollouts of each step and each eval', async () => {
  const { storage, store } = await play({ steps: 4 });
  await store.record({ event: 'recovered', step: 4, message: 'gone' });
  const events = (await readMetrics(storage)).map((each) =>
    'step' in each ? `${each.event} ${each.step}` : each.event,
  );
  expect(events).toEqual([
    'start',
    'eval 0',
    'step 1',
    'step 2',
    'eval 2',
    'step 3',
    'step 4',
    'eval 4',
    'recovered 4',
  ]);
  expect((await readMetrics(storage)).filter((each) => 'groups_detail' in each)).toEqual([]);
  const traces = (await text(storage, 'traces/step-000003.jsonl')).trim().split('\n');
  expect(traces.map((line) => JSON.parse(line) as unknown)).toEqual([
    { step: 3, rollout: 0 },
    { step: 3, rollout: 1 },
  ]);
  expect(JSON.parse(await text(storage, 'evals/step-000002.json'))).toMatchObject({ result: { t1: 0.5 } });
});

it('rollouts beyond the limit are left out, and the file says how many', async () => {
  const storage = new MemoryStorage();
  const store = await RunStore.create(storage, CONFIG, { tracesLimit: 60 });
  await store.record(started());
  await store.record(stepped(1));
  await store.record(stepped(2));
  expect(await text(storage, 'traces/step-000001.jsonl')).toContain('"rollout":1');
  expect(JSON.parse(await text(storage, 'traces/step-000002.jsonl'))).toEqual({
    step: 2,
    omitted_rollouts: 2,
    reason: 'the rollouts of this run have reached the 60 bytes that are kept',
  });
});

it('keeps the last checkpoints and the best one', async () => {
  const { storage } = await play({ steps: 4, scores: { 0: 0.1, 2: 0.9, 4: 0.8 } });
  expect(await listCheckpoints(storage)).toEqual(['step-000002', 'step-000003', 'step-000004']);
  const without = await play({ steps: 4, scores: { 0: 0.1, 2: 0.9, 4: 0.8 }, keep_best: false, keep_last: 1 });
  expect(await listCheckpoints(without.storage)).toEqual(['step-000004']);
});

it('goes on from the last checkpoint: arrays and state bit for bit, and nothing in the metrics that came after', async () => {
  const { storage, store } = await play({ steps: 3 });
  await store.record(stepped(4));
  await store.record(evaluated(4, 0.5));
  await storage.append('metrics.jsonl', new TextEncoder().encode('{"event":"do'));
  await store.release();

  const opened = await RunStore.open(storage);
  expect(opened.problems).toEqual([]);
  expect(opened.snapshot).toEqual(snapshot(3));
  expect(new Uint32Array(opened.snapshot!.arrays.parameters!.buffer)).toEqual(
    new Uint32Array(snapshot(3).arrays.parameters!.buffer),
  );
  const steps = (await readMetrics(storage)).flatMap((each) => (each.event === 'step' ? [each.step] : []));
  expect(steps).toEqual([1, 2, 3]);
  expect((await storage.files()).map(({ path }) => path).filter((path) => path.includes('000004'))).toEqual([]);

  // Its model comes from the checkpoint, wherever the run once started from.
  const others = { starter: () => Promise.resolve(undefined), folder: () => Promise.reject(new Error('gone')) };
  const sources = opened.sources(others);
  expect(await (await sources.starter('even-digits'))!.read('config.json')).toEqual(MODEL.get('config.json'));
  expect(await (await sources.folder(CONFIG.start)).read('config.json')).toEqual(MODEL.get('config.json'));
  await expect(sources.folder('the/teacher')).rejects.toThrow('gone');

  // And it goes on: the start is not told twice.
  await opened.store.record(started());
  await opened.store.record(stepped(4));
  const events = (await readMetrics(storage)).map(({ event }) => event);
  expect(events.filter((event) => event === 'start')).toHaveLength(1);
  expect(events.filter((event) => event === 'step')).toHaveLength(4);
});

it('a run that had not come to a checkpoint starts over', async () => {
  const { storage, store } = await play({ steps: 0, checkpoints: false });
  await store.release();
  const { snapshot: position, store: again } = await RunStore.open(storage);
  expect(position).toBeUndefined();
  expect(await readMetrics(storage)).toEqual([]);
  await again.record(started());
  expect((await readMetrics(storage)).map(({ event }) => event)).toEqual(['start']);
});

it('the model of an earlier end does not pass for that of a run that goes on', async () => {
  const { storage, store } = await play({ steps: 3 });
  await store.finish(MODEL); // it was interrupted
  await store.release();
  const { store: again } = await RunStore.open(storage);
  await again.record(stepped(4));
  await again.record(ended()); // and killed here
  expect((await readRunRecord(storage, 'mine')).finished).toBe(false);
  await again.finish(MODEL);
  expect((await readRunRecord(storage, 'mine')).finished).toBe(true);
});

it('a position that is saved again replaces the one before only when it is whole', async () => {
  const { storage, store } = await play({ steps: 0 });
  await store.checkpoint(snapshot(0), MODEL);
  expect(await listCheckpoints(storage)).toEqual(['step-000000', 'step-000000.1']);
  await store.checkpoint(snapshot(0), MODEL);
  expect(await listCheckpoints(storage)).toEqual(['step-000000.1', 'step-000000.2']);
});

it('a state that JSON cannot hold is an error at once, not at the resume', async () => {
  const { store } = await play({ steps: 0 });
  const broken = { ...snapshot(0), state: { ...snapshot(0).state, seconds: NaN } };
  await expect(store.checkpoint(broken, MODEL)).rejects.toThrow("the run's state holds seconds = NaN");
});

const DAMAGE: [string, (storage: MemoryStorage) => Promise<void>, string][] = [
  [
    'without a manifest',
    (storage) => storage.remove('checkpoints/step-000003/manifest.json'),
    'checkpoint step-000003 of memory: half-written: manifest.json is missing',
  ],
  [
    'with half a manifest',
    (storage) => storage.truncate('checkpoints/step-000003/manifest.json', 40),
    'checkpoint step-000003 of memory: half-written: manifest.json is not whole',
  ],
  [
    'with a file too few',
    (storage) => storage.remove('checkpoints/step-000003/model.safetensors'),
    'checkpoint step-000003 of memory: model.safetensors is missing',
  ],
  [
    'with half a file',
    (storage) => storage.truncate('checkpoints/step-000003/trainer_state.safetensors', 8),
    'checkpoint step-000003 of memory: trainer_state.safetensors has 8 bytes of ',
  ],
  [
    'with a changed bit',
    async (storage) => {
      const path = 'checkpoints/step-000003/model.safetensors';
      const bytes = (await storage.read(path))!;
      bytes[bytes.length - 1]! ^= 1;
      await storage.write(path, bytes);
    },
    'checkpoint step-000003 of memory: model.safetensors was changed',
  ],
];

it.each(DAMAGE)('a checkpoint %s is named, and the one before is used', async (_, damage, message) => {
  const { storage, store } = await play({ steps: 3, keep_last: 2 });
  await store.release();
  await damage(storage);
  await expect(loadCheckpointOf(storage, 'step-000003')).rejects.toThrow(DamagedRunError);
  const { snapshot: position, problems } = await RunStore.open(storage);
  expect(problems).toEqual([expect.stringContaining(message)]);
  expect(position!.step).toBe(2);
  expect(await listCheckpoints(storage)).not.toContain('step-000003');
});

it('where every checkpoint is damaged, all are named and nothing is removed', async () => {
  const { storage, store } = await play({ steps: 3, keep_last: 2 });
  await store.release();
  for (const name of await listCheckpoints(storage)) await storage.truncate(`checkpoints/${name}/config.json`, 1);
  const before = await storage.files();
  await expect(RunStore.open(storage)).rejects.toThrow(
    /no checkpoint that can be used:\n.*step-000003.*\n.*step-000002/,
  );
  expect(await storage.files()).toEqual(before);
});

it.each([
  [
    'cut',
    (storage: MemoryStorage) => storage.truncate('metrics.jsonl', 100),
    /metrics.jsonl was cut: it has 100 bytes, at the checkpoint it had \d+/,
  ],
  [
    'edited',
    async (storage: MemoryStorage) => {
      const bytes = new TextEncoder().encode((await text(storage, 'metrics.jsonl')).replace('"step":2', '"step":7'));
      await storage.write('metrics.jsonl', bytes);
    },
    /metrics.jsonl: step 2 is not where it should be/,
  ],
  [
    'broken',
    async (storage: MemoryStorage) => {
      const bytes = new TextEncoder().encode((await text(storage, 'metrics.jsonl')).replace('{"event"', '["event"'));
      await storage.write('metrics.jsonl', bytes);
    },
    /metrics.jsonl: line 1 is not an event of a run/,
  ],
])('metrics that were %s are an error that says so', async (_, damage, message) => {
  const { storage, store } = await play({ steps: 3 });
  await store.release();
  await damage(storage);
  await expect(RunStore.open(storage)).rejects.toThrow(message);
});

it.each([
  [{}, 'memory is not a run: it has no run.json (nothing is there)'],
  [{ 'notes.txt': 'mine', 'a/b': '' }, 'memory is not a run: it has no run.json (it holds a, notes.txt)'],
  [{ 'run.json': '{"env":' }, 'memory/run.json is not JSON: '],
  [{ 'run.json': '{"env": "even-digits"}' }, 'memory/run.json is not that of a run: it has no format'],
  [
    { 'run.json': '{"format": 2, "terrarium": "0.9.0"}' },
    `memory is a run of format 2, written by Terrarium 0.9.0; this is ${VERSION}, which reads format 1`,
  ],
  [{ 'run.json': '{"format": 1, "terrarium": "0.1.0"}' }, 'memory/run.json is not whole'],
])('a folder of something else is refused and not touched: %j', async (files: Record<string, string>, message) => {
  const storage = new MemoryStorage();
  for (const [path, content] of Object.entries(files)) await storage.write(path, new TextEncoder().encode(content));
  const before = await storage.files();
  const opening = RunStore.open(storage);
  await expect(opening).rejects.toThrow(RunFolderError);
  await expect(opening).rejects.toThrow(message);
  expect(await storage.files()).toEqual(before);
});

it('a setting that this version does not know is named', async () => {
  const { storage, store } = await play({ steps: 0 });
  await store.release();
  const about = await text(storage, 'run.json');
  await storage.write('run.json', new TextEncoder().encode(about.replace('"entropy_coefficient"', '"entropy_weight"')));
  await expect(RunStore.open(storage)).rejects.toThrow('memory/run.json: unknown key grpo.entropy_weight');
});

it('two cannot write to one run', async () => {
  const { storage, store } = await play({ steps: 1 });
  await expect(RunStore.open(storage)).rejects.toThrow(InUseError);
  await expect(removeRun(storage)).rejects.toThrow(InUseError);
  await store.release();
  await (await RunStore.open(storage)).store.release();
});

it('refuses a run whose checkpoints will not fit, saying how much they take', async () => {
  const store = await RunStore.create(new MemoryStorage('the disk', 1e6), CONFIG);
  await expect(store.requireSpace(1e6)).rejects.toThrow(StorageFullError);
  await expect(store.requireSpace(1e6)).rejects.toThrow(
    "the disk: the run's checkpoints take up to 91.6 MiB and 977 KiB are free",
  );
  await store.requireSpace(1000);
});

it('a disk that fills up ends in one error that says what can be resumed, and half a checkpoint is removed', async () => {
  const { storage, store } = await play({ steps: 2 });
  const used = (await storage.files()).reduce((sum, { bytes }) => sum + bytes, 0);
  await store.record(stepped(3));
  storage.capacity = used + 600; // something of a checkpoint fits
  const large: Files = new Map([...MODEL, ['model.safetensors', new Uint8Array(1000)]]);
  await expect(store.checkpoint(snapshot(3), large)).rejects.toThrow(
    /^memory is full: checkpoints\/step-000003\/.* could not be written: the checkpoint of step 3 is lost\. The run can be resumed from step 2 once there is room\.$/,
  );
  expect(await listCheckpoints(storage)).toEqual(['step-000000', 'step-000001', 'step-000002']);
  await store.release();
  storage.capacity = Infinity;
  expect((await RunStore.open(storage)).snapshot!.step).toBe(2);
});

it('deletes what belongs to a run, and says what else lies there', async () => {
  const { storage, store } = await play({ steps: 1 });
  await store.finish(MODEL);
  await store.release();
  await storage.write('notes.txt', new Uint8Array(3));
  expect(await removeRun(storage)).toEqual(['notes.txt']);
  expect(await storage.files()).toEqual([{ path: 'notes.txt', bytes: 3 }]);
});
