/** @file Runs on disk as a user has them: killed at any moment and resumed, listed, compared, forked, deleted, sent elsewhere. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hashWeights } from '../../src/model';
import { loadModel } from '../../src/rl';
import { diskFolder } from '../../cli/files';
import { deriveKey, uniform } from '../../src/random';
import { start, terrarium } from './program';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-runs-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const SHORT = ['grpo.steps=4', 'grpo.batch_size=8', 'grpo.group_size=4', 'eval.examples=4', 'eval.interval=2'];
const settings = [...SHORT, 'checkpoint.interval=1'].flatMap((setting) => ['--set', setting]);

const train = (folder: string, ...more: string[]) => [
  ...['train', 'even-digits', ...settings, '--json', '--out', folder],
  ...more,
];

const hashOf = async (folder: string) => hashWeights((await loadModel(diskFolder(folder))).tensors);

const nameOf = ({ event, step }: { event: string; step?: number }) => (step === undefined ? event : `${event} ${step}`);

/** Events of the metrics by name. */
const eventsOf = (folder: string) =>
  readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => nameOf(JSON.parse(line) as { event: string; step?: number }));

const WHOLE = ['start', 'eval 0', 'step 1', 'step 2', 'eval 2', 'step 3', 'step 4', 'eval 4', 'done'];

/** A run that nothing happened to. */
const whole = join(scratch, 'whole');
let expected: string;
/** Milliseconds from its start to its end. */
let duration: number;

beforeAll(async () => {
  const { child, ended } = start(train(whole));
  let began = 0;
  child.stdout!.once('data', () => (began = performance.now()));
  const { code, err } = await ended;
  duration = performance.now() - began;
  expect(code, err).toBe(0);
  expected = await hashOf(whole);
});

it('a checkpoint is a model folder, and the run itself is one at the end', async () => {
  expect(eventsOf(whole)).toEqual(WHOLE);
  expect(readdirSync(whole).sort()).toEqual(
    ['checkpoints', 'evals', 'traces']
      .concat([
        'config.json',
        'metrics.jsonl',
        'model.safetensors',
        'run.json',
        'tokenizer.json',
        'tokenizer_config.json',
      ])
      .sort(),
  );
  expect(await hashOf(join(whole, 'checkpoints/step-000004'))).toBe(expected);
  expect(await hashOf(join(whole, 'checkpoints/step-000003'))).not.toBe(expected);
  const traces = readFileSync(join(whole, 'traces/step-000001.jsonl'), 'utf8').trim().split('\n');
  expect(traces).toHaveLength(8);
});

/** Kills a run that trains in the folder, at a share of the time that a whole run takes after its start. */
async function killAt(folder: string, share: number): Promise<NodeJS.Signals | null> {
  const { child, ended } = start(train(folder));
  child.stdout!.once('data', () => setTimeout(() => child.kill('SIGKILL'), share * duration));
  return (await ended).signal;
}

it('killed at 20 random moments and resumed: the same weights each time, and every step once', async () => {
  let killed = 0;
  const resumedFrom = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const folder = join(scratch, `killed-${i}`);
    const share = uniform(deriveKey(2024), i);
    if ((await killAt(folder, share)) === 'SIGKILL') killed++;
    const { code, err } = await terrarium(['train', '--resume', folder]);
    expect(code, err).toBe(0);
    resumedFrom.add(/from step \d+|starts over|is finished/.exec(err)![0]);
    expect(await hashOf(folder), `moment ${i}: ${share}`).toBe(expected);
    expect(eventsOf(folder)).toEqual(WHOLE);
    rmSync(folder, { recursive: true });
  }
  expect(killed).toBeGreaterThanOrEqual(5); // the others were over sooner than the first run, which may have been slow
  expect(resumedFrom.size).toBeGreaterThanOrEqual(3); // not always the same moment
});

