/** @file eval, view, init and test as a user runs them: the built program in a process of its own. */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { diskFolder, starterPath } from '../../cli/files';
import { loadNative } from '../../cli/native';
import { diskStore } from '../../cli/store';
import { OpenAIModel, evaluate, libraryEntry, readRun } from '../../src/envs';
import type { ChatModel, ResultMetadata, ResultRow } from '../../src/envs';
import { Random } from '../../src/random';
import { chatBody, json, modelHandler, serve } from '../endpoint';
import type { Endpoint } from '../endpoint';
import { parseLines, timeless } from '../envs/eval/worlds';
import { testGpu } from '../gpu';
import { shapeOf } from '../shape';
import { ROOT, start, terrarium } from './program';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-'));
const endpoints: Endpoint[] = [];
afterAll(async () => {
  for (const endpoint of endpoints) await endpoint.close();
  rmSync(scratch, { recursive: true });
});

/** The one run in an outputs folder. */
function onlyRun(outputs: string): string {
  const [pair, ...more] = readdirSync(join(outputs, 'evals'));
  expect(more).toEqual([]);
  const runs = readdirSync(join(outputs, 'evals', pair!));
  expect(runs).toHaveLength(1);
  return join(outputs, 'evals', pair!, runs[0]!);
}

const rowsOf = (run: string): ResultRow[] => parseLines(readFileSync(join(run, 'results.jsonl'), 'utf8'));
const metadataOf = (run: string) => JSON.parse(readFileSync(join(run, 'metadata.json'), 'utf8')) as ResultMetadata;

/** Reverses the question most of the time, after some milliseconds; the same for the same question. */
async function reversing(waitMs: number): Promise<Endpoint> {
  const endpoint = await serve(async ({ body }, reply) => {
    const word = body.messages.at(-1)!.content!;
    const random = new Random([word.length, word.charCodeAt(0) * 256 + word.charCodeAt(1)]);
    await new Promise((go) => setTimeout(go, waitMs * (0.5 + random.next())));
    const content = random.next() < 0.7 ? [...word].reverse().join('') : word;
    json(reply, chatBody({ role: 'assistant', content }));
  });
  endpoints.push(endpoint);
  return endpoint;
}

const at = ({ baseUrl }: Endpoint, model = 'acme/reverser') => ['-b', baseUrl, '-m', model];

it('evaluates the shipped starter with vf-eval’s flags, saves what it says, and says it again', async () => {
  const outputs = join(scratch, 'starter');
  const flags = ['-n', '6', '-r', '2', '-c', '8', '-t', '12', '-T', '0.5', '-a', '{"maxLength": 5}', '-s'];
  const { code, out, err } = await terrarium(['eval', 'reverse-text', ...flags, '--output-dir', outputs]);
  expect(code, err).toBe(0);
  expect(out).toMatch(/^reward +\d\.\d{3} {2}\[.*\] {2}12 rollouts of 6 examples\n {2}exactMatch .* weight 1\n/);
  expect(out).toMatch(/pass@k {2}1: .* 2: /);
  expect(err).toMatch(/reverse-text with starters\/reverse-text: 12\/12 {2}[\d.]+ rollouts\/s {2}done/);
  const run = onlyRun(outputs);
  expect(run).toContain('evals/reverse-text--starters--reverse-text/');
  const metadata = metadataOf(run);
  expect(metadata).toMatchObject({
    env_id: 'reverse-text',
    env_args: { maxLength: 5 },
    model: 'starters/reverse-text',
    num_examples: 6,
    rollouts_per_example: 2,
    sampling_args: { max_tokens: 12, temperature: 0.5 },
  });
  expect(rowsOf(run)).toHaveLength(12);
  expect(rowsOf(run).every(({ answer }) => answer!.length <= 5)).toBe(true);

  const again = await terrarium(['eval', 'reverse-text', ...flags, '--json', '--output-dir', join(scratch, 'again')]);
  expect({ ...(JSON.parse(again.out) as ResultMetadata), time: 0 }).toEqual({ ...metadata, time: 0 });
  const order = (rows: ResultRow[]) => rows.map((row) => JSON.stringify(timeless(row))).sort();
  expect(order(rowsOf(onlyRun(join(scratch, 'again'))))).toEqual(order(rowsOf(run)));
});

