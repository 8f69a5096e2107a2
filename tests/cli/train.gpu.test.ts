/** @file The command line as a user runs it: the built program in a process of its own. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { hashWeights } from '../../src/model';
import { loadModel } from '../../src/rl';
import { diskFolder } from '../../cli/files';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = join(ROOT, 'dist/cli/main.js');
const scratch = mkdtempSync(join(tmpdir(), 'terrarium-'));
afterAll(() => rmSync(scratch, { recursive: true }));

interface Result {
  code: number | null;
  out: string;
  err: string;
}

/** Runs a command; once its output holds `text`, `then` happens to the process, once. */
function terrarium(args: string[], at?: { text: string; then: (child: ChildProcess) => void }): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { cwd: ROOT });
    const result: Result = { code: null, out: '', err: '' };
    let waiting = at !== undefined;
    child.stdout.on('data', (data: Buffer) => {
      result.out += data.toString();
      if (!waiting || !result.out.includes(at!.text)) return;
      waiting = false;
      at!.then(child);
    });
    child.stderr.on('data', (data: Buffer) => (result.err += data.toString()));
    child.on('close', (code) => resolve({ ...result, code }));
  });
}

type Json = Record<string, unknown>;

const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Json);

interface Done {
  event: 'done';
  weights_sha256: string;
  eval_before: { t1: number; greedy: number; examples: number };
  eval_after: { t1: number; greedy: number; examples: number };
  steps: number;
  seconds: number;
}

async function train(env: string, seed: number, ...more: string[]): Promise<Done> {
  const { code, out, err } = await terrarium(['train', env, '--seed', String(seed), '--json', ...more]);
  expect(code, err).toBe(0);
  const events = lines(out);
  const done = events.at(-1) as unknown as Done;
  expect(events.filter(({ event }) => event === 'step')).toHaveLength(done.steps);
  expect(done.event).toBe('done');
  return done;
}

// The runs that the README promises: 400 held-out tasks, at most 30 steps, three seeds.
it.each([1, 2, 3])('reverse-text learns within 30 steps, seed %i', async (seed) => {
  const done = await train('reverse-text', seed);
  expect(done.eval_before).toMatchObject({ examples: 400 });
  expect(done.eval_before.t1).toBeLessThanOrEqual(0.5);
  expect(done.eval_after.t1).toBeGreaterThanOrEqual(0.85);
  expect(done.steps).toBeLessThanOrEqual(30);
  if (seed === 1) expect((await train('reverse-text', seed)).weights_sha256).toBe(done.weights_sha256);
});

it('even-digits learns from random weights, seeds 1, 2 and 3', async () => {
  const after: number[] = [];
  for (const seed of [1, 2, 3]) {
    const done = await train('even-digits', seed);
    expect(done.eval_before.t1).toBeLessThanOrEqual(0.1);
    expect(done.eval_after.t1).toBeGreaterThanOrEqual(0.9);
    after.push(done.eval_after.t1);
  }
  expect(after.reduce((a, b) => a + b, 0) / 3).toBeGreaterThanOrEqual(0.95);
});

const SHORT = ['--set', 'grpo.steps=2', '--set', 'grpo.warmup_steps=1', '--set', 'eval.examples=20'];

it('shows a line per step with rate and time left', async () => {
  const { code, out, err } = await terrarium(['train', 'even-digits', ...SHORT]);
  expect(code).toBe(0);
  expect(out).toBe('');
  expect(err).toMatch(
    /step 1\/2 {2}reward 0\.\d+ {2}signal .* tokens\/s {2}[\d.]+ s\/step {2}GPU idle \d+% {2}\d+ s left/,
  );
  expect(err).toMatch(/eval after {2}T=1 [\d.]+% {2}greedy [\d.]+%/);
});

it('--profile says what each kernel took, and the run is the same to the bit; so it is with the base kernels', async () => {
  const short = ['grpo.steps=2', 'grpo.warmup_steps=0', 'eval.examples=10'].flatMap((each) => ['--set', each]);
  const plain = await train('reverse-text', 1, ...short);
  const { code, out, err } = await terrarium(['train', 'reverse-text', '--seed', '1', '--json', ...short, '--profile']);
  expect(code, err).toBe(0);
  expect(lines(out).at(-1)).toMatchObject({ event: 'done', weights_sha256: plain.weights_sha256 });
  expect(err).toMatch(/^Profile of .*, 2 steps$/m);
  expect(err).toMatch(
    /^At best this adapter copies [\d.]+ [kMGT]?B\/s and multiplies matrices at [\d.]+ [kMGT]?FLOP\/s$/m,
  );
  expect(err).toMatch(/^matmul\w* NT mx256x64 +[\d.]+ /m);
  process.env.TERRARIUM_TUNER_MS = '0';
  try {
    expect((await train('reverse-text', 1, ...short)).weights_sha256).toBe(plain.weights_sha256);
  } finally {
    delete process.env.TERRARIUM_TUNER_MS;
  }
});

