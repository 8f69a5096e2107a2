/** @file Golden cases run in verifiers' own code: ours must give the same, but for a short list with a reason each. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { envRewardCases } from './checks/verifiers_envs';
import { mathCases } from './checks/verifiers_math';
import { openaiCases } from './checks/verifiers_openai';
import { difflibCases, parsersCases } from './checks/verifiers_parsers';
import { passTableCases, passkCases } from './checks/verifiers_passk';
import { rolloutCases } from './checks/verifiers_rollouts';
import { rubricCases } from './checks/verifiers_rubric';
import { tokenCases } from './checks/verifiers_tokens';
import { toolCases } from './checks/verifiers_tools';
import type { GoldenCase } from './checks/golden';

const ROOT = process.env.ORACLE_DIR ?? new URL('./oracle', import.meta.url).pathname;
const DIR = join(ROOT, 'verifiers');
/** Where the exempt cases of the project's own copy are listed with their reasons. */
const TABLE = new URL('../docs/VERIFIERS.md', import.meta.url).pathname;

const CHECKS: Record<string, (dir: string) => GoldenCase[] | Promise<GoldenCase[]>> = {
  difflib: difflibCases,
  envs: envRewardCases,
  math: mathCases,
  openai: openaiCases,
  parsers: parsersCases,
  passk: passkCases,
  rollouts: rolloutCases,
  rubric: rubricCases,
  tokens: tokenCases,
  tools: toolCases,
};

const all: GoldenCase[] = [];

it.each(Object.entries(CHECKS))('verifiers: %s', async (_, check) => {
  const cases = await check(DIR);
  all.push(...cases);
  expect(cases.length).toBeGreaterThan(0);
  expect(cases.filter(({ ok }) => !ok)).toEqual([]);
});

it('at most 5% of the cases are exempt', () => {
  const { length } = all.filter(({ exempt }) => exempt !== undefined);
  expect(length / all.length).toBeLessThanOrEqual(0.05);
});

it('the exempt cases of our copy stand in one table, each with its reason', async () => {
  if (process.env.ORACLE_DIR) return; // another directory has other cases
  const lines = all.flatMap(({ file, id, exempt }) =>
    exempt === undefined ? [] : [`| ${file} | ${id} | ${exempt} |`],
  );
  const text = `# Golden cases of verifiers that are not compared

${all.length} cases were executed in upstream's own code (tests/oracle/verifiers); these ${lines.length} say nothing about ours: a newer
upstream contradicts them, they are traps that we avoid on purpose, or they are Python's printing of values. All others
are equal. The test \`tests/verifiers.unit.test.ts\` writes this table (with \`-u\`) and keeps it true.

| file | case | reason |
|---|---|---|
${lines.join('\n')}
`;
  await expect(text).toMatchFileSnapshot(TABLE);
});

it('pass@k and pass^k equal their own table', () => {
  const cases = passTableCases(ROOT);
  expect(cases.length).toBeGreaterThan(0);
  expect(cases.filter(({ ok }) => !ok)).toEqual([]);
});
