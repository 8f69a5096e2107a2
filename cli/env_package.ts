/**
 * @file Environments by name or by path. One by path is a package of its own: TypeScript that exports `loadEnvironment`.
 * It is bundled and imported into this process: it may do what the user may, so only code that one trusts belongs here.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Plugin, Rolldown } from 'vite';
import { LIBRARY } from '../src/envs';
import type { Environment } from '../src/envs';
import { ROOT, userPath } from './paths';

/** Where `terrarium init` puts environments, and where they are found by name. */
export const ENVIRONMENTS = 'environments';

export interface LoadedEnvironment {
  env: Environment;
  /** Folder of a package; undefined for the library's own. */
  folder?: string;
  version?: string;
  /** What the package wants to be evaluated with. */
  defaults: { numExamples?: number; rolloutsPerExample?: number };
}

/** A package that cannot be loaded. */
export class EnvironmentPackageError extends Error {
  override name = 'EnvironmentPackageError';
}

/** The folder or file that a name or path means; undefined for an environment of the library. */
export function packagePath(name: string): string | undefined {
  if (LIBRARY.some((entry) => entry.name === name)) return undefined;
  const isName = !/[/\\]/.test(name);
  const places = [
    ...(isName ? [userPath(join(ENVIRONMENTS, name)), join(ROOT, ENVIRONMENTS, name)] : []),
    userPath(name),
  ];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  const known = LIBRARY.map((entry) => entry.name).join(', ');
  throw new EnvironmentPackageError(
    `there is no environment "${name}": it is none of the library (${known}), and nothing lies at ${places.join(' or ')}`,
  );
}

/**
 * Loads an environment.
 * @param args for its `loadEnvironment`
 * @throws EnvironmentPackageError
 */
export async function loadEnvironment(name: string, args: Record<string, unknown>): Promise<LoadedEnvironment> {
  const path = packagePath(name);
  if (path === undefined) {
    const env = LIBRARY.find((entry) => entry.name === name)!.load(args);
    return { env, defaults: {} };
  }
  const entry = entryOf(path);
  const module = (await importBundled(await bundle(entry))) as { loadEnvironment?: unknown };
  if (typeof module.loadEnvironment !== 'function') {
    throw new EnvironmentPackageError(`${entry} exports no function loadEnvironment`);
  }
  const load = module.loadEnvironment as (args: Record<string, unknown>) => unknown;
  const env = await load(args);
  if (!isEnvironment(env)) throw new EnvironmentPackageError(`loadEnvironment of ${entry} returned no environment`);
  return { env, folder: dirname(entry), ...packageFacts(dirname(entry)) };
}

const ENTRIES = ['index.ts', 'index.js', 'index.mjs', 'src/index.ts'];

/** The file of a package that exports loadEnvironment. */
export function entryOf(path: string): string {
  if (statSync(path).isFile()) return path;
  const entry = ENTRIES.map((file) => join(path, file)).find((file) => existsSync(file));
  if (entry !== undefined) return entry;
  throw new EnvironmentPackageError(`${path} holds none of ${ENTRIES.join(', ')}`);
}

/** By what is called on it: the package brings its own copy of the classes. */
function isEnvironment(value: unknown): value is Environment {
  const { name, rolloutGroup, example } = Object(value) as Partial<Environment>;
  return typeof name === 'string' && typeof rolloutGroup === 'function' && typeof example === 'function';
}

interface PackageJson {
  version?: string;
  terrarium?: { eval?: { num_examples?: number; rollouts_per_example?: number } };
}

function packageFacts(folder: string): Pick<LoadedEnvironment, 'version' | 'defaults'> {
  const path = join(folder, 'package.json');
  if (!existsSync(path)) return { defaults: {} };
  let data: PackageJson;
  try {
    data = JSON.parse(readFileSync(path, 'utf8')) as PackageJson;
  } catch (error) {
    throw new EnvironmentPackageError(`${path}: ${(error as SyntaxError).message}`);
  }
  const { num_examples: numExamples, rollouts_per_example: rolloutsPerExample } = data.terrarium?.eval ?? {};
  return {
    ...(data.version !== undefined && { version: data.version }),
    defaults: {
      ...(numExamples !== undefined && { numExamples }),
      ...(rolloutsPerExample !== undefined && { rolloutsPerExample }),
    },
  };
}

/**
 * Makes one file of an entry and everything it imports; `terrarium` is this repository's source.
 * @throws EnvironmentPackageError with what the bundler says
 */
export async function bundle(entry: string): Promise<string> {
  const { build } = await import('vite');
  try {
    const result = (await build({
      configFile: false,
      root: dirname(entry),
      logLevel: 'silent',
      ssr: { noExternal: true },
      resolve: { alias: [{ find: /^terrarium$/, replacement: join(ROOT, 'src/index.ts') }] },
      plugins: [ourPackages],
      build: {
        ssr: entry,
        write: false,
        target: 'node20',
        minify: false,
        sourcemap: true,
        rolldownOptions: {
          external: ['webgpu', '@huggingface/transformers', ...builtinModules, /^node:/],
          output: { codeSplitting: false },
        },
      },
    })) as Rolldown.RolldownOutput;
    return withSources(result.output[0], dirname(entry));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new EnvironmentPackageError(`${entry} cannot be bundled: ${message.trim()}`);
  }
}

/** The code with a map that names its sources by their whole paths: errors point to the file that somebody wrote. */
function withSources({ code, map }: Rolldown.OutputChunk, root: string): string {
  if (!map) return code;
  const sources = map.sources.map((source) => join(root, 'dist', source)); // as if it lay in dist/
  const json = JSON.stringify({ ...map, sources });
  const bare = code.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
  return `${bare}//# sourceMappingURL=data:application/json;base64,${Buffer.from(json).toString('base64')}\n`;
}

/** Packages that an environment imports and does not have itself, such as zod, are ours. */
export const ourPackages: Plugin = {
  name: 'terrarium-packages',
  enforce: 'post', // after the package's own have been looked for
  async resolveId(source, _, options) {
    if (/^[./\0]/.test(source) || source.startsWith('node:')) return null;
    return this.resolve(source, join(ROOT, 'src/index.ts'), { ...options, skipSelf: true });
  },
};

/** Imports code. Its file is gone afterwards. */
async function importBundled(code: string): Promise<unknown> {
  process.setSourceMapsEnabled(true);
  return withTemporary('environment', code, (path) => import(/* @vite-ignore */ pathToFileURL(path).href));
}

/** Writes code to a file for as long as something uses it. */
export async function withTemporary<T>(name: string, code: string, use: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-'));
  const hash = createHash('sha256').update(code).digest('hex').slice(0, 8);
  const path = join(folder, `${basename(name)}-${hash}.mjs`);
  try {
    writeFileSync(path, code);
    return await use(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