it.each(['reverse-text', 'wiki-search-mini'])(
  '%s by the native client and over HTTP: the same folders',
  async (name) => {
    const native = await loadNative(await testGpu(), diskFolder(starterPath(name)), 'one');
    try {
      const env = libraryEntry(name).load();
      const options = { numExamples: 8, rolloutsPerExample: 2, sampling: { temperature: 0 } };
      const play = async (folder: string, model: ChatModel, baseUrl = '') => {
        const path = join(scratch, 'same', name, folder);
        await evaluate(env, model, { ...options, store: diskStore(path), labels: { baseUrl } });
        return { rows: rowsOf(path), metadata: metadataOf(path), saved: await readRun(diskStore(path)) };
      };
      const ours = await play('native', native.model);
      const endpoint = await serve(modelHandler(native.model, () => [1, 2]));
      endpoints.push(endpoint);
      for (const stream of [false, true]) {
        const { baseUrl } = endpoint;
        const http = await play(`http-${stream}`, new OpenAIModel({ baseUrl, model: 'one', stream }), baseUrl);
        expect(shapeOf(http.rows)).toEqual(shapeOf(ours.rows));
        expect(shapeOf(http.metadata)).toEqual(shapeOf(ours.metadata));
        // Greedy replies are the same, and so is everything but the clock.
        const order = (rows: ResultRow[]) =>
          rows.sort((a, b) => a.example_id - b.example_id || a.terrarium.rollout - b.terrarium.rollout).map(timeless);
        expect(order(http.rows)).toEqual(order(ours.rows));
        expect({ ...http.metadata, time: 0, base_url: '' }).toEqual({ ...ours.metadata, time: 0 });
        expect(http.saved.unreadable).toEqual([]);
        if (name === 'wiki-search-mini') expect(http.rows.some(({ metrics }) => metrics.search_calls! > 0)).toBe(true);
      }
    } finally {
      native.destroy();
    }
  },
);

it('killed ten times at random moments and resumed each time: the uninterrupted run, and no rollout twice', async () => {
  const endpoint = await reversing(25);
  const flags = ['-n', '40', '-r', '3', '-c', '4', '-s', ...at(endpoint)];
  const whole = join(scratch, 'whole');
  expect((await terrarium(['eval', 'reverse-text', ...flags, '--output-dir', whole])).code).toBe(0);

  const outputs = join(scratch, 'killed');
  const random = new Random([21, 22]);
  const before = endpoint.requests.length;
  let [kills, finished] = [0, 0];
  while (kills < 10) {
    const { child, ended } = start(['eval', 'reverse-text', ...flags, '--resume', '--output-dir', outputs]);
    const asked = endpoint.requests.length + random.between(1, 12);
    const watch = setInterval(() => {
      if (endpoint.requests.length >= asked) child.kill('SIGKILL');
    }, 1);
    const { signal, err } = await ended;
    clearInterval(watch);
    expect(signal, err).toBe('SIGKILL');
    kills++;
    finished = rowsOfTorn(onlyRun(outputs));
  }
  expect(finished).toBeGreaterThan(0);
  expect(finished).toBeLessThan(120);
  const last = await terrarium(['eval', 'reverse-text', ...flags, '--resume', '--output-dir', outputs]);
  expect(last.code, last.err).toBe(0);
  expect(last.err).toMatch(
    /Resuming .*killed\/evals\/reverse-text--acme--reverser\/[0-9a-f]{8}: \d+ rollouts are there/,
  );

  const [a, b] = [onlyRun(whole), onlyRun(outputs)];
  const order = (run: string) =>
    rowsOf(run)
      .map((row) => JSON.stringify(timeless(row)))
      .sort();
  expect(order(b)).toEqual(order(a));
  expect(new Set(order(b)).size).toBe(120);
  expect({ ...metadataOf(b), time: 0 }).toEqual({ ...metadataOf(a), time: 0 });
  expect(readdirSync(b).sort()).toEqual(['metadata.json', 'results.jsonl']);
  // What was in flight is asked again, and nothing else.
  expect(endpoint.requests.length - before).toBeLessThanOrEqual(120 + 10 * 4);
});

