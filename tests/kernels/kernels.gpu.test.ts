import { readFileSync, readdirSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { kernelChecks } from '../checks/kernels';
import { failures } from '../checks/report';
import { ORACLE_DIR, testGpu } from '../gpu';

/** Sources of every kernel that a check below has run. */
const sources = new Set<string>();

for (const check of kernelChecks) {
  it(check.name, async () => {
    const gpu = await testGpu();
    const compile = vi.spyOn(Object.getPrototypeOf(gpu) as typeof gpu, 'compile');
    const cases = await check.run(gpu, ORACLE_DIR);
    for (const [kernel] of compile.mock.calls) sources.add(kernel.source);
    compile.mockRestore();
    expect(cases.length).toBeGreaterThan(0);
    expect(failures(cases)).toEqual([]);
    if (process.env.SHOW)
      console.table(cases.sort((a, b) => b.error / b.tolerance - a.error / a.tolerance).slice(0, 8));
  });
}

it('every .wgsl file is part of a kernel that a check compares with its reference', () => {
  const folder = new URL('../../src/kernels/', import.meta.url);
  const files = readdirSync(folder).filter((file) => file.endsWith('.wgsl'));
  expect(files.length).toBeGreaterThan(20);
  const unchecked = files.filter((file) => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    return ![...sources].some((source) => source.includes(text));
  });
  expect(unchecked).toEqual([]);
});
