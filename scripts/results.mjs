/**
 * @file `npm run results`: trains every config in configs/ for three seeds and writes what came out, as a table for people
 * (docs/TRAINING.md) and as data (bench/results/training.json). Figures are only worth keeping from an idle machine.
 * `npm run results -- wiki-search even-digits --seeds 1,2` trains fewer and keeps the rest of the table as it is.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { format } from 'prettier';
import { ROOT, say } from './setup.mjs';

const DATA = join(ROOT, 'bench/results/training.json');
const PAGE = join(ROOT, 'docs/TRAINING.md');

/** Its card says how self-play is measured; the share of hands won says little. */
const NOT_A_SHARE = ['kuhn-poker'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '1,2,3' } },
});
const all = readdirSync(join(ROOT, 'configs'))
  .filter((name) => name.endsWith('.toml'))
  .map((name) => basename(name, '.toml'))
  .filter((name) => !NOT_A_SHARE.includes(name));
const wanted = positionals.length > 0 ? positionals : all;
const unknown = wanted.find((name) => !all.includes(name));
if (unknown) throw new Error(`there is no configs/${unknown}.toml; there are ${all.join(', ')}`);

/** Runs one config; the events that its command prints. */
function train(config, seed) {
  const args = [join(ROOT, 'scripts/terrarium.mjs'), 'train', '--config', `configs/${config}.toml`];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, '--seed', seed, '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`configs/${config}.toml, seed ${seed}: ${stderr}`);
  return stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
}

function summary(config, seed, events) {
  const start = events.find(({ event }) => event === 'start');
  const done = events.find(({ event }) => event === 'done');
  const steps = events.filter(({ event }) => event === 'step');
  const sum = (of) => steps.reduce((total, step) => total + of(step), 0);
  const { eval_before: before, eval_after: after } = done;
  return {
    config,
    seed: Number(seed),
    env: start.env,
    start: start.start,
    parameters: start.parameters,
    adapter: start.adapter,
    date: new Date().toISOString().slice(0, 10),
    before: { t1: before.t1, greedy: before.greedy },
    after: { t1: after.t1, greedy: after.greedy },
    examples: after.examples,
    steps: done.steps,
    /** Computed by sampler and trainer together. */
    tokens: Math.round(sum((step) => step.tokensPerSecond * (step.rolloutSeconds + step.updateSeconds))),
    seconds: Math.round(10 * done.seconds) / 10,
    weights_sha256: done.weights_sha256,
  };
}

const kept = existsSync(DATA) ? JSON.parse(readFileSync(DATA, 'utf8')) : [];
const results = new Map(kept.map((each) => [`${each.config} ${each.seed}`, each]));
for (const config of wanted) {
  for (const seed of values.seeds.split(',')) {
    const result = summary(config, seed, train(config, seed));
    results.set(`${config} ${seed}`, result);
    const percent = ({ t1, greedy }) => `${(100 * t1).toFixed(1)}% / ${(100 * greedy).toFixed(1)}%`;
    say(`${config}, seed ${seed}: ${percent(result.before)} -> ${percent(result.after)} in ${result.seconds} s`);
    await write();
  }
}

async function write() {
  const rows = [...results.values()].sort((a, b) =>
    a.config < b.config ? -1 : a.config > b.config ? 1 : a.seed - b.seed,
  );
  writeFileSync(DATA, await format(JSON.stringify(rows), { parser: 'json' }));
  writeFileSync(PAGE, await format(page(rows), { parser: 'markdown', printWidth: 120 }));
}

function page(rows) {
  const percent = (share) => (100 * share).toFixed(1);
  const mean = (list) => list.reduce((total, value) => total + value, 0) / list.length;
  const cells = ({ config, seed, before, after, steps, tokens, seconds }) =>
    `| ${config} | ${seed} | ${percent(before.t1)} / ${percent(before.greedy)} | ${percent(after.t1)} / ${percent(after.greedy)} ` +
    `| ${steps} | ${(tokens / 1000).toFixed(0)} | ${(seconds / 60).toFixed(1)} |`;
  const configs = [...new Set(rows.map(({ config }) => config))];
  const means = configs.map((config) => {
    const own = rows.filter((row) => row.config === config);
    return (
      `| ${config} | ${own[0].env} | ${own[0].start} | ${own[0].parameters.toLocaleString('en')} ` +
      `| ${percent(mean(own.map(({ before }) => before.t1)))} | ${percent(mean(own.map(({ after }) => after.t1)))} ` +
      `| ${percent(Math.min(...own.map(({ after }) => after.t1)))} |`
    );
  });
  return `# What the shipped configs learn

Written by \`npm run results\`: every file in configs/ but kuhn-poker (measured in its card), GRPO alone, no demonstration in the run. Each eval plays
${Math.max(...rows.map(({ examples }) => examples))} held-out tasks (wordle: all its words), once at temperature 1 and once greedily; shares of tasks solved, in percent. wiki-search asks
about names that never occur in training. A standard error is about 2.5 points near 50% and 1 near 95%.

| config | environment | starts from | parameters | T=1 before, mean | after, mean | after, worst seed |
|---|---|---|---|---|---|---|
${means.join('\n')}

Every run: T=1 / greedy before and after, steps of GRPO, thousands of tokens computed by sampler and trainer together,
minutes with both evals and those in between.

| config | seed | before | after | steps | tokens (k) | minutes |
|---|---|---|---|---|---|---|
${rows.map(cells).join('\n')}

Adapter: ${[...new Set(rows.map(({ adapter }) => adapter))].join('; ')}. Measured on ${[...new Set(rows.map(({ date }) => date))].join(', ')}.
The hashes of the trained weights are in bench/results/training.json.
`;
}
