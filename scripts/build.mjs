/**
 * @file `npm run build`: the page as a static site for any sub-path (dist/site), the library with its types (dist/lib),
 * the command line (dist/cli). Fails when the JavaScript that a first visit loads exceeds its budget.
 */
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { ROOT, bin, ensurePackages, run, say } from './setup.mjs';

/** Compressed bytes of JavaScript on first load. */
const BUDGET = 300 * 1024;

process.chdir(ROOT);
ensurePackages();
const vite = (...args) => run(bin('vite'), ['build', '--logLevel', 'warn', ...args]);
vite();
vite('--mode', 'lib');
vite('--mode', 'cli');
rmSync(join(ROOT, 'dist/lib/types'), { recursive: true, force: true });
run(bin('tsc'), ['-p', 'tsconfig.lib.json']);

const assets = join(ROOT, 'dist/site/assets');
// Everything counts, the worker included, but for what is loaded lazily by design.
const scripts = readdirSync(assets).filter((name) => name.endsWith('.js') && !name.startsWith('lazy-'));
const bytes = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name))).byteLength, 0);
say(
  `First-load JavaScript: ${(bytes / 1024).toFixed(1)} KiB compressed in ${scripts.length} files (budget ${BUDGET / 1024} KiB).`,
);
if (bytes > BUDGET) throw new Error('The page loads more JavaScript than its budget allows.');
