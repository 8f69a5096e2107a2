/** @file Golden cases run in verifiers' own code: ours must give the same, but for a short list with a reason each. */
import { expect, it } from 'vitest';
import { rubricCases } from './checks/verifiers_rubric';
import { tokenCases } from './checks/verifiers_tokens';
import { toolCases } from './checks/verifiers_tools';
import type { GoldenCase } from './checks/golden';

const DIR = `${process.env.ORACLE_DIR ?? new URL('./oracle', import.meta.url).pathname}/verifiers`;

const CHECKS: Record<string, (dir: string) => GoldenCase[] | Promise<GoldenCase[]>> = {
  rubric: rubricCases,
  tokens: tokenCases,
  tools: toolCases,
};

it.each(Object.entries(CHECKS))('verifiers: %s', async (_, check) => {
  const cases = await check(DIR);
  expect(cases.length).toBeGreaterThan(0);
  expect(cases.filter(({ ok }) => !ok)).toEqual([]);
});
