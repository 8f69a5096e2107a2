/**
 * @file `npm run build`: the page as a static site for any sub-path (dist/site), the library with its types (dist/lib),
 * the command line (dist/cli). Fails when the JavaScript that a first visit loads exceeds its budget.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkFirstLoad } from './first_load.mjs';
import { ROOT, bin, ensurePackages, run } from './setup.mjs';

process.chdir(ROOT);
ensurePackages();
const vite = (...args) => run(bin('vite'), ['build', '--logLevel', 'warn', ...args]);
vite();
vite('--mode', 'lib');
vite('--mode', 'cli');
rmSync(join(ROOT, 'dist/lib/types'), { recursive: true, force: true });
run(bin('tsc'), ['-p', 'tsconfig.lib.json']);

checkFirstLoad(join(ROOT, 'dist/site/assets'));
