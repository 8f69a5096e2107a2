/** @file `terrarium export prime-rl`: an environment and a run's settings for a cluster. */
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { parseArgs } from 'node:util';
import { TomlError, parse as parseToml } from 'smol-toml';
import { formatBytes } from '../src/kernels';
import { ConfigError, parseAssignment, resolveConfig } from '../src/rl';
import type { ConfigLayer } from '../src/rl';
import { ROOT, userPath } from './paths';
import { exportPrimeRl, formatUnmapped } from './prime_rl';
import type { Exported } from './prime_rl';
import { UsageError } from './usage_error';

export const EXPORT_USAGE = `terrarium export prime-rl <environment> --model MODEL [options]

  Writes a Python package with the environment, its tasks and an rl.toml, for verifiers and prime-rl. Its rewards run in
  Node, by the same code as here.

  <environment>       a name in the library, one in environments/, or the path of a package, whose code runs with your rights
  --model MODEL       what is to be trained: a folder with config.json, safetensors and a tokenizer, or hub:OWNER/MODEL
  --config FILE       settings from a TOML file; may be given more than once, later files win
  --set KEY=VALUE     one setting, such as --set grpo.lr=1e-6; wins over files
  --out DIR           a new or empty folder (default outputs/prime-rl/terrarium-<environment>)
  --train-tasks N     tasks to train on (default: all, or 1000 of an endless dataset)
  --eval-tasks N      tasks to evaluate on (default: all, or 200 of an endless dataset)
`;

export async function exportCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      model: { type: 'string' },
      config: { type: 'string', multiple: true, default: [] },
      set: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
      'train-tasks': { type: 'string' },
      'eval-tasks': { type: 'string' },
    },
  });
  const [format, env, ...more] = positionals;
  if (format !== 'prime-rl') throw new UsageError(`export ${format ?? ''}: there is one format, prime-rl`);
  if (env === undefined || more.length > 0)
    throw new UsageError('one environment, please: `export prime-rl wiki-search`');
  if (values.model === undefined) throw new UsageError('--model: which model is to be trained?');
  const config = resolveConfig(...values.config.map(readToml), { env }, ...values.set.map(parseAssignment));
  const exported = await exportPrimeRl({
    config,
    model: values.model,
    out: values.out,
    trainTasks: countIn('--train-tasks', values['train-tasks']),
    evalTasks: countIn('--eval-tasks', values['eval-tasks']),
    onForeignCode: (folder) => process.stderr.write(`Running the code of ${folder}, which may do what you may.\n`),
  });
  process.stdout.write(describe(exported));
}

function describe({ id, out, bytes, tasks, unmapped }: Exported): string {
  const folder = userPath(out);
  const inside = relative(ROOT, folder);
  const shown = inside.startsWith('..') ? folder : inside;
  return [
    `${id} is in ${shown} (${formatBytes(bytes)}): ${tasks.train} tasks to train on, ${tasks.eval} to evaluate on.`,
    '',
    'Settings that prime-rl has no place for:',
    ...formatUnmapped(unmapped).map((line) => `  ${line}`),
    '',
    'In the Python environment of prime-rl, with Node.js 20 or newer on the PATH:',
    `  uv pip install -e ${shown}`,
    `  vf-eval ${id} -m MODEL -b http://localhost:8000/v1 -n 20 -r 3`,
    `  uv run rl @ ${shown}/rl.toml`,
    '',
  ].join('\n');
}

function countIn(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count === 0) {
    throw new UsageError(`${flag} ${text}: a whole number above 0`);
  }
  return count;
}

function readToml(file: string): ConfigLayer {
  const path = userPath(file);
  if (!existsSync(path)) throw new ConfigError(`${file}: no such file`);
  try {
    return parseToml(readFileSync(path, 'utf8'));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new ConfigError(`${file}, line ${error.line}: ${error.message.split('\n')[0]}`);
  }
}
