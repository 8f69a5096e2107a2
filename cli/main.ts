/** @file The command line: `terrarium <command> ...`. */
import { nodeWorker, provideSandboxWorker } from '../src/envs';
import { EVAL_USAGE, evalCommand } from './eval';
import { EXPORT_USAGE, exportCommand } from './export';
import { INIT_USAGE, initCommand } from './init';
import { MODELS_USAGE, modelsCommand } from './models';
import { RUNS_USAGE, runsCommand } from './runs';
import { STARTERS_USAGE, startersCommand } from './starters';
import { TEST_USAGE, testCommand } from './test';
import { TRAIN_USAGE, trainCommand } from './train';
import { VIEW_USAGE, viewCommand } from './view';

const COMMANDS: Record<string, { run: (args: string[]) => Promise<void>; usage: string }> = {
  train: { run: trainCommand, usage: TRAIN_USAGE },
  runs: { run: runsCommand, usage: RUNS_USAGE },
  models: { run: modelsCommand, usage: MODELS_USAGE },
  eval: { run: evalCommand, usage: EVAL_USAGE },
  export: { run: exportCommand, usage: EXPORT_USAGE },
  view: { run: viewCommand, usage: VIEW_USAGE },
  init: { run: initCommand, usage: INIT_USAGE },
  test: { run: testCommand, usage: TEST_USAGE },
  starters: { run: startersCommand, usage: STARTERS_USAGE },
};

async function main([name, ...args]: string[]): Promise<number> {
  const command = name === undefined ? undefined : COMMANDS[name];
  if (!command || args.includes('--help')) {
    const usage = Object.values(COMMANDS).map((each) => each.usage);
    process.stdout.write(`${(command ? [command.usage] : usage).join('\n')}\n`);
    return command ? 0 : 2;
  }
  try {
    await command.run(args);
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    process.stderr.write(`${describe(error)}\n`);
    return 1;
  }
}

/** What the user can mend is one line; anything else is a bug and shows where it happened. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) return error.message;
  const isBug = ['Error', 'TypeError', 'RangeError', 'ReferenceError'].includes(error.name);
  return isBug ? (error.stack ?? error.message) : `${error.name}: ${error.message}`;
}

// Built beside this file.
provideSandboxWorker(() => nodeWorker(new URL('./sandbox-worker.js', import.meta.url)));

// Dawn keeps the process alive while its GPU object lives: leave explicitly.
process.exit(await main(process.argv.slice(2)));
