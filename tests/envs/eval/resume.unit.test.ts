import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { MemoryStore, evaluate, readRun } from '../../../src/envs';
import type { Environment, EvaluateOptions, ResultMetadata, ResumeReport } from '../../../src/envs';
import { Random } from '../../../src/random';
import { ScriptedModel } from '../../scripted';
import { dicePlayer, parseLines, sums, timeless, timelessTrace } from './worlds';

/** Dies when so many characters are written: in the middle of a line, as a machine would. */
class DyingStore extends MemoryStore {
  constructor(
    private left: number,
    results = '',
    metadata?: string,
  ) {
    super(results, metadata);
  }

  get dead(): boolean {
    return this.left < 0;
  }

  /** @returns the part of a text that is still written */
  #spend(text: string): string {
    if (this.dead) throw new Error('killed');
    const part = text.slice(0, this.left);
    this.left -= text.length;
    return part;
  }

  override append(lines: readonly string[]): Promise<void> {
    this.results += this.#spend(lines.map((line) => `${line}\n`).join(''));
    return this.dead ? Promise.reject(new Error('killed')) : Promise.resolve();
  }

  override replace(lines: readonly string[]): Promise<void> {
    this.#spend(lines.join(''));
    return this.dead ? Promise.reject(new Error('killed')) : super.replace(lines);
  }

  override writeMetadata(text: string): Promise<void> {
    this.#spend(text);
    return this.dead ? Promise.reject(new Error('killed')) : super.writeMetadata(text);
  }
}

/** What may not differ: every line but for its times, in any order, and metadata but for its time. */
function essence({ results, metadata }: MemoryStore): unknown {
  expect(results.endsWith('\n')).toBe(true);
  const lines = parseLines(results).map((row) => JSON.stringify(timeless(row)));
  return { lines: lines.sort(), metadata: { ...(JSON.parse(metadata!) as ResultMetadata), time: 0 } };
}

const model = dicePlayer(0.5, 2);
const OPTIONS: EvaluateOptions = { rolloutsPerExample: 3, maxConcurrent: 4, seed: 5 };

it.each([
  ['alone', sums(8)],
  ['as groups', sums(8, { group: true })],
])('killed at ten random moments and resumed is the uninterrupted run; scored %s', async (_, env) => {
  const whole = new MemoryStore();
  const uninterrupted = await evaluate(env, model, { ...OPTIONS, store: whole });
  const random = new Random([11, 12]);
  const length = whole.results.length;
  for (let moment = 0; moment < 10; moment++) {
    const dying = new DyingStore(random.between(1, Math.floor(1.2 * length)));
    await expect(evaluate(env, model, { ...OPTIONS, store: dying })).rejects.toThrow('killed');
    const store = new MemoryStore(dying.results, dying.metadata);
    const resumed = await evaluate(env, model, { ...OPTIONS, store, resume: true });
    expect(essence(store)).toEqual(essence(whole));
    expect(resumed.traces.map(timelessTrace)).toEqual(uninterrupted.traces.map(timelessTrace));
    expect(resumed.summary).toEqual(uninterrupted.summary);
    const ids = parseLines(store.results).map(({ example_id, terrarium }) => `${example_id}/${terrarium.rollout}`);
    expect(new Set(ids).size).toBe(24);
  }
});

it('killed ten times in a row it still ends as the uninterrupted run', async () => {
  const env = sums(8);
  const whole = new MemoryStore();
  await evaluate(env, model, { ...OPTIONS, store: whole });
  const random = new Random([13, 14]);
  let [results, metadata]: [string, string | undefined] = ['', undefined];
  let played = 0;
  const counted = { ...OPTIONS, resume: true, onTrace: () => played++ };
  for (let kill = 0; kill < 10; kill++) {
    // Enough to write again what there was, and then a little more.
    const dying: DyingStore = new DyingStore(results.length + random.between(1, 5000), results, metadata);
    await expect(evaluate(env, model, { ...counted, store: dying })).rejects.toThrow('killed');
    ({ results, metadata } = dying);
  }
  const store = new MemoryStore(results, metadata);
  await evaluate(env, model, { ...counted, store });
  expect(essence(store)).toEqual(essence(whole));
  expect(played).toBeLessThanOrEqual(24 + 10); // only what was lost or in flight is played again
});

