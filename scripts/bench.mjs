/**
 * @file `npm run bench -- ...`: builds the benchmark when its sources have changed, then runs it. Without --json and --quick
 * the figures go into bench/results, one file per adapter. `--write-docs` writes docs/PERFORMANCE.md from there instead.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT, buildOnce, ensurePackages, run } from './setup.mjs';

const BENCH = ['bench/*.ts', 'bench/*/*.ts', 'bench/*/*.wgsl', 'bench/package-lock.json', 'scripts/bundle.mjs'];
const SOURCES = ['src', 'cli', 'tests/onnx', 'package-lock.json', ...BENCH];

process.chdir(ROOT);
ensurePackages();
ensurePackages(join(ROOT, 'bench'));

const args = process.argv.slice(2);
const [name, file] = args.includes('--write-docs') ? ['docs', 'bench/docs/main.ts'] : ['bench', 'bench/main.ts'];
const folder = 'dist/bench';
const program = `${folder}/${name}.mjs`;
buildOnce(program, SOURCES, () => {
  run(process.execPath, ['scripts/bundle.mjs', folder, `${name}=${file}`], { stdio: ['ignore', 2, 2] });
});
const rest = args.filter((argument) => argument !== '--write-docs');
const keeps = name === 'bench' && !['--json', '--quick', '--help'].some((option) => args.includes(option));
if (keeps) rest.push('--json', 'bench/results');
const { status, error } = spawnSync(process.execPath, [program, ...rest], { stdio: 'inherit' });
if (error) throw error;
process.exit(status ?? 1);
