/** @file Forks, lists, comparisons and archives of runs, in memory. */
import { createHash } from 'node:crypto';
import { strToU8, unzipSync, zipSync } from 'fflate';
import { expect, it } from 'vitest';
import { StorageFullError } from '../../../src/model';
import {
  ConfigError,
  DamagedRunError,
  ImportError,
  MemoryStorage,
  RunFolderError,
  RunStore,
  compareTraining,
  exportRun,
  forkRun,
  importRun,
  listCheckpoints,
  readAbout,
  readArchive,
  readMetrics,
  readRunRecord,
  summarizeRun,
} from '../../../src/rl';
import { MODEL, ended, play, snapshot, text } from './fake_run';

async function finishedRun(): Promise<MemoryStorage> {
  const { storage, store } = await play({ steps: 4, scores: { 0: 0.1, 4: 0.75 } });
  await store.record(ended());
  await store.finish(MODEL);
  await store.release();
  return storage;
}

it('a run is listed with what it has come to', async () => {
  const { storage } = await play({ steps: 2, scores: { 0: 0.1, 2: 0.4 } });
  expect(await summarizeRun(storage, 'mine')).toMatchObject({
    id: 'mine',
    problem: undefined,
    step: 2,
    newest: { t1: 0.4, greedy: 1 },
    finished: false,
    about: { seed: 1, environment: { name: 'even-digits' } },
    checkpoints: ['step-000001', 'step-000002'],
  });
  const bytes = (await storage.files()).reduce((sum, file) => sum + file.bytes, 0);
  expect(await summarizeRun(storage, 'mine')).toMatchObject({ bytes });
  expect((await summarizeRun(await finishedRun(), 'mine')).finished).toBe(true);
});

it('a run that ended without its model in place is not finished', async () => {
  const { storage, store } = await play({ steps: 4 });
  await store.record(ended());
  expect((await summarizeRun(storage, 'mine')).finished).toBe(false);
});

it('a folder that is no run is listed with its problem', async () => {
  const storage = new MemoryStorage('elsewhere');
  await storage.write('a.txt', new Uint8Array(5));
  const summary = await summarizeRun(storage, 'elsewhere');
  expect(summary).toMatchObject({
    bytes: 5,
    about: undefined,
    problem: expect.stringContaining('is not a run') as string,
  });
});

it('a fork goes on from a checkpoint with other settings, with the metrics up to there', async () => {
  const source = await finishedRun();
  const before = await source.files();
  const target = new MemoryStorage('child');
  const layers = [{ grpo: { lr: 1e-3 } }];
  const about = await forkRun(source, target, { parentName: 'mother', step: 3, layers });
  expect(about).toMatchObject({ parent: { run: 'mother', step: 3 }, config: { grpo: { lr: 1e-3, steps: 4 } } });
  expect(await source.files()).toEqual(before);
  const { snapshot: position, store } = await RunStore.open(target);
  expect(position).toEqual(snapshot(3));
  expect(store.config.grpo.lr).toBe(1e-3);
  expect((await readMetrics(target)).at(-1)).toMatchObject({ event: 'step', step: 3 });
  expect((await target.files()).map(({ path }) => path)).toContain('evals/step-000000.json');
});

it.each([
  [{ step: 1, layers: [] }, DamagedRunError, 'memory has no checkpoint of step 1; it has 3, 4'],
  [{ layers: [{ model: { layers: 3 } }] }, ConfigError, 'model: a fork goes on with what its parent has learned'],
  [{ layers: [{ env: 'reverse-text' }] }, ConfigError, 'env: a fork'],
  [{ layers: [{ grpo: { lr: -1 } }] }, ConfigError, 'grpo.lr: '],
  [{ layers: [] }, ConfigError, 'grpo.steps 4: the checkpoint is of step 4 already; set more steps'],
])('a fork that makes no sense is an error and leaves nothing: %j', async (options, kind, message) => {
  const target = new MemoryStorage('child');
  const forking = forkRun(await finishedRun(), target, { parentName: 'mother', ...options });
  await expect(forking).rejects.toThrow(kind);
  await expect(forking).rejects.toThrow(message);
  expect(await target.files()).toEqual([]);
});

it('a fork of a damaged checkpoint is refused by its name; without a step it takes the last good one', async () => {
  const source = await finishedRun();
  await source.truncate('checkpoints/step-000004/model.safetensors', 1);
  const layers = [{ grpo: { steps: 9 } }];
  await expect(forkRun(source, new MemoryStorage(), { parentName: 'm', step: 4, layers })).rejects.toThrow(
    'checkpoint step-000004 of memory: model.safetensors has 1 bytes of 7 bytes',
  );
  const target = new MemoryStorage();
  await forkRun(source, target, { parentName: 'm', layers });
  expect(await listCheckpoints(target)).toEqual(['step-000003']);
});

it('runs are compared: settings that differ, curves and evals', async () => {
  const source = await finishedRun();
  const child = new MemoryStorage();
  await forkRun(source, child, { parentName: 'a', step: 3, layers: [{ seed: 7, grpo: { lr: 1e-3 } }] });
  const compared = compareTraining([await readRunRecord(source, 'a'), await readRunRecord(child, 'b')]);
  expect(compared).toMatchObject({
    ids: ['a', 'b'],
    settings: [
      { key: 'seed', values: [1, 7] },
      { key: 'grpo.lr', values: [expect.any(Number), 1e-3] },
    ],
    steps: [4, 3],
    evals: { t1: [0.75, 0.1], greedy: [1, 1] },
    rewards: [
      [0.1, 0.2, 0.3, 0.4],
      [0.1, 0.2, 0.3],
    ],
    hashes: ['ab'.repeat(32), undefined],
  });
  expect([...compared.scores[0]!]).toEqual([
    [0, 0.1],
    [4, 0.75],
  ]);
});

