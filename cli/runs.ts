/** @file `terrarium runs`: lists, compares, forks, deletes, exports and imports runs. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  ConfigError,
  RunFolderError,
  compareTraining,
  exportRun,
  forkRun,
  importRun,
  parseAssignment,
  readAbout,
  readArchive,
  readRunRecord,
  removeRun,
  summarizeRun,
} from '../src/rl';
import type { RunSummary, TrainingComparison } from '../src/rl';
import { formatBytes } from '../src/kernels';
import { confirm } from './confirm';
import { writeMerged } from './merge';
import { OutputError, cannotWrite } from './output';
import { userPath } from './paths';
import { requireNew, runAt } from './run_folder';
import { columns, oneLine } from './text';

export const RUNS_USAGE = `terrarium runs <command>

  list [FOLDER]                    the runs in a folder (default runs): environment, steps, evals, date, size
  compare DIR DIR ...              settings that differ, evals and rewards side by side
  fork DIR --out NEW [--step N] [--set KEY=VALUE ...]
                                   a new run from a checkpoint of another, with other settings; go on with it by
                                   terrarium train --resume NEW
  delete DIR [--yes]               removes a run; asks first
  export DIR [FILE.zip]            the whole run as one file
  export DIR [NEW] --merge [--step N]
                                   the adapter of a run with LoRA, merged into its base: a whole model in a new folder
                                   (default <run>-merged), from the run's end or the checkpoint of a step
  import FILE.zip [--out NEW]      checks such a file and unpacks it (default runs/<name>)
`;

export async function runsCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      step: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
      yes: { type: 'boolean', default: false },
      merge: { type: 'boolean', default: false },
    },
  });
  const [command = '', ...paths] = positionals;
  const only = (count: number, what: string) => {
    if (paths.length !== count) throw new ConfigError(`runs ${command}: name ${what}`);
  };
  switch (command) {
    case 'list':
      if (paths.length > 1) throw new ConfigError('runs list: name one folder');
      return list(paths[0] ?? 'runs');
    case 'compare':
      if (paths.length < 2) throw new ConfigError('runs compare: name two runs or more');
      return compare(paths);
    case 'fork':
      only(1, 'one run to fork from');
      if (values.out === undefined) throw new ConfigError('runs fork: --out names the folder of the new run');
      return fork(paths[0]!, values.out, stepOf(values.step), values.set);
    case 'delete':
      only(1, 'one run');
      return remove(paths[0]!, values.yes);
    case 'export':
      if (paths.length < 1 || paths.length > 2) throw new ConfigError('runs export: name one run, and a file for it');
      if (values.merge) return merge(paths[0]!, paths[1] ?? `${nameOf(paths[0]!)}-merged`, stepOf(values.step));
      return exportTo(paths[0]!, paths[1] ?? `${nameOf(paths[0]!)}.zip`);
    case 'import':
      only(1, 'one file');
      return importFrom(paths[0]!, values.out);
    default:
      throw new ConfigError(`runs ${command}: there are list, compare, fork, delete, export and import`);
  }
}

/** A run's name: that of its folder. */
function nameOf(path: string): string {
  return basename(userPath(path));
}

function stepOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new ConfigError(`--step ${text}: a number of steps`);
  return Number(text);
}

async function list(path: string): Promise<void> {
  const folder = userPath(path);
  if (!existsSync(folder)) throw new RunFolderError(`${path}: there is no such folder`);
  const isRun = existsSync(join(folder, 'run.json'));
  const names = isRun ? ['.'] : readdirSync(folder).filter((name) => existsSync(join(folder, name, 'run.json')));
  if (names.length === 0) throw new RunFolderError(`${path} holds no run`);
  const runs: RunSummary[] = [];
  for (const name of names.sort()) runs.push(await summarizeRun(runAt(join(path, name)), isRun ? nameOf(path) : name));
  process.stdout.write(describeList(runs));
}

const percent = (share: number | undefined) => (share === undefined ? '-' : `${(100 * share).toFixed(1)}%`);

