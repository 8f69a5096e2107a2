/** @file `terrarium train`: a run in the terminal. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parse as parseToml } from 'smol-toml';
import { libraryEntry } from '../src/envs';
import { ConfigError, Run, parseAssignment, resolveConfig } from '../src/rl';
import type { ConfigLayer, RunEvent } from '../src/rl';
import { acquireNodeGpu } from './dawn';
import { encodeJson } from '../src/model';
import { diskFolder, starterFolder, writeFolder } from './files';
import { ProgressLine } from './progress';

export const TRAIN_USAGE = `terrarium train <environment> [options]

  --seed N             decides every random number (default 1)
  --config FILE        settings from a TOML file; may be given more than once, later files win
  --set KEY=VALUE      one setting, such as --set grpo.lr=1e-3; wins over files
  --json               one JSON object per event on standard output, nothing else
  --out DIR            write the trained model there as a Hugging Face folder, with metrics.jsonl and config.json
  --dry-run            print the resolved settings and stop
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
    return;
  }
  if (values.out !== undefined && existsSync(join(values.out, 'model.safetensors'))) {
    throw new ConfigError(`--out ${values.out} already holds a model; choose another folder`);
  }

  const gpu = await acquireNodeGpu();
  const run = await Run.create(gpu, config, {
    starter: (env) => Promise.resolve(starterFolder(env)),
    folder: (path) => Promise.resolve(diskFolder(path)),
  });
  const controller = new AbortController();
  const interrupt = () => controller.abort(new Error('interrupted'));
  process.once('SIGINT', interrupt);
  const progress = new ProgressLine();
  const lines: string[] = [];
  let step = 0;
  try {
    for await (const event of run.events({ signal: controller.signal })) {
      const line = JSON.stringify(withoutDetail(event));
      lines.push(line);
      if (event.event === 'step') step = event.step;
      if (values.json) process.stdout.write(`${line}\n`);
      else progress.show(event, config.grpo.steps);
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    process.stderr.write(`Interrupted after step ${step}.\n`);
    process.exitCode = 130;
  }
  try {
    if (values.out !== undefined) {
      const files = await run.policy.export();
      files.set('run.json', encodeJson(config));
      files.set('metrics.jsonl', new TextEncoder().encode(`${lines.join('\n')}\n`));
      writeFolder(values.out, files);
      process.stderr.write(`Model written to ${values.out}\n`);
    }
  } finally {
    process.removeListener('SIGINT', interrupt);
    run.destroy();
    gpu.destroy();
  }
}

/** Rollouts are not part of the metrics. */
function withoutDetail(event: RunEvent): unknown {
  return event.event === 'step' ? { ...event, groups_detail: undefined } : event;
}

function readToml(path: string): ConfigLayer {
  if (!existsSync(path)) throw new ConfigError(`--config ${path}: no such file`);
  try {
    return parseToml(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`--config ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