it('an interrupted run says how to go on, and goes on to the same end', async () => {
  const folder = join(scratch, 'interrupted');
  const { child, ended } = start(train(folder));
  child.stdout!.on('data', (data: Buffer) => {
    if (data.toString().includes('"event":"step","step":2')) child.kill('SIGINT');
  });
  const { code, err } = await ended;
  expect(code).toBe(130);
  expect(err).toMatch(new RegExp(`Interrupted after step \\d; go on with --resume ${folder}`));
  expect((await terrarium(['train', '--resume', folder])).code).toBe(0);
  expect(await hashOf(folder)).toBe(expected);
  const again = await terrarium(['train', '--resume', folder]);
  expect(again).toMatchObject({ code: 0, err: `${folder} is finished: 4 steps, and nothing is left to do\n` });
});

/** A run that was killed after its second checkpoint or later. */
async function brokenRun(name: string): Promise<string> {
  const folder = join(scratch, name);
  await cp(whole, folder, { recursive: true });
  rmSync(join(folder, 'config.json')); // as if killed before the model was in place
  return folder;
}

it('a damaged checkpoint is named, the one before is used, and the end is the same', async () => {
  const folder = await brokenRun('damaged');
  truncateSync(join(folder, 'checkpoints/step-000004/trainer_state.safetensors'), 1000);
  const { code, err } = await terrarium(['train', '--resume', folder]);
  expect(code, err).toBe(0);
  expect(err).toContain(`checkpoint step-000004 of ${folder}: trainer_state.safetensors has 1000 bytes of`);
  expect(err).toContain(`Going on with ${folder} from step 3`);
  expect(await hashOf(folder)).toBe(expected);
  expect(eventsOf(folder)).toEqual(WHOLE);
});

it('two processes cannot have one run', async () => {
  const folder = join(scratch, 'taken');
  const { child, ended } = start(train(folder));
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  child.kill('SIGSTOP');
  const { code, err } = await terrarium(['train', '--resume', folder]);
  expect(code).toBe(1);
  expect(err).toMatch(new RegExp(`^InUseError: ${folder} is being written to by process ${child.pid} on `));
  expect((await terrarium(['runs', 'delete', folder, '--yes'])).err).toContain('InUseError');
  child.kill('SIGKILL');
  await ended;
  expect((await terrarium(['runs', 'delete', folder, '--yes'])).code).toBe(0);
  expect(existsSync(folder)).toBe(false);
});

it('bad input is one clear line, before any work', async () => {
  const other = join(scratch, 'other');
  await cp(whole, other, { recursive: true });
  const about = readFileSync(join(other, 'run.json'), 'utf8');
  writeFileSync(join(other, 'run.json'), about.replace('"format": 1', '"format": 12'));
  const cases: [string[], string][] = [
    [['train', '--resume', join(scratch, 'nowhere')], 'is not a run: it has no run.json (nothing is there)'],
    [['train', '--resume', join(whole, 'checkpoints')], 'is not a run: it has no run.json (it holds step-00000'],
    [
      ['train', '--resume', other],
      'is a run of format 12, written by Terrarium 0.1.0; this is 0.1.0, which reads format 1',
    ],
    [['train', '--resume', whole, '--set', 'grpo.lr=1'], '--resume goes on with the settings that the run has'],
    [train(whole), `${whole} holds a run: go on with it by --resume ${whole}, or choose another folder`],
    [['runs', 'lst'], 'ConfigError: runs lst: there are list, compare, fork, delete, export and import'],
    [['runs', 'list', join(whole, 'evals')], 'holds no run'],
    [['runs', 'compare', whole], 'name two runs or more'],
    [['runs', 'fork', whole], '--out names the folder of the new run'],
    [['runs', 'fork', whole, '--out', join(scratch, 'f'), '--step', '9'], 'has no checkpoint of step 9; it has '],
    [['runs', 'fork', whole, '--out', other], 'is not empty'],
    [['runs', 'import', join(whole, 'run.json')], 'is not a .zip that can be read'],
    [['runs', 'export', whole, join(whole, 'run.json')], 'is there already; choose another name'],
    [['runs', 'delete', join(whole, 'evals'), '--yes'], 'is not a run'],
  ];
  const before = readdirSync(whole, { recursive: true });
  for (const [args, message] of cases) {
    const { code, out, err } = await terrarium(args);
    expect([code, out], err).toEqual([1, '']);
    expect(err).toContain(message);
    expect(err, args.join(' ')).not.toContain('    at ');
  }
  expect(readdirSync(whole, { recursive: true })).toEqual(before);
  rmSync(other, { recursive: true });
});