/** Whole lines of a file that may end in the middle of one. */
function rowsOfTorn(run: string): number {
  const path = join(run, 'results.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
}

it('an interrupt keeps what is finished and says how to go on', async () => {
  const endpoint = await reversing(20);
  const outputs = join(scratch, 'interrupted');
  const flags = ['-n', '30', '-r', '1', '-c', '2', ...at(endpoint), '--output-dir', outputs];
  const { child, ended } = start(['eval', 'reverse-text', ...flags, '-s']);
  const watch = setInterval(() => endpoint.requests.length >= 7 && child.kill('SIGINT') && clearInterval(watch), 1);
  const { code, err } = await ended;
  clearInterval(watch);
  expect(code, err).toBe(130);
  const [, done, folder] = /Interrupted after (\d+) of 30 rollouts\. Go on with: --resume (\S+)/.exec(err)!;
  const run = onlyRun(outputs);
  expect(join(ROOT, folder!)).toBe(run);
  expect(rowsOf(run)).toHaveLength(Number(done));
  const next = await terrarium(['eval', 'reverse-text', ...flags, '--resume', run]);
  expect(next.code, next.err).toBe(0);
  expect(rowsOf(run)).toHaveLength(30);
});

it('the key goes to the endpoint and nowhere else', async () => {
  const KEY = 'sk-very-secret-0815';
  const endpoint = await serve(({ headers, body }, reply) => {
    const even = body.messages.at(-1)!.content!.length % 2 === 0;
    if (even) json(reply, { error: { message: `bad key ${headers.authorization}` } }, 401);
    else json(reply, chatBody({ role: 'assistant', content: String(headers.authorization).length.toString() }));
  });
  endpoints.push(endpoint);
  const outputs = join(scratch, 'key');
  const flags = ['-n', '10', '-r', '1', '-s', '-v', '-k', 'MY_KEY', ...at(endpoint), '--output-dir', outputs];
  const { code, out, err } = await terrarium(['eval', 'reverse-text', ...flags], { MY_KEY: KEY });
  expect(code, err).toBe(0);
  expect(endpoint.requests.every(({ headers }) => headers.authorization === `Bearer ${KEY}`)).toBe(true);
  const run = onlyRun(outputs);
  const files = readdirSync(run).map((file) => readFileSync(join(run, file), 'utf8'));
  expect([out, err, ...files].join('\n')).not.toContain(KEY);
  expect(files.join('\n')).toContain('[key]');
  expect(out).toMatch(/FAILED {2}\d of 10, in no mean: model: AuthenticationError \d/);
});

it('an endpoint that is down: every rollout says so, and the command fails', async () => {
  const endpoint = await reversing(1);
  await endpoint.close();
  const { code, out, err } = await terrarium([
    'eval',
    'reverse-text',
    '-n',
    '2',
    '-r',
    '1',
    '--max-retries',
    '0',
    ...at(endpoint),
  ]);
  expect(code).toBe(1);
  expect(out).toContain('no rollout was scored');
  expect(err).toMatch(/Every rollout failed; the first one: ConnectionError: http.*cannot be reached/);
});

it('init, test, edit, eval, view: the first ten minutes', async () => {
  const folder = join(scratch, 'first/my-env');
  const made = await terrarium(['init', folder]);
  expect(made.code, made.err).toBe(0);
  expect(made.out).toContain(`npm run eval -- ${folder} -m starters/reverse-text`);
  expect(readdirSync(folder).sort()).toEqual([
    'README.md',
    'index.ts',
    'my-env.test.ts',
    'package.json',
    'tsconfig.json',
  ]);
  const tested = await terrarium(['test', folder]);
  expect(tested.code, tested.out + tested.err).toBe(0);
  expect(tested.out).toMatch(/pass 3/);

  const code = join(folder, 'index.ts');
  writeFileSync(
    code,
    readFileSync(code, 'utf8').replace('{ exactMatch: 1, similarity: 0 }', '{ exactMatch: 1, similarity: 0.5 }'),
  );
  const failing = await terrarium(['test', folder]);
  expect(failing.code).toBe(1); // a perfect player now earns 1.5: the test says so
  expect(failing.out).toMatch(/1\.5 !== 1/);
  expect(failing.out).toContain(`${join(folder, 'my-env.test.ts')}:12:`);

  const outputs = join(scratch, 'first/outputs');
  const flags = ['-m', 'starters/reverse-text', '-n', '5', '-r', '2', '-s', '--output-dir', outputs];
  const evaluated = await terrarium(['eval', folder, ...flags]);
  expect(evaluated.code, evaluated.err).toBe(0);
  expect(evaluated.err).toContain(`Running the code of ${folder}, which may do what you may.`);
  expect(evaluated.out).toMatch(/similarity .* weight 0\.500/);
  const run = onlyRun(outputs);
  expect(metadataOf(run).version_info.env_version).toBe('0.1.0');

  const list = await terrarium(['view', outputs]);
  expect(list.out).toMatch(/^#.*\n1 {2}my-env +starters\/reverse-text +5 x 2/);
  const one = await terrarium(['view', run, '--rollout', '3']);
  expect(one.out).toMatch(
    /^my-env {2}example 1, rollout 0 {2}\(3 of 10\)\nreward .* not solved .* ended by max_turns_reached/,
  );
  expect(one.out).toMatch(/similarity +0\.\d+ {2}x 0\.500 = /);
  expect(one.out).toContain('── user\n');

  const broken = join(scratch, 'first/broken');
  expect((await terrarium(['init', broken])).code).toBe(0);
  writeFileSync(join(broken, 'index.ts'), 'export const x = ;');
  const syntax = await terrarium(['eval', broken, '-m', 'starters/reverse-text']);
  expect(syntax.code).toBe(1);
  expect(syntax.err).toContain('EnvironmentPackageError');
  expect(syntax.err).toContain('index.ts');
  writeFileSync(join(broken, 'index.ts'), 'export const x = 1;');
  const empty = await terrarium(['eval', broken, '-m', 'starters/reverse-text']);
  expect(empty.err).toContain('exports no function loadEnvironment');
  writeFileSync(join(broken, 'index.ts'), 'export const loadEnvironment = () => ({ name: 1 });');
  const wrong = await terrarium(['eval', broken, '-m', 'starters/reverse-text']);
  expect(wrong.err).toContain('returned no environment');
});

it('view compares two runs and writes chat JSONL', async () => {
  const endpoint = await reversing(1);
  const runs: string[] = [];
  for (const model of ['a', 'b']) {
    const outputs = join(scratch, 'pair', model);
    await terrarium([
      'eval',
      'reverse-text',
      '-n',
      '10',
      '-r',
      '2',
      '-s',
      ...at(endpoint, model),
      '--output-dir',
      outputs,
    ]);
    runs.push(onlyRun(outputs));
  }
  const { out } = await terrarium(['view', runs[0]!, '--compare', runs[1]!]);
  expect(out).toMatch(/B - A +95% interval/);
  expect(out).toMatch(/reward +(\d\.\d+) +\1 +0\.000 +\[0\.000, 0\.000\] +0 better, 0 worse/);
  expect(out).toContain('10 examples in both');
  const file = join(scratch, 'pair/sft.jsonl');
  const { err } = await terrarium(['view', runs[0]!, '--chat', file, '--min-reward', '1']);
  const count = Number(/(\d+) conversations/.exec(err)![1]);
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  expect(lines).toHaveLength(count);
  expect(JSON.parse(lines[0]!)).toMatchObject({ messages: [{ role: 'user' }, { role: 'assistant' }] });
});

it.each([
  [['eval'], 'UsageError: which environment?'],
  [
    ['eval', 'chess'],
    'EnvironmentPackageError: there is no environment "chess": it is none of the library (reverse-text,',
  ],
  [['eval', 'reverse-text', '-n', 'many'], 'UsageError: --num-examples: many is no number'],
  [['eval', 'reverse-text', '-a', '{'], 'UsageError: --env-args: not JSON'],
  [['eval', 'reverse-text', '-S', '[]'], 'UsageError: --sampling-args: not a JSON object'],
  [['eval', 'reverse-text', '-S', '{"n": 2}'], 'UsageError: --sampling-args: our own models do not know n'],
  [['eval', 'reverse-text', '-m', '/nowhere'], 'UsageError: -m /nowhere: no folder /nowhere'],
  [['eval', 'reverse-text', '-b', 'http://x/v1'], 'UsageError: -b needs -m'],
  [
    ['eval', 'reverse-text', '-b', 'http://x/v1', '-m', 'm', '-k', 'NO_SUCH'],
    'there is no environment variable of that name',
  ],
  [['eval', 'even-digits'], 'NoStarterError: even-digits has no shipped starter'],
  [
    ['eval', 'even-digits', '-m', 'starters/reverse-text', '-n', '-1'],
    'EvaluationError: numExamples: the eval dataset of even-digits has no end',
  ],
  [['eval', 'reverse-text', '--sed', '1'], "Unknown option '--sed'"],
  [['view', '/nowhere'], 'UsageError: there is no folder /nowhere'],
  [['init', 'My Env'], 'UsageError: "My Env" is no name for an environment'],
  [['init', 'reverse-text'], 'UsageError: the library already has an environment reverse-text'],
  [['init'], 'UsageError: one name, please'],
  [['test', 'reverse-text'], 'UsageError: reverse-text is in the library'],
])('one clear line for %j', async (args, message) => {
  const { code, out, err } = await terrarium(args);
  expect(code).toBe(1);
  expect(out).toBe('');
  expect(err).toContain(message);
  expect(err).not.toContain('    at '); // no stack trace
});

it('help lists the flags', async () => {
  const { code, out } = await terrarium(['eval', '--help']);
  expect(code).toBe(0);
  expect(out).toContain('-r, --rollouts-per-example N');
});
