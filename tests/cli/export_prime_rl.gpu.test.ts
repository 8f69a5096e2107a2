/** @file `terrarium export prime-rl` as a user runs it: the built program, in a process of its own. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { libraryEntry } from '../../src/envs';
import { terrarium } from './program';
import { HERE, python } from './prime_rl/python';
import { playHere } from './prime_rl/reference';
import type { PlayedRollout } from './prime_rl/reference';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-'));
afterAll(() => rmSync(scratch, { recursive: true }));

it('the built program writes a package that plays', async () => {
  const folder = join(scratch, 'code-math');
  const model = ['--model', 'starters/code-math-mini'];
  const { code, out, err } = await terrarium(['export', 'prime-rl', 'code-math-mini', ...model, '--out', folder]);
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain(`terrarium-code-math-mini is in ${folder} (`);
  const references = await Promise.all([0, 1, 2, 3].map((i) => playHere(libraryEntry('code-math-mini').load(), i)));
  const input = JSON.stringify(references.map(({ scripted }) => scripted));
  const played = await python([join(HERE, 'play.py'), folder, 'terrarium_code_math_mini'], { input });
  expect(played.code, played.err).toBe(0);
  expect(JSON.parse(played.out) as PlayedRollout[]).toEqual(references.map((reference) => reference.played));
});

it('what is wrong is one line, and the exit code says so', async () => {
  const folder = join(scratch, 'never');
  const args = ['export', 'prime-rl', 'code-math-mini', '--model', join(scratch, 'no-model'), '--out', folder];
  const { code, out, err } = await terrarium(args);
  expect([code, out]).toEqual([1, '']);
  expect(err).toMatch(/^ExportError: --model .*no-model: there is no folder .*\n$/);
  expect(existsSync(folder)).toBe(false);
});
