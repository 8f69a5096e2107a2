import { expect, it } from 'vitest';
import { generationChecks } from '../checks/generation';
import { failures } from '../checks/report';
import { ORACLE_DIR, testGpu } from '../gpu';

for (const check of generationChecks) {
  it(check.name, async () => {
    const cases = await check.run(await testGpu(), ORACLE_DIR);
    expect(failures(cases)).toEqual([]);
    if (process.env.SHOW) console.table(cases);
  });
}
