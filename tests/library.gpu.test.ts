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

/** Calls that a library whose types had come loose (an unresolved import is any) would let pass. */
const MISUSE = `
import { Gpu, Run, SingleTurnEnv, generated, resolveConfig } from 'terrarium';
// @ts-expect-error: settings are an object
resolveConfig('vowels');
// @ts-expect-error: a step count is a number
export const steps: string = resolveConfig({ env: 'vowels' }).grpo.steps;
// @ts-expect-error: an environment needs a dataset
new SingleTurnEnv({ name: 'vowels' });
// @ts-expect-error: a question is text
generated(() => ({ question: 7 }));
const gpu = await Gpu.acquire();
// @ts-expect-error: a device has no such method
gpu.aquire();
// @ts-expect-error: a run needs a device
await Run.create(undefined, resolveConfig({ env: 'vowels' }));
for await (const event of (await Run.create(gpu, resolveConfig({ env: 'vowels' }))).events()) {
  // @ts-expect-error: there is no such event
  if (event.event === 'stepp') break;
}
`;

it('the example of the README type-checks against the built types, and wrong calls do not', async () => {
  writeFileSync(join(FOLDER, 'misuse.ts'), MISUSE);
  const options = ['--strict', '--module', 'esnext', '--moduleResolution', 'bundler', '--target', 'es2022'];
  const files = ['--rootDir', FOLDER, '--outDir', FOLDER, join(FOLDER, 'example.ts'), join(FOLDER, 'misuse.ts')];
  // No --skipLibCheck: the library's own types are checked with them.
  const tsc = [join(ROOT, 'node_modules/typescript/bin/tsc'), '--ignoreConfig', ...options, ...files];
  const output = await run(process.execPath, tsc).then(
    () => '',
    (error: unknown) => (error as { stdout: string }).stdout,
  );
  expect(output).toBe('');
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
