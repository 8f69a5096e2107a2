import { expect, it } from 'vitest';
import { kernelChecks } from '../checks/kernels';
import { failures } from '../checks/report';
import { ORACLE_DIR, testGpu } from '../gpu';

for (const check of kernelChecks) {
  it(check.name, async () => {
    const cases = await check.run(await testGpu(), ORACLE_DIR);
    expect(cases.length).toBeGreaterThan(0);
    expect(failures(cases)).toEqual([]);
  });
}