it('plays again what failed and what is missing, and nothing else', async () => {
  const env = sums(4);
  const store = new MemoryStore();
  const failing = new ScriptedModel(({ messages }) =>
    /^[13]/.test(messages.at(-1)!.content) ? Object.assign(new Error('no'), { name: 'BadRequestError' }) : '1',
  );
  await evaluate(env, failing, { store });
  const healthy = new ScriptedModel(() => '1');
  let report: ResumeReport | undefined;
  const { traces, resumed } = await evaluate(env, healthy, { store, resume: true, onResume: (r) => (report = r) });
  expect(healthy.requests.map(({ messages }) => messages.at(-1)!.content)).toEqual(['1+1', '3+1']);
  expect(resumed).toEqual({ kept: 2, failed: 2, dropped: 0 });
  expect(report).toEqual(resumed);
  expect(traces.every(({ error }) => error === null)).toBe(true);
  expect(parseLines(store.results).map(({ example_id }) => example_id)).toEqual([0, 2, 1, 3]);
});

it('more examples may be asked for; a finished run has nothing left to do', async () => {
  const env = sums(9);
  const store = new MemoryStore();
  const script = new ScriptedModel(() => '1');
  await evaluate(env, script, { store, numExamples: 3 });
  await evaluate(env, script, { store, numExamples: 3, resume: true });
  expect(script.requests).toHaveLength(3);
  const { metadata } = await evaluate(env, script, { store, resume: true });
  expect(script.requests).toHaveLength(9);
  expect(metadata.num_examples).toBe(9);
  const time = (text: string) => (JSON.parse(text) as ResultMetadata).time;
  const before = time(store.metadata!);
  await evaluate(env, script, { store, resume: true });
  expect(time(store.metadata!)).toBeGreaterThan(before); // the work of all sittings
});

const other = (name: string): Environment => Object.assign(sums(9), { name });

it.each<[string, Environment, EvaluateOptions, string]>([
  ['environment', other('other'), {}, 'env_id was "sums", now "other"'],
  ['rollouts', sums(9), { rolloutsPerExample: 2 }, 'rollouts_per_example was 1, now 2'],
  ['order', sums(9), { shuffle: true }, 'shuffle was false, now true'],
  ['number', sums(9), { numExamples: 2 }, 'num_examples was 4, now 2: it may only grow'],
  ['seed', sums(9), { seed: 9 }, 'seed was 0, now 9'],
  ['split', sums(9), { split: 'train' }, 'split was "eval", now "train"'],
  ['sampling', sums(9), { sampling: { temperature: 0 } }, 'sampling_args was {}, now {"temperature":0}'],
  ['arguments', sums(9), { labels: { envArgs: { a: 1 } } }, 'env_args was {}, now {"a":1}'],
])('another %s is another run', async (_, env, options, message) => {
  const store = new MemoryStore();
  const script = new ScriptedModel(() => '1');
  await evaluate(sums(9), script, { store, numExamples: 4 });
  const before = { ...store };
  const again = evaluate(env, script, { numExamples: 4, ...options, store, resume: true });
  await expect(again).rejects.toThrow(`memory cannot be resumed: ${message}`);
  expect({ ...store }).toEqual(before); // untouched
  expect(script.requests).toHaveLength(4);
});

it('another model is another run, and all differences are named at once', async () => {
  const store = new MemoryStore();
  await evaluate(sums(2), dicePlayer(), { store });
  const again = evaluate(sums(2), new ScriptedModel(() => '1'), { store, resume: true, seed: 3 });
  await expect(again).rejects.toThrow('model was "acme/dice", now "scripted"; seed was 0, now 3');
});

