/**
 * @file `npm test`: sets up what is missing, then type-checks, lints, builds and runs every test.
 * With a name it runs one part: unit, gpu, oracle or e2e.
 */
import { join } from 'node:path';
import { ROOT, bin, buildOnce, ensureAdapter, ensureChrome, ensurePackages, ensurePython, run, say } from './setup.mjs';

process.chdir(ROOT);
ensurePackages();
ensurePackages(join(ROOT, 'bench'));

const SOURCES = ['src', 'demo', 'cli', 'starters', 'vite.config.ts', 'package-lock.json', 'tsconfig.json'];
const build = () => buildOnce('dist/site/index.html', SOURCES, () => run(process.execPath, ['scripts/build.mjs']));
const vitest = (...args) => run(bin('vitest'), ['run', ...args]);

const PARTS = {
  types: () => {
    run(bin('tsc'), ['--noEmit']);
    run(bin('tsc'), ['--noEmit', '-p', 'bench']);
    run(bin('svelte-check'), ['--tsconfig', './tsconfig.json', '--fail-on-warnings', '--output', 'human']);
  },
  lint: () => {
    run(bin('eslint'), ['.']);
    run(bin('prettier'), ['--check', '--log-level', 'warn', '.']);
  },
  build,
  unit: () => {
    ensurePython();
    vitest('--project', 'unit');
  },
  gpu: () => {
    ensureAdapter();
    build();
    vitest('--project', 'gpu');
  },
  oracle: () => {
    ensureAdapter();
    vitest('--project', 'gpu', 'tests/oracle.gpu.test.ts');
    vitest('--project', 'unit', 'tests/verifiers.unit.test.ts', 'tests/tokenizers.unit.test.ts');
  },
  e2e: () => {
    ensureChrome();
    build();
    vitest('--project', 'e2e');
  },
};

const ALL = ['types', 'lint', 'build', 'unit', 'gpu', 'e2e'];
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !(name in PARTS));
if (unknown) throw new Error(`no part "${unknown}"; there are ${Object.keys(PARTS).join(', ')}`);
for (const name of asked.length > 0 ? asked : ALL) {
  const started = Date.now();
  say(`\n=== ${name}`);
  PARTS[name]();
  say(`=== ${name}: ${((Date.now() - started) / 1000).toFixed(0)} s`);
}
say('\nAll passed.');