it('layers TOML files under --set, and prints the result and the memory it would take', async () => {
  const [a, b] = [join(scratch, 'a.toml'), join(scratch, 'b.toml')];
  writeFileSync(a, 'env = "even-digits"\nseed = 5\n[grpo]\nlr = 1e-4\nsteps = 7\n');
  writeFileSync(b, '[grpo]\nsteps = 8\n');
  const { code, out, err } = await terrarium([
    'train',
    '--config',
    a,
    '--config',
    b,
    '--set',
    'grpo.group_size=4',
    '--dry-run',
  ]);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ env: 'even-digits', seed: 5, grpo: { lr: 1e-4, steps: 8, group_size: 4 } });
  expect(err).toMatch(
    /Memory on .+ \(4096 tokens at a time, activations kept\):\n {2}weights \(and adapter\) +205 KiB\n[^]* {2}together +[\d.]+ MiB\n {2}of +[\d.]+ .iB\n$/,
  );
  const refused = await terrarium(['train', 'even-digits', '--set', 'memory.budget_mb=3', '--dry-run']);
  expect(refused).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^UnfitConfigError: This run needs .*\n$/m) as string,
  });
});

it('writes a folder that loads, and starts from a folder', async () => {
  const out = join(scratch, 'model');
  const done = await train('even-digits', 1, ...SHORT, '--out', `${out}/`);
  const loaded = await loadModel(diskFolder(out));
  expect(await hashWeights(loaded.tensors)).toBe(done.weights_sha256);
  expect(lines(readFileSync(join(out, 'metrics.jsonl'), 'utf8')).at(-1)).toMatchObject({ event: 'done' });
  expect(JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))).toMatchObject({
    seed: 1,
    config: { env: 'even-digits' },
  });
  const next = await train('even-digits', 1, ...SHORT, '--set', `start=${out}`);
  expect(next.eval_before).toEqual(done.eval_after);
});

it('refuses a folder that is not empty or cannot be written, before it trains', async () => {
  const runs = join(scratch, 'runs');
  mkdirSync(join(runs, 'earlier'), { recursive: true });
  writeFileSync(join(runs, 'earlier/notes.txt'), 'mine');
  const full = await terrarium(['train', 'even-digits', ...SHORT, '--out', runs]);
  expect(full).toMatchObject({
    code: 1,
    out: '',
    err: `OutputError: ${runs} is not empty: it holds earlier; choose another folder\n`,
  });
  expect(readFileSync(join(runs, 'earlier/notes.txt'), 'utf8')).toBe('mine');

  const below = join(runs, 'earlier/notes.txt/below');
  const blocked = await terrarium(['train', 'even-digits', ...SHORT, '--out', below]);
  expect(blocked).toMatchObject({ code: 1, out: '' });
  expect(blocked.err).toMatch(/^OutputError: cannot write to .*\n$/);
});

it('a run that fails leaves what it had learned, and says in one line why', async () => {
  const out = join(scratch, 'failed');
  const args = ['--set', 'grpo.entropy_coefficient=1e38', '--out', out];
  const { code, err } = await terrarium(['train', 'even-digits', ...SHORT, ...args]);
  expect(code).toBe(1);
  expect(err).toContain(
    `Model after step 0 written to ${out}\nNonFiniteUpdateError: step 1: the gradient is not finite`,
  );
  expect(err).not.toContain('    at ');
  expect((await loadModel(diskFolder(out))).config.family).toBe('qwen3');
  const events = lines(readFileSync(join(out, 'metrics.jsonl'), 'utf8')).map(({ event }) => event);
  expect(events).toEqual(['start', 'eval', 'diagnosis']);
  expect(err).toMatch(
    /^diagnosis, since step 1: Not a number\. .*\n  Set grpo\.entropy_coefficient to 0\.01 \(now 1e\+38\)/m,
  );
});

it('a run that cannot start leaves no folder', async () => {
  const out = join(scratch, 'never');
  const { code } = await terrarium(['train', 'even-digits', '--set', 'start=/nowhere', '--out', out]);
  expect(code).toBe(1);
  expect(existsSync(out)).toBe(false);
});

