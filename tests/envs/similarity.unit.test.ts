import { expect, it } from 'vitest';
import { sequenceRatio } from '../../src/envs';
import { readJsonFile } from '../checks/files';
import { ORACLE_DIR } from '../gpu';

it("similarity is difflib's ratio, on every golden case", () => {
  const { cases } = readJsonFile(ORACLE_DIR, 'verifiers', 'difflib.json') as {
    cases: { a: string; b: string; ratio: number }[];
  };
  expect(cases.length).toBeGreaterThan(100);
  for (const { a, b, ratio } of cases) expect(sequenceRatio(a, b)).toBeCloseTo(ratio, 9);
});
