/** @file The scripts behind `npm run` that need a device, or what a device needs: set-up, start of a run, the GPU bundle. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Runs Node in the repository; rejects when it fails, with what it said. */
function node(args: string[], env: Record<string, string> = {}) {
  return promisify(execFile)(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...env } });
}

it('npm run train builds the command line, and standard output is the command’s alone', async () => {
  const { stdout } = await node(['scripts/terrarium.mjs', 'train', 'reverse-text', '--dry-run']);
  expect(JSON.parse(stdout)).toMatchObject({ env: 'reverse-text', seed: 1 });
});

it('where there is an adapter, no Chrome is looked for', async () => {
  const code = "import { ensureAdapter } from './scripts/setup.mjs'; ensureAdapter();";
  const nowhere = { PUPPETEER_EXECUTABLE_PATH: '/nowhere/chrome' };
  const { stdout, stderr } = await node(['--input-type=module', '-e', code], nowhere);
  expect(stdout).toBe('');
  expect(stderr).toContain('WebGPU adapter for Node: ');
});

it('the GPU bundle: checks run by name, and both trainers of the benchmark do the same work', async () => {
  await node(['scripts/bundle-gpu.mjs', '--no-pack']);
  const checks = await node(['dist/gpu/checks.mjs', '--only', 'AdamW']);
  expect(checks.stdout).toMatch(/ok {4}oracle: AdamW and clipping .*\nAll 1 checks passed\.\n$/);
  await expect(node(['dist/gpu/checks.mjs', '--only', 'AdamWW'])).rejects.toThrow('no check\'s name holds "AdamWW"');
  // It compares the losses of all steps itself, and fails when they differ.
  const bench = await node(['dist/gpu/bench.mjs', '--config', 'S', '--rounds', '1', '--steps', '1']);
  expect(bench.stdout).toMatch(/\nours +\d/);
  expect(bench.stdout).toMatch(/\njax-js +\d/);
  expect(bench.stdout).toMatch(/largest relative difference \d/);
});
