/** @file An environment and a run's settings as a Python package that verifiers and prime-rl take. */
import { dirname, join } from 'node:path';
import { LIBRARY_VERSION, libraryEntry } from '../../src/envs';
import type { Environment } from '../../src/envs';
import type { TrainConfig } from '../../src/rl';
import { entryOf, loadEnvironment, packagePath } from '../env_package';
import { bundleRunner } from './bundle';
import type { EnvironmentSource } from './bundle';
import { formatRlToml, mapConfig } from './config';
import type { Unmapped } from './config';
import { nameModel } from './model_folder';
import { PYTHON, manifest, moduleName, packageId, pyproject, readme } from './package_files';
import { requireOneSeat, taskLines, toolsOf } from './tasks';
import { requireEmpty, writeFolder } from './write';

export interface ExportOptions {
  config: TrainConfig;
  /** A folder, or hub:OWNER/MODEL. */
  model: string;
  /** A new or empty folder; one in outputs/ unless given. */
  out?: string | undefined;
  /** Tasks at most; all, or some of an endless dataset, unless given. */
  trainTasks?: number | undefined;
  evalTasks?: number | undefined;
  /** Told the folder of an environment that is not ours before its code runs. */
  onForeignCode?: (folder: string) => void;
}

export interface Exported {
  id: string;
  module: string;
  out: string;
  bytes: number;
  tasks: { train: number; eval: number };
  unmapped: Unmapped[];
}

/** Examples that an eval takes where the environment does not say. */
const EVAL_EXAMPLES = 20;
const EVAL_ROLLOUTS = 3;

/**
 * Writes the package, whole or not at all.
 * @throws ExportError, EnvironmentPackageError, OutputError, DatasetError and what is wrong with the environment's options
 */
export async function exportPrimeRl(options: ExportOptions): Promise<Exported> {
  const { config } = options;
  const model = nameModel(options.model);
  if (options.out !== undefined) requireEmpty(options.out);
  const { env, source, version, defaults } = await open(config, options.onForeignCode);
  const id = packageId(env.name);
  const out = options.out ?? join('outputs/prime-rl', id);
  requireEmpty(out);
  await requireOneSeat(env);
  const tasks = {
    train: await taskLines(env, 'train', options.trainTasks),
    eval: await taskLines(env, 'eval', options.evalTasks),
  };
  const facts = {
    env,
    args: config.env_args,
    version,
    tasks,
    evalExamples: Math.min(defaults.numExamples ?? EVAL_EXAMPLES, tasks.eval.length),
    evalRollouts: defaults.rolloutsPerExample ?? EVAL_ROLLOUTS,
  };
  const mapping = mapConfig(config, { maxTokens: env.sampling.maxTokens, maxPositions: model.maxPositions });
  const module = moduleName(id);
  const files = new Map<string, string>([
    ['pyproject.toml', pyproject(facts)],
    ['README.md', readme(facts, model.name)],
    ['rl.toml', formatRlToml({ mapping, model, id, hasTools: toolsOf(env).length > 0 })],
    [join(module, 'data/manifest.json'), manifest(facts)],
    [join(module, 'data/train.jsonl'), `${tasks.train.join('\n')}\n`],
    [join(module, 'data/eval.jsonl'), `${tasks.eval.join('\n')}\n`],
  ]);
  for (const [name, text] of Object.entries(PYTHON)) files.set(join(module, name), text);
  for (const [name, text] of await bundleRunner(source, config.env_args)) files.set(join(module, 'node', name), text);
  await env.teardown();
  const bytes = writeFolder(out, files);
  const counts = { train: tasks.train.length, eval: tasks.eval.length };
  return { id, module, out, bytes, tasks: counts, unmapped: mapping.unmapped };
}

interface Opened {
  env: Environment;
  source: EnvironmentSource;
  version: string;
  defaults: { numExamples?: number; rolloutsPerExample?: number };
}

/** The environment, of the library or a package of its own. */
async function open(
  { env: name, env_args: args }: TrainConfig,
  onForeignCode?: (folder: string) => void,
): Promise<Opened> {
  const version = LIBRARY_VERSION.split(' ').at(-1)!;
  if (name.includes('+'))
    return { env: libraryEntry(name).load(args), source: { library: name }, version, defaults: {} };
  const path = packagePath(name);
  if (path === undefined) {
    const { env } = await loadEnvironment(name, args);
    return { env, source: { library: name }, version, defaults: {} };
  }
  const entry = entryOf(path);
  onForeignCode?.(dirname(entry));
  const loaded = await loadEnvironment(name, args);
  return { env: loaded.env, source: { entry }, version: loaded.version ?? version, defaults: loaded.defaults };
}
