/** @file `terrarium eval suite.toml`: runs a suite, or goes on with one, and writes its table. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { TomlError, parse as parseToml } from 'smol-toml';
import { SuiteError, formatSuiteCsv, formatSuiteMarkdown, parseSuite, runSuite, suiteTable } from '../src/envs';
import type { SuiteHost, SuiteResult } from '../src/envs';
import { loadEnvironment } from './env_package';
import { EvalProgressLine } from './eval_progress';
import { openModel } from './open_model';
import { userPath } from './paths';
import { diskStore } from './store';
import { oneLine } from './text';

/** True for an argument that names a suite instead of an environment. */
export function isSuite(argument: string): boolean {
  return argument.endsWith('.toml');
}

/**
 * Runs a suite into `<outputs>/suites/<file's name>/`: a folder of results per evaluation, table.csv and table.md.
 * @throws SuiteError
 */
export async function suiteCommand(file: string, outputs: string, json: boolean): Promise<void> {
  const entries = parseSuite(readToml(file), file);
  const folder = join(userPath(outputs), 'suites', basename(file, '.toml'));
  const controller = new AbortController();
  const interrupt = () => controller.abort(new Error('interrupted'));
  process.once('SIGINT', interrupt);
  const progress = new EvalProgressLine();
  const title = (entry: (typeof entries)[number]) =>
    oneLine(`${entries.indexOf(entry) + 1} of ${entries.length}: ${entry.environment} with ${entry.model}`, 80);
  const host: SuiteHost = {
    loadEnvironment: async ({ environment, envArgs }) => {
      const loaded = await loadEnvironment(environment, envArgs);
      if (loaded.folder !== undefined) {
        progress.say(`Running the code of ${loaded.folder}, which may do what you may.`);
      }
      return loaded;
    },
    openModel,
    store: ({ id }) => diskStore(join(folder, id)),
  };
  try {
    const results = await runSuite(entries, host, {
      signal: controller.signal,
      onProgress: (entry, report) => progress.show(title(entry), report),
      onResume: (entry, { kept, failed }) =>
        progress.say(`${title(entry)}: ${kept} rollouts are there, ${failed} had failed and run again.`),
      onResult: (done) => writeTable(folder, done),
    });
    progress.end();
    const table = suiteTable(results);
    process.stdout.write(json ? `${JSON.stringify(table)}\n` : formatSuiteMarkdown(table));
    process.stderr.write(`Saved to ${relative(process.cwd(), folder)}: table.csv, table.md, a folder per evaluation\n`);
    if (results.every(({ summary }) => summary.failed === summary.rollouts)) process.exitCode = 1;
  } catch (error) {
    progress.end();
    if (!controller.signal.aborted) throw error;
    process.stderr.write('Interrupted. The same command goes on.\n');
    process.exitCode = 130;
  } finally {
    process.removeListener('SIGINT', interrupt);
  }
}

/** After every evaluation: what is there can be looked at while the rest runs. */
function writeTable(folder: string, results: readonly SuiteResult[]): void {
  const table = suiteTable(results);
  writeFileSync(join(folder, 'table.csv'), formatSuiteCsv(table));
  writeFileSync(join(folder, 'table.md'), formatSuiteMarkdown(table));
}

function readToml(file: string): unknown {
  const path = userPath(file);
  if (!existsSync(path)) throw new SuiteError(`there is no file ${path}`);
  try {
    return parseToml(readFileSync(path, 'utf8'));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new SuiteError(`${file}, line ${error.line}: ${error.message.split('\n')[0]}`);
  }
}
