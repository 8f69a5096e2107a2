/**
 * @file `node scripts/record_runs.mjs [name ...]`: plays lessons (configs/lessons) and environments with their usual settings
 * by `terrarium train --json` and writes what the diagnosis reads of them to tests/rl/fixtures/<name>.jsonl. Without names it
 * plays all of them, which takes minutes. A first line says how the file was made.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, bin, buildOnce, ensurePackages, run, say } from './setup.mjs';

const ENVIRONMENTS = [
  'reverse-text',
  'even-digits',
  'letter-sort',
  'arithmetic-mini',
  'alphabet-sort-mini',
  'tool-test-mini',
  'wiki-search-mini',
  'wordle-mini',
  'kuhn-poker',
  'code-math-mini',
];

/** What depends on the machine's speed, or is a result of the diagnosis itself, has no place in a fixture. */
const LEFT_OUT = /seconds|tokensPerSecond/i;
const EVENTS = ['start', 'step', 'eval'];

process.chdir(ROOT);
ensurePackages();
buildOnce('dist/cli/main.js', ['src', 'cli', 'vite.config.ts', 'package-lock.json'], () =>
  run(bin('vite'), ['build', '--mode', 'cli', '--logLevel', 'warn'], { stdio: ['ignore', 2, 2] }),
);

const lessons = readdirSync('configs/lessons').map((file) => file.replace('.toml', ''));
const names = process.argv.length > 2 ? process.argv.slice(2) : [...lessons, ...ENVIRONMENTS];
mkdirSync('tests/rl/fixtures', { recursive: true });
for (const name of names) {
  const toml = join('configs/lessons', `${name}.toml`);
  const what = existsSync(toml) ? ['--config', toml] : [name];
  const command = `terrarium train ${what.join(' ')} --json`;
  say(command);
  const { stdout, stderr, status } = spawnSync(process.execPath, ['dist/cli/main.js', 'train', ...what, '--json'], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const events = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  if (!events.some(({ event }) => event === 'step')) {
    say(`not one step (exit code ${status}), nothing recorded: ${stderr.trim().split('\n').at(-1)}`);
    continue;
  }
  const note = `Made by node scripts/record_runs.mjs ${name}: ${command}, rounded to six digits, without timings.`;
  const kept = events.filter(({ event }) => EVENTS.includes(event));
  const lines = [{ event: 'note', note }, ...kept].map((event) => JSON.stringify(event, compact));
  writeFileSync(`tests/rl/fixtures/${name}.jsonl`, `${lines.join('\n')}\n`);
}

function compact(key, value) {
  if (LEFT_OUT.test(key)) return undefined;
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}
