/** @file `bench.mjs`: ours beside everything else that trains or samples in a browser. */
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { acquireNodeGpu } from '../cli/dawn';
import { enableTuner } from '../src/kernels';
import { chooseAdapter } from './adapter';
import { Counters } from './counters';
import { benchDecode } from './decode';
import { formatEntry, problemsOf } from './entry';
import type { Entry, Report } from './entry';
import { goalsOf } from './goals';
import { benchGrpo } from './grpo';
import { describeMachine, machineLine } from './machine';
import { benchMatmul } from './matmul';
import type { Bench } from './measure';
import { USAGE, UsageError, parseOptions } from './options';
import type { BenchOptions } from './options';
import { addResult, resultName } from './results';
import { benchSteady } from './steady';
import { figure } from './table';
import { benchTrain } from './train';
import { argumentsOf, unitsOf } from './units';
import type { Unit } from './units';

const say = (line: string) => process.stderr.write(`${line}\n`);

async function main(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const units = unitsOf(options);
  if (units.length === 1) return runUnit(units[0]!, options);
  const failed = units.filter((unit) => {
    const line = [...process.execArgv, process.argv[1]!, ...argumentsOf(unit, options)];
    const { status, error } = spawnSync(process.execPath, line, { stdio: 'inherit' });
    if (error) throw error;
    return status !== 0;
  });
  if (failed.length === 0) return 0;
  say(`failed: ${failed.map(({ part, config = '' }) => `${part} ${config}`.trim()).join(', ')}`);
  return 1;
}

async function runUnit(unit: Unit, options: BenchOptions): Promise<number> {
  chooseAdapter(options.adapter, { coldCaches: !options.quick });
  const gpu = await acquireNodeGpu();
  await enableTuner(gpu, options.tunerMs === undefined ? {} : { budgetMs: options.tunerMs });
  const machine = describeMachine(gpu.adapterName);
  const bench: Bench = { gpu, counters: new Counters(gpu.device), machine, options, say };
  const entry: Entry = { ...(await measureUnit(unit, bench)), machine };
  process.stdout.write(`${machineLine(machine)}\n${formatEntry(entry)}`);
  const problems = problemsOf(entry);
  for (const problem of problems) say(problem);
  if (problems.length > 0) return 1;
  if (!options.quick) {
    for (const { what, wanted, measured, met } of goalsOf(entry)) {
      process.stdout.write(`${met ? 'met    ' : 'NOT MET'}  ${what}: ${figure(measured)}, wanted ${wanted}\n`);
    }
  }
  process.stdout.write('\n');
  if (options.json !== undefined) {
    const isFolder = statSync(options.json, { throwIfNoEntry: false })?.isDirectory() ?? false;
    addResult(isFolder ? join(options.json, resultName(machine.adapter)) : options.json, entry);
  }
  return 0;
}

async function measureUnit({ part, config }: Unit, bench: Bench): Promise<Report> {
  switch (part) {
    case 'train':
      return { part, report: await benchTrain(bench, config!) };
    case 'matmul':
      return { part, report: await benchMatmul(bench) };
    case 'decode':
      return { part, report: await benchDecode(bench, config!) };
    case 'grpo':
      return { part, report: await benchGrpo(bench) };
    case 'steady':
      return { part, report: await benchSteady(bench) };
  }
}

try {
  // Dawn keeps the process alive while its GPU object lives: leave explicitly.
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  if (!isUsage) throw error;
  say(`${(error as Error).message}\n\n${USAGE}`);
  process.exit(2);
}