it('torn, foreign, double and surplus lines go, good ones stay as they were, byte for byte', async () => {
  const env = sums(3);
  const store = new MemoryStore();
  await evaluate(env, new ScriptedModel(() => '1'), { store });
  const good = store.results.split('\n').filter(Boolean);
  const spaced = good[0]!.replace('"example_id":0', '"example_id": 0');
  const surplus = good[1]!.replace('"rollout":0', '"rollout":1');
  const foreign = good[1]!.replace('"example_id":1', '"example_id":77');
  store.results = [
    spaced,
    '[]',
    '',
    'null',
    '{"reward":1}',
    surplus,
    foreign,
    good[1]!,
    good[1]!,
    good[2]!.slice(0, 99),
  ].join('\n');
  const { resumed } = await evaluate(env, new ScriptedModel(() => '1'), { store, resume: true });
  expect(resumed).toEqual({ kept: 2, failed: 0, dropped: 7 });
  const lines = store.results.split('\n');
  expect(lines.slice(0, 2)).toEqual([spaced, good[1]]);
  expect(lines).toHaveLength(4);
  expect(timeless(parseLines(store.results)[2]!)).toEqual(timeless(parseLines(good[2]!)[0]!));
});

it('a last line that is whole but not ended stays', async () => {
  const env = sums(2);
  const store = new MemoryStore();
  await evaluate(env, new ScriptedModel(() => '1'), { store });
  store.results = store.results.trimEnd();
  const { resumed } = await evaluate(env, new ScriptedModel(() => '1'), { store, resume: true });
  expect(resumed).toEqual({ kept: 2, failed: 0, dropped: 0 });
  expect(parseLines(store.results)).toHaveLength(2);
});

it('results without metadata can be gone on with, and an empty store begins', async () => {
  const env = sums(2);
  const store = new MemoryStore();
  await evaluate(env, new ScriptedModel(() => '1'), { store, resume: true });
  const again = new MemoryStore(store.results);
  const { resumed } = await evaluate(env, new ScriptedModel(() => '1'), { store: again, resume: true });
  expect(resumed).toEqual({ kept: 2, failed: 0, dropped: 0 });
});

it('goes on with a run that upstream began and that was torn', async () => {
  const folder = join(
    process.env.ORACLE_DIR ?? join(import.meta.dirname, '../../oracle'),
    'verifiers/results/head-legacy/resume_before',
  );
  const [results, metadata] = ['results.jsonl', 'metadata.json'].map((file) =>
    readFileSync(join(folder, file), 'utf8'),
  );
  const store = new MemoryStore(results, metadata);
  const good = results!.split('\n').slice(0, 3);
  const env = Object.assign(sums(3), { name: 'golden-tools' });
  const script = new ScriptedModel(() => '1');
  const model = Object.assign(script, { name: 'example/scripted-1' });
  const { resumed, traces } = await evaluate(env, model, { store, rolloutsPerExample: 2, resume: true });
  expect(resumed).toEqual({ kept: 3, failed: 0, dropped: 1 });
  expect(script.requests).toHaveLength(3);
  expect(traces.map(({ exampleId, rollout }) => `${exampleId}/${rollout}`)).toEqual([
    '0/0',
    '0/1',
    '1/0',
    '1/1',
    '2/0',
    '2/1',
  ]);
  expect(store.results.split('\n').slice(0, 3)).toEqual(good);
  expect(parseLines(store.results)).toHaveLength(6);
});

it('half a group that is scored as a whole begins again', async () => {
  const env = sums(2, { group: true });
  const store = new MemoryStore();
  const script = new ScriptedModel(() => '1');
  await evaluate(env, script, { store, rolloutsPerExample: 3 });
  store.results = store.results.split('\n').slice(0, 5).join('\n');
  const { resumed } = await evaluate(env, script, { store, rolloutsPerExample: 3, resume: true });
  expect(resumed!.kept).toBe(3);
  expect(script.requests).toHaveLength(9);
  const { traces, unreadable } = await readRun(store);
  expect([traces.length, unreadable.length]).toEqual([6, 0]);
});
