import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { diskStore, findRuns, isRun, latestRun, newRunFolder } from '../../cli/store';
import { MemoryStore, evaluate, readRun } from '../../src/envs';
import { dicePlayer, parseLines, sums, timeless } from '../envs/eval/worlds';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-'));
afterAll(() => rmSync(scratch, { recursive: true }));

it('a folder on disk holds what the store in memory holds', async () => {
  const folder = newRunFolder(scratch, 'sums', 'acme/dice');
  expect(folder).toMatch(/evals\/sums--acme--dice\/[0-9a-f]{8}$/);
  expect(existsSync(folder)).toBe(false);
  const [disk, memory] = [diskStore(folder), new MemoryStore()];
  for (const store of [disk, memory]) await evaluate(sums(4), dicePlayer(), { store, maxConcurrent: 1 });
  expect(readdirSync(folder).sort()).toEqual(['metadata.json', 'results.jsonl']);
  const lines = readFileSync(join(folder, 'results.jsonl'), 'utf8');
  expect(parseLines(lines).map(timeless)).toEqual(parseLines(memory.results).map(timeless));
  expect((await readRun(disk)).traces).toHaveLength(4);
});

it('lines may hold what some readers take for line ends, and a character may lie across two reads', async () => {
  const store = diskStore(join(scratch, 'odd'));
  const odd = `{"a":"\u2028\u2029\u0085 ${'🦎'.repeat(50_000)}"}`;
  await store.append(['x', odd]);
  await store.append(['y']);
  const lines: string[] = [];
  for await (const line of store.lines()) lines.push(line);
  expect(lines).toEqual(['x', odd, 'y']);
});

it('a torn line is mended on resume, and no temporary file is left', async () => {
  const folder = join(scratch, 'torn');
  await evaluate(sums(4), dicePlayer(), { store: diskStore(folder) });
  appendFileSync(join(folder, 'results.jsonl'), '{"example_id": 3, "prom');
  const { resumed } = await evaluate(sums(5), dicePlayer(), { store: diskStore(folder), resume: true });
  expect(resumed).toEqual({ kept: 4, failed: 0, dropped: 1 });
  expect(readdirSync(folder).sort()).toEqual(['metadata.json', 'results.jsonl']);
  expect((await readRun(diskStore(folder))).unreadable).toEqual([]);
});

it('a folder that cannot be written ends the run with the reason', async () => {
  const file = join(scratch, 'file');
  writeFileSync(file, '');
  await expect(evaluate(sums(2), dicePlayer(), { store: diskStore(join(file, 'run')) })).rejects.toThrow(/ENOTDIR/);
});

it('finds runs wherever upstream puts them, the newest last', async () => {
  const outputs = join(scratch, 'found');
  const places = ['outputs/evals/a--m/00000001', 'environments/b/outputs/evals/b--m/00000002'];
  places.forEach((place, day) => {
    const results = join(outputs, place, 'results.jsonl');
    mkdirSync(join(outputs, place), { recursive: true });
    writeFileSync(results, '');
    utimesSync(results, day, day);
  });
  mkdirSync(join(outputs, 'node_modules/x'), { recursive: true });
  writeFileSync(join(outputs, 'node_modules/x/metadata.json'), '{}');
  expect(findRuns(outputs).map(({ folder }) => folder)).toEqual(places.map((place) => join(outputs, place)));
  expect(isRun(join(outputs, places[0]!))).toBe(true);
  expect(findRuns(join(scratch, 'nowhere'))).toEqual([]);

  const run = newRunFolder(outputs, 'sums', 'acme/dice');
  expect(latestRun(outputs, 'sums', 'acme/dice', 2)).toBeUndefined();
  await evaluate(sums(1), dicePlayer(), { store: diskStore(run), rolloutsPerExample: 2 });
  expect(latestRun(outputs, 'sums', 'acme/dice', 2)).toBe(run);
  expect(latestRun(outputs, 'sums', 'acme/dice', 3)).toBeUndefined();
});
