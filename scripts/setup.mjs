/**
 * @file What a fresh machine needs, installed and said plainly: npm packages; for tests also a Chromium and a Vulkan driver.
 * Only Node's own modules are used here, since nothing else may be there yet.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm';

/** Says what is being done, on standard error: standard output belongs to the command that is being prepared. */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

/** Runs a command, its output shown; throws with the command when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', ...options });
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`failed (${result.status ?? result.signal}): ${command} ${args.join(' ')}`);
}

/** A program of an installed npm package. */
export function bin(name) {
  return join(ROOT, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name);
}

function quietly(command, args, options = {}) {
  return spawnSync(command, args, { cwd: ROOT, encoding: 'utf8', ...options });
}

/** Installs npm packages when they are missing or the lock file has changed. */
export function ensurePackages(folder = ROOT) {
  const lock = join(folder, 'package-lock.json');
  const stamp = join(folder, 'node_modules', '.terrarium-lock');
  const wanted = createHash('sha256').update(readFileSync(lock)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  say(`Installing npm packages in ${folder} (npm ci) ...`);
  run(NPM, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, stdio: ['ignore', 2, 2] });
  writeFileSync(stamp, wanted);
}

const CHROME_PLACES = {
  linux: ['/usr/bin/google-chrome', '/usr/bin/google-chrome-stable', '/usr/bin/chromium', '/usr/bin/chromium-browser'],
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ],
  win32: ['C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe'],
};

/** A Chrome or Chromium that is on the machine, if any. */
function findChrome() {
  const named = process.env.PUPPETEER_EXECUTABLE_PATH;
  if (named) {
    if (!existsSync(named)) throw new Error(`PUPPETEER_EXECUTABLE_PATH names ${named}, which does not exist`);
    return named;
  }
  return [...(CHROME_PLACES[process.platform] ?? []), ...puppeteerChromes()].find((path) => existsSync(path));
}

/** What puppeteer has downloaded, newest first. */
function puppeteerChromes() {
  const cache = join(process.env.PUPPETEER_CACHE_DIR ?? join(homedir(), '.cache', 'puppeteer'), 'chrome');
  if (!existsSync(cache)) return [];
  const inner = [
    'chrome-linux64/chrome',
    'chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
  ];
  const versions = readdirSync(cache).sort().reverse();
  return versions.flatMap((version) => inner.map((path) => join(cache, version, path)));
}

/**
 * Finds a Chrome, or gets one: puppeteer's download, then apt as root.
 * @returns its path, which is also put into PUPPETEER_EXECUTABLE_PATH
 */
export function ensureChrome() {
  let path = findChrome();
  if (!path) {
    say('No Chrome or Chromium found: downloading one with puppeteer ...');
    const download = quietly(bin('puppeteer'), ['browsers', 'install', 'chrome'], { timeout: 300_000 });
    path = download.status === 0 ? findChrome() : undefined;
    if (!path) say('The download did not succeed.');
  }
  if (!path && canUseApt()) {
    say('Installing chromium with apt-get (as root) ...');
    apt(['update', '-qq']);
    apt(['install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-dejavu-core']);
    path = findChrome();
  }
  if (!path) {
    throw new Error(
      'There is no Chrome or Chromium. Install one (Debian: sudo apt-get install chromium), ' +
        'or name it in PUPPETEER_EXECUTABLE_PATH.',
    );
  }
  process.env.PUPPETEER_EXECUTABLE_PATH = path;
  say(`Chrome: ${path}`);
  return path;
}

/** Python 3.11 or newer, which the tests of exported packages run: their stdlib is all they need. */
export function ensurePython() {
  const version = () => /^Python 3\.(\d+)/.exec(quietly('python3', ['--version']).stdout ?? '')?.[1];
  if (version() === undefined && canUseApt()) {
    say('Installing python3 with apt-get (as root) ...');
    apt(['update', '-qq']);
    apt(['install', '-y', '-qq', '--no-install-recommends', 'python3']);
  }
  const minor = version();
  if (minor === undefined || Number(minor) < 11) {
    throw new Error(
      `The tests of exported Python packages need python3 >= 3.11, ${minor === undefined ? 'and there is none' : `this is 3.${minor}`}. ` +
        'Install it (Debian: sudo apt-get install python3; Mac: brew install python).',
    );
  }
}

function canUseApt() {
  return process.platform === 'linux' && process.getuid?.() === 0 && quietly('apt-get', ['--version']).status === 0;
}

