/** @file `terrarium init`: a new environment as a package of its own, complete enough to be tested and evaluated at once. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { LIBRARY } from '../src/envs';
import { ENVIRONMENTS } from './env_package';
import { UsageError } from './usage_error';
import { ROOT, userPath } from './paths';
import { scaffold } from './scaffold';

export const INIT_USAGE = `terrarium init <name>

  Writes a new environment (code, card, test) to environments/<name>, or to <name> where that is a path such as
  ./my-env. It passes its own test; what to run is printed.
`;

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

export async function initCommand(args: string[]): Promise<void> {
  const { positionals } = parseArgs({ args, allowPositionals: true, options: {} });
  const [given, ...more] = positionals;
  if (given === undefined || more.length > 0) throw new UsageError('one name, please: `terrarium init my-env`');
  const isPath = /[/\\]/.test(given);
  const folder = userPath(isPath ? given : join(ENVIRONMENTS, given));
  const name = basename(folder);
  if (!NAME.test(name)) {
    throw new UsageError(
      `${JSON.stringify(name)} is no name for an environment: small letters and digits, with - between`,
    );
  }
  if (LIBRARY.some((entry) => entry.name === name)) {
    throw new UsageError(`the library already has an environment ${name}`);
  }
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new UsageError(`${folder} is there already, and not empty`);
  }
  const root = relative(folder, ROOT).split(sep).join('/');
  for (const [file, text] of scaffold(name, root)) {
    const path = join(folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  const inside = relative(process.cwd(), folder);
  const shown = inside.startsWith('..') ? folder : inside;
  const called = isPath ? (shown === folder ? folder : `./${shown}`) : name;
  process.stdout.write(
    [
      `${name} is in ${shown}:`,
      '  index.ts         tasks, rewards: begin with the reward functions',
      `  ${`${name}.test.ts`.padEnd(16)} a perfect player and a wrong one`,
      '  README.md        its card',
      '',
      'Test it, evaluate it (here the shipped starter, or any endpoint), look at the rollouts:',
      `  npm test --prefix ${shown}`,
      `  npm run eval -- ${called} -m starters/reverse-text -n 20 -r 2 -s`,
      `  npm run eval -- ${called} -b http://localhost:11434/v1 -m qwen3:0.6b -n 20 -s`,
      '  npm run view',
      '',
    ].join('\n'),
  );
  return Promise.resolve();
}
