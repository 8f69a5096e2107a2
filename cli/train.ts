/** @file `terrarium train`: a run in the terminal. */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse as parseToml } from 'smol-toml';
import { libraryEntry } from '../src/envs';
import { DEFAULT_LIMITS, NoAdapterError } from '../src/kernels';
import { ConfigError, Run, RunStore, memoryTable, parseAssignment, readRunRecord, resolveConfig } from '../src/rl';
import type { ConfigLayer, Metric, ModelSources, RunSnapshot, TrainConfig } from '../src/rl';
import { acquireNodeGpu } from './dawn';
import { MODEL_SOURCES } from './hub';
import { ProgressLine } from './progress';
import { runAt, takeNewRun } from './run_folder';
import { runToEnd } from './run_loop';

export const TRAIN_USAGE = `terrarium train <environment | config.toml> [options]

  --seed N             decides every random number (default 1)
  --config FILE        settings from a TOML file; may be given more than once, later files win
  --set KEY=VALUE      one setting, such as --set grpo.lr=1e-3; wins over files
  --json               one JSON object per event on standard output, nothing else (npm run -s: npm prints there, too)
  --out DIR            keep the run in this new or empty folder: settings, metrics, rollouts, checkpoints, and at the end
                       (also when it is interrupted or fails) the model, laid out as Hugging Face does
  --resume DIR         go on with a run that was interrupted, killed or lost its device: the weights at the end are,
                       bit for bit, those of a run that never stopped
  --dry-run            print the resolved settings on standard output and, on standard error, the memory that the run
                       would take of the GPU; then stop
`;

export async function trainCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      seed: { type: 'string' },
      config: { type: 'string', multiple: true, default: [] },
      set: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
      out: { type: 'string' },
      resume: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
    },
  });
  const { json, out } = values;
  if (values.resume !== undefined) {
    const { seed, 'dry-run': dry } = values;
    const given = [...positionals, ...values.config, ...values.set];
    if (given.length > 0 || seed !== undefined || out !== undefined || dry) {
      throw new ConfigError('--resume goes on with the settings that the run has; `terrarium runs fork` changes some');
    }
    return resume(values.resume, json);
  }
  const [env, ...others] = positionals.filter((given) => !given.endsWith('.toml'));
  if (others.length > 0) throw new ConfigError(`one environment at a time: ${[env, ...others].join(', ')}`);
  const files = [...positionals.filter((given) => given.endsWith('.toml')), ...values.config];
  const layers: ConfigLayer[] = files.map(readToml);
  if (env !== undefined) layers.push({ env });
  layers.push(...values.set.map(parseAssignment));
  if (values.seed !== undefined) layers.push(parseAssignment(`seed=${values.seed}`));
  const config = resolveConfig(...layers);
  libraryEntry(config.env);
  if (values['dry-run']) {
    process.stdout.write(`${JSON.stringify(config, null, 2)}\n`);
    process.stderr.write(await describeMemory(config));
    return;
  }
  const taken = out === undefined ? undefined : await takeNewRun(out, config);
  try {
    await train(config, { json, store: taken?.store });
  } finally {
    await taken?.release();
  }
}

/** Goes on with a run of this folder. */
async function resume(path: string, json: boolean): Promise<void> {
  const storage = runAt(path);
  const { finished, step } = await readRunRecord(storage, path);
  if (finished) {
    process.stderr.write(`${path} is finished: ${step} steps, and nothing is left to do\n`);
    return;
  }
  const { store, about, snapshot, sources, metrics, problems } = await RunStore.open(storage);
  try {
    libraryEntry(about.config.env);
    for (const problem of problems) process.stderr.write(`${problem}\n`);
    process.stderr.write(
      snapshot
        ? `Going on with ${path} from step ${snapshot.step}\n`
        : `${path} had not come to a checkpoint: it starts over\n`,
    );
    await train(about.config, {
      json,
      store,
      snapshot,
      earlier: metrics,
      sources: sources(MODEL_SOURCES),
      adapter: about.adapter,
    });
  } finally {
    await store.release();
  }
}

interface TrainOptions {
  json: boolean;
  store: RunStore | undefined;
  snapshot?: RunSnapshot | undefined;
  /** What happened up to it. */
  earlier?: readonly Metric[];
  sources?: ModelSources | undefined;
  /** The GPU that the run was started on. */
  adapter?: string;
}

/** The memory that a run would take, as a table; found out without taking it. */
async function describeMemory(config: TrainConfig): Promise<string> {
  let limits = DEFAULT_LIMITS;
  let device = 'no adapter here: the least that every WebGPU device allows is assumed';
  try {
    const gpu = await acquireNodeGpu();
    limits = gpu.device.limits;
    device = gpu.adapterName;
  } catch (error) {
    if (!(error instanceof NoAdapterError)) throw error;
  }
  return memoryTable(await Run.plan(limits, config, MODEL_SOURCES), device);
}

/** Trains, shows it, and keeps what there is at the end, however the run ended. */
async function train(
  config: TrainConfig,
  { json, store, snapshot, earlier, sources = MODEL_SOURCES, adapter }: TrainOptions,
) {
  const interruption = listen();
  const progress = new ProgressLine();
  const { error, step, model } = await runToEnd({
    config,
    acquire: () => acquireNodeGpu(),
    sources,
    store,
    resume: snapshot,
    earlier,
    signal: interruption.signal,
    onMetric: (metric) => {
      if (json) process.stdout.write(`${JSON.stringify(metric)}\n`);
      if (!json || metric.event === 'recovered') progress.show(metric, config.grpo.steps);
      if (metric.event === 'start' && adapter !== undefined && adapter !== metric.adapter) {
        process.stderr.write(`The run was started on ${adapter}: on ${metric.adapter} its numbers may differ\n`);
      }
    },
  });
  if (store) {
    const what = model ? `Model after step ${step}` : 'Metrics, and no model,';
    process.stderr.write(`${what} written to ${store.storage.name}\n`);
  }
  if (!error) return;
  if (!interruption.signal.aborted) throw error;
  const { why, code } = interruption.signal.reason as Interruption;
  const goOn = store ? `; go on with --resume ${store.storage.name}` : '';
  process.stderr.write(`${why} after step ${step}${goOn}.\n`);
  process.exitCode = code;
}

/** Why a run was ended from outside, and what a shell expects as exit code then. */
interface Interruption {
  why: string;
  code: number;
}

/** Aborts when the run is asked to end: by a signal (a second one kills), or because nobody reads its output any more. */
function listen(): AbortController {
  const controller = new AbortController();
  const stop = (why: string, code: number) => () => controller.abort({ why, code } satisfies Interruption);
  process.once('SIGINT', stop('Interrupted', 130));
  process.once('SIGTERM', stop('Terminated', 143));
  process.stdout.on('error', stop('Nobody reads the output: stopped', 141));
  return controller;
}

function readToml(path: string): ConfigLayer {
  if (!existsSync(path)) throw new ConfigError(`${path}: no such file`);
  try {
    return parseToml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
