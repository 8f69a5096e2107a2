/** @file Everything that code in a sandbox may try, in Node. tests/e2e/sandbox.e2e.test.ts has the same list in Chromium. */
import { afterAll, expect, it } from 'vitest';
import { SandboxHost } from '../../../src/envs';
import { HOSTILE } from './cases';
import { complaint } from './contained';

const host = new SandboxHost();
afterAll(() => host.close());

const neighbour = host.open();

it.each(HOSTILE)('$name', { timeout: 60_000 }, async (hostile) => {
  await neighbour.run('globalThis.kept ??= 0; kept++');
  const sandbox = host.open();
  const result = await sandbox.run(hostile.code);
  expect(complaint(hostile, result)).toBeUndefined();
  // The sandbox goes on, the one beside it has noticed nothing, and this thread's own objects are as they were.
  expect((await sandbox.run('1 + 5')).value).toBe('6');
  const { value } = await neighbour.run('[kept > 0, typeof {}.value, [1, 2].slice(1)].join()');
  expect(value).toBe('true,undefined,2');
  expect([({} as { value?: unknown }).value, [3].slice(0), JSON.stringify({ a: 1 })]).toEqual([
    undefined,
    [3],
    '{"a":1}',
  ]);
  await sandbox.dispose();
});
