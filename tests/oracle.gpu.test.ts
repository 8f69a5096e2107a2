import { expect, it } from 'vitest';
import { entropyCheck, lossesCheck } from './checks/oracle_losses';
import { backwardCheck, cacheCheck, forwardCheck } from './checks/oracle_model';
import { adamwCheck, samplingCheck } from './checks/oracle_optim';
import { failures } from './checks/report';
import { ORACLE_DIR, testGpu } from './gpu';

for (const check of [forwardCheck, cacheCheck, backwardCheck, lossesCheck, entropyCheck, adamwCheck, samplingCheck]) {
  it(check.name, async () => {
    const cases = await check.run(await testGpu(), ORACLE_DIR);
    expect(cases.length).toBeGreaterThan(0);
    expect(failures(cases)).toEqual([]);
    if (process.env.SHOW)
      console.table(cases.sort((a, b) => b.error / b.tolerance - a.error / a.tolerance).slice(0, 8));
  });
}
