/** @file `bench.mjs`: training tokens per second, ours beside jax-js. */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { acquireNodeGpu } from '../cli/dawn';
import { Weights, initialValues } from '../src/model';
import { CONFIGS } from './configs';
import type { BenchConfig } from './configs';
import { Counters } from './counters';
import { createJax } from './jax';
import { createOurs } from './ours';
import { LOSS_TOLERANCE, formatReport, makeReport } from './report';
import { runTrainers } from './run';
import type { Entry } from './run';

const USAGE = `node bench.mjs [options]

  --config S|M|L    model and batch (default S)
  --rounds N        rounds of the interleaving
  --steps N         measured steps per trainer and round
  --only ours|jax   one trainer alone
  --json FILE       write every figure there
`;

const SEED = 1;

async function main(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: 'string', default: 'S' },
      rounds: { type: 'string' },
      steps: { type: 'string' },
      only: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const preset = CONFIGS[values.config];
  if (values.help || !preset || ![undefined, 'ours', 'jax'].includes(values.only)) {
    process.stderr.write(USAGE);
    return values.help ? 0 : 2;
  }
  const config: BenchConfig = {
    ...preset,
    rounds: count('--rounds', values.rounds) ?? preset.rounds,
    steps: count('--steps', values.steps) ?? preset.steps,
  };

  // Drivers keep compiled shaders on disk: without this the first step would depend on what ran yesterday.
  process.env.MESA_SHADER_CACHE_DISABLE ??= 'true';
  process.env.__GL_SHADER_DISK_CACHE ??= '0';
  const gpu = await acquireNodeGpu();
  const weights = await Weights.create(gpu, config.model);
  const initial = initialValues(weights, SEED);
  weights.destroy();

  const entries: Entry[] = [
    { name: 'ours', create: () => createOurs(gpu, config, initial) },
    { name: 'jax-js', create: () => createJax(gpu.device, config, initial) },
  ].filter(({ name }) => values.only === undefined || name.startsWith(values.only));
  const results = await runTrainers(config, entries, {
    counters: new Counters(gpu.device),
    idle: () => gpu.idle(),
    onProgress: (line) => process.stderr.write(`${line}\n`),
  });

  const machine = {
    adapter: gpu.adapterName,
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: cpus().length,
  };
  const report = makeReport(machine, config, results);
  process.stdout.write(formatReport(report));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  if (report.lossDifference !== undefined && !(report.lossDifference <= LOSS_TOLERANCE)) {
    process.stderr.write(`The losses differ by more than ${LOSS_TOLERANCE}: this was not the same work.\n`);
    return 1;
  }
  return 0;
}

function count(option: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  const value = Number(given);
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`${option} ${given}: not a whole number above 0`);
  return value;
}

// Dawn keeps the process alive while its GPU object lives: leave explicitly.
process.exit(await main(process.argv.slice(2)));