it('forked, listed, compared, exported, imported, resumed, deleted', async () => {
  const at = (name: string) => join(scratch, 'shelf', name);
  await cp(whole, at('mother'), { recursive: true });
  const fork = ['runs', 'fork', at('mother'), '--out', at('child'), '--step', '3', '--set', 'grpo.lr=0.01'];
  expect((await terrarium(fork)).out).toContain(`go on with: terrarium train --resume ${at('child')}`);
  const { code, err } = await terrarium(['train', '--resume', at('child')]);
  expect(code, err).toBe(0);
  expect(err).toContain('from step 3');
  expect(await hashOf(at('child'))).not.toBe(expected);
  expect(eventsOf(at('child'))).toEqual(WHOLE);

  const compared = (await terrarium(['runs', 'compare', at('mother'), at('child')])).out;
  expect(compared).toMatch(/grpo\.lr +0\.0015 +0\.01\n/);
  expect(compared).toContain(`${expected.slice(0, 16)}`);
  expect(compared).toMatch(/reward, step 4 +[\d.]+ +[\d.]+\n/);

  const list = (await terrarium(['runs', 'list', join(scratch, 'shelf')])).out;
  expect(list).toMatch(
    /child +even-digits \(fork of mother at 3\) +1 +4\/4 +finished +[\d.]+% \/ [\d.]+% +\d{4}-\d\d-\d\d/,
  );
  expect(list).toMatch(/mother +even-digits +1 +4\/4 +finished/);

  // An unfinished run goes on elsewhere.
  rmSync(join(at('mother'), 'config.json'));
  truncateSync(join(at('mother'), 'checkpoints/step-000004/manifest.json'), 10);
  const broken = await terrarium(['runs', 'export', at('mother'), at('mother.zip')]);
  expect(broken.code, broken.err).toBe(0);
  expect((await terrarium(['runs', 'import', at('mother.zip'), '--out', at('copy')])).err).toContain(
    'ImportError: checkpoint step-000004 of ',
  );
  rmSync(join(at('mother'), 'checkpoints/step-000004'), { recursive: true });
  rmSync(at('mother.zip'));
  expect((await terrarium(['runs', 'export', at('mother'), at('mother.zip')])).code).toBe(0);
  const imported = await terrarium(['runs', 'import', at('mother.zip'), '--out', at('copy')]);
  expect(imported).toMatchObject({ code: 0, out: `${at('copy')}: even-digits, seed 1\n` });
  expect((await terrarium(['train', '--resume', at('copy')])).code).toBe(0);
  expect(await hashOf(at('copy'))).toBe(expected);

  const { child, ended } = start(['runs', 'delete', at('copy')]);
  child.stdin!.end('n\n');
  expect((await ended).err).toMatch(
    /^Delete .*copy \(even-digits, seed 1, 4 steps, [\d.]+ MiB\)\? \[y\/N\] .*Nothing was deleted/s,
  );
  expect(existsSync(at('copy'))).toBe(true);
  const asked = start(['runs', 'delete', at('copy')]);
  asked.child.stdin!.end('y\n');
  expect((await asked.ended).code).toBe(0);
  expect(existsSync(at('copy'))).toBe(false);
});
