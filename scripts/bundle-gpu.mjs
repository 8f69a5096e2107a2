/**
 * @file `npm run bundle:gpu`: checks and benchmark as single files in dist/gpu, and, where `xz` is at hand, everything
 * that a Linux machine with a GPU but without npm needs to run them (dist/gpu/bundle). `--no-pack` leaves the latter out.
 *
 * There:  ./unpack && DAWN_NODE=bin/dawn.node bin/node app/checks.mjs
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from './bundle.mjs';
import { ROOT, ensurePackages, run, say } from './setup.mjs';

const OUT = join(ROOT, 'dist/gpu');
const ENTRIES = {
  checks: 'bench/checks.ts',
  bench: 'bench/main.ts',
  rollouts: 'bench/rollouts.ts',
  overlap: 'bench/overlap.ts',
  variants: 'bench/variants.ts',
  steady: 'bench/steady/thousand_steps.ts',
};
const DAWN = join(ROOT, 'node_modules/webgpu/dist/linux-x64/dawn.node');

/** Makes bin/node and bin/dawn.node beside itself; says Node's version as a proof that it runs here. */
const UNPACK = `#!/bin/sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/bin"
for file in node dawn.node; do
  [ -s "$here/bin/$file" ] && continue
  xz -dc "$here/$file.xz" >"$here/bin/$file.part"
  mv "$here/bin/$file.part" "$here/bin/$file"
done
chmod +x "$here/bin/node"
"$here/bin/node" --version
`;

process.chdir(ROOT);
ensurePackages();
ensurePackages(join(ROOT, 'bench'));
rmSync(OUT, { recursive: true, force: true });

await bundle(ENTRIES, OUT);
cpSync(join(ROOT, 'tests/oracle'), join(OUT, 'oracle'), { recursive: true });
for (const name of Object.keys(ENTRIES)) say(`dist/gpu/${name}.mjs: ${size([join(OUT, `${name}.mjs`)])}`);

const missing = [
  [!process.argv.includes('--no-pack'), '--no-pack was given'],
  [process.platform === 'linux' && process.arch === 'x64', 'this is not Linux on x64, whose Node would go in'],
  [existsSync(DAWN), `${DAWN} is missing`],
  [spawnSync('xz', ['--version']).status === 0, 'there is no xz'],
].find(([there]) => !there);
if (missing) say(`No bundle for machines without npm: ${missing[1]}.`);
else pack(join(OUT, 'bundle'));

function pack(folder) {
  mkdirSync(join(folder, 'app'), { recursive: true });
  for (const name of Object.keys(ENTRIES)) cpSync(join(OUT, `${name}.mjs`), join(folder, 'app', `${name}.mjs`));
  cpSync(join(OUT, 'oracle'), join(folder, 'app/oracle'), { recursive: true });
  const node = compress(realpathSync(process.execPath), join(folder, 'node.xz'));
  const dawn = compress(DAWN, join(folder, 'dawn.node.xz'));
  const script = join(folder, 'unpack');
  writeFileSync(script, UNPACK);
  chmodSync(script, 0o755);
  const app = spawnSync('du', ['-sk', join(folder, 'app')], { encoding: 'utf8' }).stdout.split('\t')[0];
  say(`dist/gpu/bundle: ${size([node, dawn, script], Number(app) * 1024)} (Node ${process.version}, Dawn, app)`);
}

function compress(file, target) {
  run('sh', ['-c', 'xz -T0 -6 -c "$1" >"$2"', 'sh', file, target]);
  return target;
}

function size(files, more = 0) {
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, more);
  return bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(0)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
