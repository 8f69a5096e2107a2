/** @file `npm run train -- ...`: builds the command line when its sources have changed, then runs it. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT, buildOnce, ensurePackages, bin, run } from './setup.mjs';

process.chdir(ROOT);
ensurePackages();
const output = 'dist/cli/main.js';
buildOnce(output, ['src', 'cli', 'vite.config.ts', 'package-lock.json'], () =>
  run(bin('vite'), ['build', '--mode', 'cli', '--logLevel', 'warn'], { stdio: ['ignore', 2, 2] }),
);
await import(pathToFileURL(join(ROOT, output)).href);