it('an exported run comes back as it was', async () => {
  const source = await finishedRun();
  const { id, run } = await readArchive(await exportRun(source, 'mine'), 'mine.zip');
  const target = new MemoryStorage();
  await importRun(run, target);
  expect(id).toBe('mine');
  expect(await target.files()).toEqual(await source.files());
  for (const { path } of await source.files()) expect(await target.read(path), path).toEqual(await source.read(path));
  expect(await readAbout(target)).toEqual(await readAbout(source));
});

it('what does not belong to a run is not exported', async () => {
  const source = await finishedRun();
  await source.write('notes.txt', new Uint8Array(3));
  expect(Object.keys(unzipSync(await exportRun(source, 'mine')))).not.toContain('mine/notes.txt');
  await expect(exportRun(new MemoryStorage('nothing'), 'x')).rejects.toThrow(RunFolderError);
});

type Entries = Record<string, Uint8Array>;

/** Puts the sums right after a change: only what they cannot show is left to find. */
function summed(entries: Entries): Entries {
  const rest = Object.entries(entries).filter(([path]) => !path.endsWith('SHA256SUMS'));
  const lines = rest.map(
    ([path, bytes]) => `${createHash('sha256').update(bytes).digest('hex')}  ${path.slice('mine/'.length)}\n`,
  );
  return { ...Object.fromEntries(rest), 'mine/SHA256SUMS': strToU8(lines.join('')) };
}

const without = (entries: Entries, ...gone: string[]) =>
  Object.fromEntries(Object.entries(entries).filter(([path]) => !gone.includes(path)));

it.each<[string, (entries: Entries) => Entries, string]>([
  [
    'a way out',
    (all) => ({ ...all, 'mine/../../evil.json': strToU8('{}') }),
    '"mine/../../evil.json" is no file of a run',
  ],
  [
    'an absolute path',
    (all) => ({ ...all, '/etc/passwd.json': strToU8('') }),
    '"/etc/passwd.json" is no file of a run',
  ],
  ['a backslash', (all) => ({ ...all, 'mine/..\\evil.json': strToU8('') }), 'evil.json" is no file of a run'],
  ['a drive', (all) => ({ ...all, 'C:/run.json': strToU8('{}') }), '"C:/run.json" is no file of a run'],
  ['something else', (all) => ({ ...all, 'mine/virus.exe': strToU8('x') }), '"mine/virus.exe" is no file of a run'],
  ['two folders', (all) => ({ ...all, 'yours/run.json': strToU8('{}') }), 'is not an exported run'],
  ['no run.json', (all) => without(all, 'mine/run.json'), 'is not an exported run'],
  ['no sums', (all) => without(all, 'mine/SHA256SUMS'), 'SHA256SUMS is missing'],
  ['a file too few', (all) => without(all, 'mine/metrics.jsonl'), 'metrics.jsonl is missing'],
  [
    'a file too many',
    (all) => ({ ...all, 'mine/traces/step-000099.jsonl': strToU8('') }),
    'traces/step-000099.jsonl is not in SHA256SUMS',
  ],
  ['a changed file', (all) => ({ ...all, 'mine/metrics.jsonl': strToU8('{}') }), 'metrics.jsonl was changed'],
  [
    'half a checkpoint',
    (all) => summed(without(all, 'mine/checkpoints/step-000003/config.json')),
    'checkpoint step-000003 of x.zip: config.json is missing',
  ],
  [
    'another version',
    (all) => summed({ ...all, 'mine/run.json': strToU8('{"format": 7, "terrarium": "9.0.0"}') }),
    'x.zip is a run of format 7, written by Terrarium 9.0.0',
  ],
])('an archive with %s is refused', async (_, change, message) => {
  const entries = unzipSync(await exportRun(await finishedRun(), 'mine'));
  await expect(readArchive(zipSync(change(entries)), 'x.zip')).rejects.toThrow(message);
});

it('a file that is no .zip, or half of one, is refused', async () => {
  await expect(readArchive(new Uint8Array(strToU8('hello')), 'x.zip')).rejects.toThrow(ImportError);
  const whole = await exportRun(await finishedRun(), 'mine');
  await expect(readArchive(whole.slice(0, whole.length / 2), 'x.zip')).rejects.toThrow(
    'x.zip is not a .zip that can be read',
  );
});

it('an import that does not fit is refused, and one that fails leaves nothing', async () => {
  const { run } = await readArchive(await exportRun(await finishedRun(), 'mine'), 'mine.zip');
  const small = new MemoryStorage('the disk', 500);
  await expect(importRun(run, small)).rejects.toThrow(StorageFullError);
  small.freeBytes = () => Promise.resolve(undefined); // nobody knew
  await expect(importRun(run, small)).rejects.toThrow(StorageFullError);
  expect(await small.files()).toEqual([]);
});

it('the sums are those of sha256sum', async () => {
  const { run } = await readArchive(await exportRun(await finishedRun(), 'mine'), 'mine.zip');
  const zip = unzipSync(await exportRun(run, 'mine'));
  const line = new TextDecoder()
    .decode(zip['mine/SHA256SUMS'])
    .split('\n')
    .find((each) => each.endsWith('  run.json'));
  expect(line).toBe(
    `${createHash('sha256')
      .update(await text(run, 'run.json'))
      .digest('hex')}  run.json`,
  );
});
