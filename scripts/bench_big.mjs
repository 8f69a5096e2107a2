/** @file `npm run bench:big -- ...`: builds the benchmark of large models when its sources have changed, then runs it. */
import { spawnSync } from 'node:child_process';
import { ROOT, buildOnce, ensureAdapter, ensurePackages, run } from './setup.mjs';

process.chdir(ROOT);
ensurePackages();
ensureAdapter();
const sources = ['src', 'cli', 'bench/big', 'package-lock.json', 'scripts/bundle.mjs'];
buildOnce('dist/bench/big.mjs', sources, () => {
  run(process.execPath, ['scripts/bundle.mjs', 'dist/bench', 'big=bench/big/main.ts'], { stdio: ['ignore', 2, 2] });
});
const { status, error } = spawnSync(process.execPath, ['dist/bench/big.mjs', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
if (error) throw error;
process.exit(status ?? 1);
