import { expect, it } from 'vitest';
import { envRewardCases } from '../../checks/verifiers_envs';
import { join } from 'node:path';
import { ORACLE_DIR } from '../../gpu';

it("rewards are those of verifiers' environments, on every golden transcript", async () => {
  const cases = await envRewardCases(join(ORACLE_DIR, 'verifiers'));
  expect(cases.length).toBeGreaterThan(250);
  expect(cases.filter(({ ok }) => !ok)).toEqual([]);
  const exempt = cases.filter((golden) => golden.exempt !== undefined);
  expect(exempt.length).toBeLessThan(0.05 * cases.length);
});