function apt(args) {
  run('apt-get', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
}

/** The adapter that Dawn finds in a fresh process, or undefined. */
function adapterName() {
  const code = `
    const { create } = await import('webgpu');
    globalThis.keep = create([]);
    const adapter = await keep.requestAdapter();
    if (adapter) console.log('ADAPTER ' + (adapter.info.description || adapter.info.vendor));
    process.exit(0);`;
  const result = quietly(process.execPath, ['--input-type=module', '-e', code], { timeout: 60_000 });
  return /ADAPTER (.*)/.exec(result.stdout ?? '')?.[1];
}

/** SwiftShader's Vulkan manifest beside a Chrome, if it is there. */
function swiftShader(chrome) {
  const places = [join(chrome, '..', 'vk_swiftshader_icd.json'), '/usr/lib/chromium/vk_swiftshader_icd.json'];
  return places.find((path) => existsSync(path));
}

/**
 * Makes sure that Node has a WebGPU adapter: a GPU's driver, else Mesa's lavapipe (24 or newer), else SwiftShader of a
 * Chrome, which is only looked for then. Apt's sources are touched in CI and in root containers only.
 */
export function ensureAdapter() {
  let name = adapterName();
  if (!name && process.platform === 'linux') {
    const { packages, prepare, commands } = lavapipePlan();
    if (canUseApt() && isDisposable()) {
      say('No Vulkan driver found: installing Mesa lavapipe with apt-get (as root) ...');
      try {
        prepare();
        apt(['update', '-qq']);
        apt(['install', '-y', '-qq', '--no-install-recommends', ...packages]);
        name = adapterName();
      } catch (error) {
        say(`That did not succeed: ${error.message}`);
      }
    } else if (!name) {
      say('No Vulkan driver found. For faster GPU tests install Mesa 24 or newer (lavapipe):');
      for (const command of commands) say(`    ${command}`);
    }
  }
  if (!name && process.platform === 'linux') {
    say('Falling back on the SwiftShader that comes with Chrome ...');
    const manifest = swiftShader(ensureChrome());
    if (manifest) {
      process.env.VK_ICD_FILENAMES = manifest;
      name = adapterName();
    }
  }
  if (!name) throw new Error('No WebGPU adapter: the GPU tests cannot run. Install a Vulkan driver (see above).');
  say(`WebGPU adapter for Node: ${name}`);
}

/** CI, or root inside a container: a system that nobody minds changing. */
function isDisposable() {
  if (process.env.CI) return true;
  if (existsSync('/.dockerenv') || existsSync('/run/.containerenv')) return true;
  return existsSync('/proc/1/cgroup') && /docker|lxc|kubepods|containerd/.test(readFileSync('/proc/1/cgroup', 'utf8'));
}

/** How to get a recent lavapipe here. Debian 12's own Mesa is too old; its backports have a newer one. */
function lavapipePlan() {
  const packages = ['libvulkan1', 'mesa-vulkan-drivers'];
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  if (!/^VERSION_CODENAME=bookworm$/m.test(release)) {
    return { packages, prepare: () => undefined, commands: [`sudo apt-get install ${packages.join(' ')}`] };
  }
  const source = debianSource();
  const line = `deb ${source ?? '<your Debian mirror>'} bookworm-backports main`;
  const list = '/etc/apt/sources.list.d/terrarium-backports.list';
  return {
    packages: ['-t', 'bookworm-backports', ...packages],
    prepare: () => {
      if (!source) throw new Error('no Debian source found in /etc/apt');
      say(`Adding to ${list}: bookworm-backports of this machine's own Debian mirror`);
      mkdirSync('/etc/apt/sources.list.d', { recursive: true });
      writeFileSync(list, `${line}\n`);
    },
    commands: [
      `echo '${line}' | sudo tee ${list}`,
      'sudo apt-get update',
      `sudo apt-get install -t bookworm-backports ${packages.join(' ')}`,
    ],
  };
}

/** The mirror that this machine's apt uses for Debian itself, with its signing key where one is named. */
function debianSource() {
  const folder = '/etc/apt/sources.list.d';
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const file of ['/etc/apt/sources.list', ...files]) {
    if (!existsSync(file) || !/\.(list|sources)$/.test(file) || file.includes('terrarium')) continue;
    const text = readFileSync(file, 'utf8').replaceAll(/^#.*$/gm, '');
    for (const stanza of text.split(/\n\s*\n/)) {
      const suites = /^Suites:(.*)$/m.exec(stanza)?.[1].trim().split(/\s+/).includes('bookworm');
      const uri = /^URIs:\s*(\S+)/m.exec(stanza)?.[1];
      const key = /^Signed-By:\s*(\S+)/m.exec(stanza)?.[1];
      if (suites && uri) return key ? `[signed-by=${key}] ${uri}` : uri;
    }
    const line = /^deb\s+(\[[^\]]*\]\s+)?(\S+)\s+bookworm\s/m.exec(text);
    if (line) return `${line[1] ?? ''}${line[2]}`;
  }
  return undefined;
}

/** Runs `build` unless `output` was made from exactly these sources (git paths). */
export function buildOnce(output, sources, build) {
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', ...sources], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const hash = createHash('sha256');
  for (const file of files.split('\n').filter((name) => name && existsSync(join(ROOT, name)))) {
    hash.update(file).update(readFileSync(join(ROOT, file)));
  }
  const stamp = join(ROOT, `${output}.sources`);
  const wanted = hash.digest('hex');
  if (existsSync(join(ROOT, output)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  build();
  writeFileSync(stamp, wanted);
}