function describeList(runs: readonly RunSummary[]): string {
  const rows = runs.map((run) => {
    const { about, step, newest, finished, bytes } = run;
    if (!about) return [run.id, run.problem ?? '', '', '', '', '', '', formatBytes(bytes)];
    const parent = about.parent ? ` (fork of ${about.parent.run} at ${about.parent.step})` : '';
    return [
      run.id,
      about.environment.name + parent,
      String(about.seed),
      `${step}/${about.config.grpo.steps}`,
      finished ? 'finished' : 'unfinished',
      `${percent(newest?.t1)} / ${percent(newest?.greedy)}`,
      about.created.slice(0, 16).replace('T', ' '),
      formatBytes(bytes),
    ];
  });
  return table([['run', 'environment', 'seed', 'step', '', 'T=1 / greedy', 'created', 'size'], ...rows]);
}

async function compare(paths: readonly string[]): Promise<void> {
  const runs = [];
  for (const path of paths) runs.push(await readRunRecord(runAt(path), nameOf(path)));
  process.stdout.write(describeComparison(compareTraining(runs)));
}

/** Longest text in a cell. */
const CELL = 60;

function table(rows: readonly string[][]): string {
  return `${columns(rows.map((row) => row.map((cell) => oneLine(cell, CELL))))}\n`;
}

/** Steps of the rewards that are shown. */
const SHOWN_STEPS = 12;

function describeComparison({ ids, settings, steps, evals, rewards, hashes }: TrainingComparison): string {
  const text = (value: unknown) =>
    value === undefined ? '-' : typeof value === 'string' ? value : JSON.stringify(value);
  const rows: string[][] = settings.map(({ key, values }) => [key, ...values.map(text)]);
  rows.push(['steps', ...steps.map(String)]);
  rows.push(['T=1', ...evals.t1.map(percent)], ['greedy', ...evals.greedy.map(percent)]);
  rows.push(['weights', ...hashes.map((hash) => hash?.slice(0, 16) ?? '-')]);
  const last = Math.max(...rewards.map((each) => each.length));
  const stride = Math.ceil(last / SHOWN_STEPS);
  for (let step = 1; step <= last; step += stride) {
    rows.push([`reward, step ${step}`, ...rewards.map((each) => each[step - 1]?.toFixed(3) ?? '-')]);
  }
  return table([['', ...ids], ...rows]);
}

async function fork(path: string, out: string, step: number | undefined, set: readonly string[]): Promise<void> {
  requireNew(out);
  const layers = set.map(parseAssignment);
  const { parent } = await forkRun(runAt(path), runAt(out), { parentName: nameOf(path), step, layers });
  process.stdout.write(
    `${out} forked from step ${parent!.step} of ${path}; go on with: terrarium train --resume ${out}\n`,
  );
}

async function remove(path: string, yes: boolean): Promise<void> {
  const storage = runAt(path);
  const { about, step, bytes, problem } = await summarizeRun(storage, nameOf(path));
  if (!about && !existsSync(join(userPath(path), 'run.json'))) throw new RunFolderError(problem);
  const what = about ? `${about.environment.name}, seed ${about.seed}, ${step} steps, ` : '';
  if (!yes && !(await confirm(`Delete ${path} (${what}${formatBytes(bytes)})?`))) {
    process.stderr.write('Nothing was deleted.\n');
    process.exitCode = 1;
    return;
  }
  const foreign = await removeRun(storage);
  if (foreign.length > 0) process.stderr.write(`${path} also holds ${foreign.join(', ')}, which stays.\n`);
}

async function exportTo(path: string, file: string): Promise<void> {
  const target = userPath(file);
  if (existsSync(target)) throw new OutputError(`${file} is there already; choose another name`);
  const bytes = await exportRun(runAt(path), nameOf(path));
  try {
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(`${target}.part`, bytes);
    renameSync(`${target}.part`, target);
  } catch (error) {
    throw cannotWrite(file, error);
  }
  process.stdout.write(`${file}: ${formatBytes(bytes.byteLength)}\n`);
}

async function merge(path: string, out: string, step: number | undefined): Promise<void> {
  const { adapter, base } = await writeMerged(path, nameOf(path), out, step);
  process.stdout.write(`${out}: ${adapter} merged into ${base}\n`);
}

async function importFrom(file: string, out: string | undefined): Promise<void> {
  const path = userPath(file);
  if (!existsSync(path)) throw new RunFolderError(`${file}: there is no such file`);
  const { id, run } = await readArchive(new Uint8Array(readFileSync(path)), file);
  const target = out ?? join('runs', id);
  requireNew(target);
  await importRun(run, runAt(target));
  const { config } = await readAbout(run);
  process.stdout.write(`${target}: ${config.env}, seed ${config.seed}\n`);
}
