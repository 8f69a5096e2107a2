/** @file The scripts behind `npm run` that need a device, or what a device needs: set-up, start of a run, the GPU bundle. */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The native module of Dawn's package for this machine. */
const DAWN = join(
  ROOT,
  'node_modules/webgpu/dist',
  process.platform === 'darwin' ? 'darwin-universal' : `${process.platform}-${process.arch}`,
  'dawn.node',
);

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

it('the GPU bundle: checks run by name', async () => {
  await node(['scripts/bundle-gpu.mjs', '--no-pack']);
  const checks = await node(['dist/gpu/checks.mjs', '--only', 'oracle: AdamW']);
  expect(checks.stdout).toMatch(/ok {4}oracle: AdamW and clipping .*\nAll 1 checks passed\.\n$/);
  await expect(node(['dist/gpu/checks.mjs', '--only', 'AdamWW'])).rejects.toThrow('no check\'s name holds "AdamWW"');
});

// What takes the time is compiling everybody's kernels.
it('the GPU bundle: every part of the benchmark runs, and ours does the same work as its peers', async () => {
  // It compares losses, products and tokens itself, and fails when they differ.
  const { stdout } = await node(['dist/gpu/bench.mjs', '--quick']);
  for (const name of ['ours', 'jax-js', 'tfjs']) expect(stdout).toMatch(new RegExp(`\n${name} +\\d`));
  expect(stdout.match(/losses differ by \d/g)).toHaveLength(2);
  expect(stdout.match(/\n(NT|NN|TN) \d+ x \d+ x \d+ .* \d/g)).toHaveLength(3);
  expect(stdout).toMatch(/\nover jax-js: geometric mean \d/);
  expect(stdout).toMatch(/\none stream over transformers\.js: tokens per second \d/);
  expect(stdout).toMatch(/\ngreedy sequences that are right: ours 5, transformers\.js \d of 5\n/);
  expect(stdout.match(/\n\d groups +\d/g)).toHaveLength(2);
  expect(stdout).toMatch(/\n16 tokens .* 1 +0 +0\n/); // one submit, nothing created, no byte more
}, 600_000);

it('the benchmark in a single file runs where there is no npm, and says who is missing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-bundle-'));
  try {
    copyFileSync(join(ROOT, 'dist/gpu/bench.mjs'), join(folder, 'bench.mjs'));
    const dawn = { DAWN_NODE: DAWN };
    const { stdout } = await node([join(folder, 'bench.mjs'), '--quick', '--only', 'decode'], dawn);
    expect(stdout).toMatch(/\nours +\d/);
    expect(stdout).toMatch(/@huggingface\/transformers .* not installed here .*: ours is measured alone\n/);
    await expect(node([join(folder, 'bench.mjs'), '--only', 'trian'], dawn)).rejects.toThrow(
      '--only trian: some of train,',
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
