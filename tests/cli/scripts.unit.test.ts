/** @file The scripts behind `npm run`: what they say where, the budget of the page, the limit of the pipeline. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'terrarium-scripts-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Runs a line of a script's own language in the repository. */
function script(code: string) {
  return spawnSync(process.execPath, ['--input-type=module', '-e', code], { cwd: ROOT, encoding: 'utf8' });
}

it('installing packages says nothing on standard output, which belongs to the command', () => {
  // One dependency, a folder beside it: nothing is downloaded.
  const folder = join(scratch, 'package');
  mkdirSync(join(folder, 'part'), { recursive: true });
  const part = { name: 'part', version: '1.0.0' };
  const about = { name: 'whole', version: '1.0.0', dependencies: { part: 'file:part' } };
  const packages = { '': about, part, 'node_modules/part': { resolved: 'part', link: true } };
  writeFileSync(join(folder, 'part/package.json'), JSON.stringify(part));
  writeFileSync(join(folder, 'package.json'), JSON.stringify(about));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ ...about, lockfileVersion: 3, packages }));
  const install = `import { ensurePackages } from './scripts/setup.mjs'; ensurePackages(${JSON.stringify(folder)});`;
  const { status, stdout, stderr } = script(install);
  expect(status, stderr).toBe(0);
  expect(stdout).toBe('');
  expect(stderr).toContain(`Installing npm packages in ${folder}`);
  expect(stderr).toContain('added 1 package');
  // The second time there is nothing to do.
  expect(script(install)).toMatchObject({ status: 0, stdout: '', stderr: '' });
});

it.each([
  [295_000, true],
  [301_000, false],
])('%i bytes of JavaScript on first load: within the budget, %s', (bytes, allowed) => {
  const site = join(scratch, `site-${bytes}`);
  const assets = join(site, 'assets');
  mkdirSync(assets, { recursive: true });
  writeFileSync(join(site, 'index.html'), '<script type="module" src="./assets/index-1.js"></script>');
  // Random bytes do not compress; what is imported later does not count.
  const filler = (count: number) =>
    `//${randomBytes(count)
      .toString('latin1')
      .replaceAll(/[\n\r]/g, ' ')}\n`;
  const write = (name: string, ...parts: string[]) => writeFileSync(join(assets, name), parts.join(''), 'latin1');
  write('index-1.js', 'import{a as b}from"./shared-1.js";import("./later-1.js");', filler(bytes - 150_000));
  write('shared-1.js', filler(50_000));
  write('worker-1.js', filler(100_000));
  write('later-1.js', filler(500_000));
  const check = `import { checkFirstLoad } from './scripts/first_load.mjs'; checkFirstLoad(${JSON.stringify(assets)});`;
  const { status, stderr } = script(check);
  expect(status === 0, stderr).toBe(allowed);
  expect(stderr).toContain('in 3 files (budget 300.0 kB)');
});

it('the pipeline may take 45 minutes, where that can be enforced', () => {
  const echo = '#!/bin/sh\necho "$(basename "$0") $*, CI=$CI"\n';
  const pipeline = (name: string, ...programs: string[]) => {
    const path = join(scratch, name);
    mkdirSync(path);
    for (const program of programs) writeFileSync(join(path, program), echo, { mode: 0o755 });
    for (const tool of ['dirname', 'basename']) {
      const place = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim();
      symlinkSync(place, join(path, tool));
    }
    const env = { PATH: path };
    return spawnSync('/bin/sh', [join(ROOT, '.ci/run')], { env, encoding: 'utf8' }).stdout;
  };
  expect(pipeline('with', 'npm', 'timeout')).toBe('timeout 2700 npm test, CI=true\n');
  expect(pipeline('without', 'npm')).toBe('npm test, CI=true\n');
});
