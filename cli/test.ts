/** @file `terrarium test`: runs the tests of an environment's package with Node's own runner. */
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle, packagePath, withTemporary } from './env_package';
import { UsageError } from './usage_error';
import { userPath } from './paths';

export const TEST_USAGE = `terrarium test [environment]

  Runs the *.test.ts files of an environment's package: its name in environments/ or its path; by default the package
  whose npm script this is, or the folder one is in. Its code runs with your rights.
`;

export async function testCommand(args: string[]): Promise<void> {
  const { positionals } = parseArgs({ args, allowPositionals: true, options: {} });
  const script = process.env.npm_package_json;
  const folder =
    positionals[0] === undefined ? (script ? dirname(script) : userPath('.')) : packagePath(positionals[0]);
  if (folder === undefined) throw new UsageError(`${positionals[0]} is in the library: \`npm test\` tests it`);
  const files = statSync(folder).isDirectory()
    ? readdirSync(folder).filter((name) => /\.test\.(ts|js|mjs)$/.test(name))
    : [];
  if (files.length === 0) throw new UsageError(`${folder} holds no *.test.ts`);
  for (const file of files) {
    const code = await withTemporary(file, await bundle(join(folder, file)), runTests);
    if (code !== 0) process.exitCode = 1;
  }
}

function runTests(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--enable-source-maps', '--test-reporter=spec', '--test', path], {
      stdio: 'inherit',
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}