it.each([
  ['an interrupt', 130, 'Interrupted', (child: ChildProcess) => child.kill('SIGINT')],
  ['a request to end', 143, 'Terminated', (child: ChildProcess) => child.kill('SIGTERM')],
  ['a closed output', 141, 'Nobody reads the output: stopped', (child: ChildProcess) => child.stdout!.destroy()],
])('%s keeps what was learned', async (_, expected, why, then) => {
  const out = join(scratch, `ended-${expected}`);
  const args = ['train', 'even-digits', '--json', '--out', out];
  const { code, err } = await terrarium(args, { text: '"event":"step","step":2', then });
  expect(code).toBe(expected);
  expect(err).toMatch(new RegExp(`${why} after step \\d+`));
  expect((await loadModel(diskFolder(out))).config.family).toBe('qwen3');
  expect(lines(readFileSync(join(out, 'metrics.jsonl'), 'utf8')).length).toBeGreaterThanOrEqual(3);
});

it.each([
  [
    ['train', 'chess'],
    'UnknownEnvironmentError: there is no environment "chess"; the library has reverse-text, even-digits',
  ],
  [['train', 'even-digits', '--set', 'grpo.stepz=1'], 'ConfigError: unknown key grpo.stepz; did you mean grpo.steps?'],
  [['train', 'even-digits', '--set', 'grpo.lr=fast'], 'ConfigError: grpo.lr: '],
  [['train', 'even-digits', '--seed=-1'], 'ConfigError: seed: '],
  [['train', 'even-digits', '--config', '/nowhere.toml'], 'ConfigError: /nowhere.toml: no such file'],
  [['train', 'even-digits', '--sed', '1'], "Unknown option '--sed'"],
  [['train', 'even-digits', '--set', 'start=/nowhere'], 'CheckpointError: /nowhere: config.json is missing'],
  [['train', 'even-digits', '--set', 'start=starter'], 'NoStarterError: even-digits has no starter checkpoint'],
])('one clear line for %j', async (args, message) => {
  const { code, out, err } = await terrarium(args);
  expect(code).toBe(1);
  expect(out).toBe('');
  expect(err).toContain(message);
  expect(err).not.toContain('    at '); // no stack trace
});

it('every shipped config is taken by its path', async () => {
  for (const file of readdirSync('configs').filter((name) => name.endsWith('.toml'))) {
    const { code, out } = await terrarium(['train', `configs/${file}`, '--seed', '7', '--dry-run']);
    expect(code, file).toBe(0);
    const config = JSON.parse(out) as { env: string; seed: number };
    expect(config.seed).toBe(7);
    expect(config.env).toMatch(new RegExp(`^${file.replace('.toml', '')}`));
  }
});

it('a TOML file that is not TOML is named', async () => {
  const path = join(scratch, 'bad.toml');
  writeFileSync(path, 'grpo = [');
  const { code, err } = await terrarium(['train', 'even-digits', '--config', path]);
  expect(code).toBe(1);
  expect(err).toContain(`ConfigError: ${path}: `);
});

it('help says what there is', async () => {
  expect((await terrarium(['train', '--help'])).out).toContain('--seed N');
  const nothing = await terrarium([]);
  expect(nothing.code).toBe(2);
  expect(nothing.out).toContain('terrarium starters');
});

it('starters are made by a command, and the shipped ones are what it says they are', async () => {
  const out = join(scratch, 'starter');
  const short = [
    'sft.steps=2',
    'sft.eval_interval=2',
    'sft.eval_examples=5',
    'sft.careless_steps=1',
    'eval.examples=10',
  ];
  const { code, err } = await terrarium([
    'starters',
    'reverse-text',
    '--out',
    out,
    ...short.flatMap((s) => ['--set', s]),
  ]);
  expect(code, err).toBe(0);
  expect(readdirSync(out).sort()).toEqual(readdirSync(join(ROOT, 'starters/reverse-text')).sort());

  let all = 0;
  for (const env of readdirSync(join(ROOT, 'starters'))) {
    const folder = join(ROOT, 'starters', env);
    let bytes = 0;
    for (const file of readdirSync(folder)) bytes += readFileSync(join(folder, file)).byteLength;
    expect(bytes).toBeLessThan(1e6);
    all += bytes;
    const card = JSON.parse(readFileSync(join(folder, 'starter.json'), 'utf8')) as {
      env: string;
      weights_sha256: string;
    };
    expect(card.env).toBe(env);
    expect(await hashWeights((await loadModel(diskFolder(folder))).tensors)).toBe(card.weights_sha256);
  }
  expect(all).toBeLessThan(5e6);
  expect(existsSync(join(ROOT, 'starters/reverse-text/model.safetensors'))).toBe(true);
});
