/** @file What the README promises to somebody who uses the package: the example type-checks and trains, as written. */
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Inside the package, where its own name leads to dist/lib as it would for a dependent. */
const FOLDER = join(ROOT, 'dist/example');
const run = promisify(execFile);

beforeAll(() => {
  mkdirSync(FOLDER, { recursive: true });
  const example = /```ts\n([^]*?)```/.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))![1]!;
  writeFileSync(join(FOLDER, 'example.ts'), example);
});
afterAll(() => rmSync(FOLDER, { recursive: true }));

it('the example of the README type-checks against the built types', async () => {
  const options = [
    '--strict',
    '--module',
    'esnext',
    '--moduleResolution',
    'bundler',
    '--target',
    'es2022',
    '--skipLibCheck',
  ];
  const files = ['--rootDir', FOLDER, '--outDir', FOLDER, '--types', '@webgpu/types', join(FOLDER, 'example.ts')];
  await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '--ignoreConfig', ...options, ...files]);
});

it('the example of the README trains', async () => {
  // In a browser navigator.gpu is there; in Node it is Dawn's.
  const start = join(FOLDER, 'start.mjs');
  writeFileSync(
    start,
    `import { create } from 'webgpu';
     Object.defineProperty(globalThis, 'navigator', { value: { gpu: create([]) } });
     await import('./example.js');
     process.exit(0);`,
  );
  const { stdout } = await run(process.execPath, [start]);
  const rewards = stdout
    .trim()
    .split('\n')
    .map((line) => Number(line.split(' ')[1]));
  expect(rewards).toHaveLength(12);
  expect(rewards.at(-1)!).toBeGreaterThan(rewards[0]! + 0.3);
});
