/** @file `terrarium train`: a run in the terminal. */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse as parseToml } from 'smol-toml';
import { libraryEntry } from '../src/envs';
import { encodeJson } from '../src/model';
import { DEFAULT_LIMITS, NoAdapterError } from '../src/kernels';
import { ConfigError, Run, memoryTable, parseAssignment, resolveConfig } from '../src/rl';
import type { ConfigLayer, ModelSources, TrainConfig } from '../src/rl';
import { acquireNodeGpu } from './dawn';
import { diskFolder, starterFolder } from './files';
import { OutputFolder } from './output';
import { ProgressLine } from './progress';
import { runToEnd } from './run_loop';

export const TRAIN_USAGE = `terrarium train <environment> [options]

  --seed N             decides every random number (default 1)
  --config FILE        settings from a TOML file; may be given more than once, later files win
  --set KEY=VALUE      one setting, such as --set grpo.lr=1e-3; wins over files
  --json               one JSON object per event on standard output, nothing else (npm run -s: npm prints there, too)
  --out DIR            write the trained model to this new or empty folder, as Hugging Face does, with metrics.jsonl and
                       run.json; a run that is interrupted or fails leaves what it had learned
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
      'dry-run': { type: 'boolean', default: false },
    },
  });
  if (positionals.length > 1) throw new ConfigError(`one environment at a time: ${positionals.join(', ')}`);
  const layers: ConfigLayer[] = values.config.map(readToml);
  if (positionals[0] !== undefined) layers.push({ env: positionals[0] });
  layers.push(...values.set.map(parseAssignment));
  if (values.seed !== undefined) layers.push(parseAssignment(`seed=${values.seed}`));
  const config = resolveConfig(...layers);
  libraryEntry(config.env);
  if (values['dry-run']) {
    process.stdout.write(`${JSON.stringify(config, null, 2)}\n`);
    process.stderr.write(await describeMemory(config));
    return;
  }
  const output = values.out === undefined ? undefined : OutputFolder.take(values.out);
  try {
    await train(config, { json: values.json, output });
  } finally {
    output?.release();
  }
}

const SOURCES: ModelSources = {
  starter: (env) => Promise.resolve(starterFolder(env)),
  folder: (path) => Promise.resolve(diskFolder(path)),
};

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
  return memoryTable(await Run.plan(limits, config, SOURCES), device);
}

/** Trains, shows it, and leaves in the output what there is at the end, however the run ended. */
async function train(config: TrainConfig, { json, output }: { json: boolean; output: OutputFolder | undefined }) {
  const interruption = listen();
  const progress = new ProgressLine();
  const { error, step, model, metrics } = await runToEnd({
    config,
    acquire: () => acquireNodeGpu(),
    sources: SOURCES,
    signal: interruption.signal,
    onMetric: (metric) => {
      if (json) process.stdout.write(`${JSON.stringify(metric)}\n`);
      if (!json || metric.event === 'recovered') progress.show(metric, config.grpo.steps);
    },
  });
  if (output) {
    const files = new Map<string, Uint8Array>(model);
    files.set('run.json', encodeJson(config));
    files.set('metrics.jsonl', new TextEncoder().encode(metrics.map((each) => `${JSON.stringify(each)}\n`).join('')));
    output.write(files);
    const what = model ? `Model after step ${step}` : 'Metrics, and no model,';
    process.stderr.write(`${what} written to ${output.path}\n`);
  }
  if (!error) return;
  if (!interruption.signal.aborted) throw error;
  const { why, code } = interruption.signal.reason as Interruption;
  process.stderr.write(`${why} after step ${step}.\n`);
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
  if (!existsSync(path)) throw new ConfigError(`--config ${path}: no such file`);
  try {
    return parseToml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`--config ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
