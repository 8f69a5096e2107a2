/**
 * @file The runner of a package: one environment and all it needs in one file of JavaScript, with the sandboxes' worker
 * beside it. Nothing else has to be installed where it runs but Node.
 */
import { builtinModules } from 'node:module';
import { dirname, join } from 'node:path';
import type { Plugin, Rolldown } from 'vite';
import { EnvironmentPackageError, ourPackages } from '../env_package';
import { ROOT } from '../paths';

/** An environment of the library by its name, or the entry file of a package. */
export type EnvironmentSource = { library: string } | { entry: string };

/** The entry of the bundle: it exists only while that is made. */
const ENTRY = 'virtual:terrarium-runner';

/**
 * Makes the runner's files, by name.
 * @param args the options that the environment is loaded with, always
 * @throws EnvironmentPackageError with what the bundler says
 */
export async function bundleRunner(
  source: EnvironmentSource,
  args: Readonly<Record<string, unknown>>,
): Promise<Map<string, string>> {
  const root = 'entry' in source ? dirname(source.entry) : ROOT;
  const runner = await build(root, ENTRY, entryCode(source, args));
  const worker = await build(ROOT, join(ROOT, 'src/envs/sandbox/lazy-worker.ts'));
  return new Map([
    ['runner.mjs', runner],
    ['sandbox-worker.mjs', worker],
  ]);
}

function entryCode(source: EnvironmentSource, args: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify;
  const environment =
    'entry' in source
      ? [`import { loadEnvironment as load } from ${text(source.entry)};`]
      : [
          `import { libraryEntry } from ${text(join(ROOT, 'src/envs/index.ts'))};`,
          `const load = (args) => libraryEntry(${text(source.library)}).load(args);`,
        ];
  return [
    `import { serveEnvironment } from ${text(join(ROOT, 'cli/prime_rl/runner/index.ts'))};`,
    ...environment,
    `await serveEnvironment(() => load(${text(args)}), new URL('./sandbox-worker.mjs', import.meta.url));`,
  ].join('\n');
}

async function build(root: string, entry: string, code?: string): Promise<string> {
  const vite = await import('vite');
  try {
    const result = (await vite.build({
      configFile: false,
      root,
      logLevel: 'silent',
      ssr: { noExternal: true },
      resolve: { alias: [{ find: /^terrarium$/, replacement: join(ROOT, 'src/index.ts') }] },
      plugins: [ourPackages, ...(code === undefined ? [] : [virtualEntry(code)])],
      build: {
        ssr: true,
        write: false,
        target: 'node20',
        minify: false,
        rolldownOptions: {
          input: entry,
          external: ['webgpu', '@huggingface/transformers', ...builtinModules, /^node:/],
          output: { codeSplitting: false },
        },
      },
    })) as Rolldown.RolldownOutput;
    return result.output[0].code;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new EnvironmentPackageError(`the runner of ${root} cannot be bundled: ${message.trim()}`);
  }
}

function virtualEntry(code: string): Plugin {
  return {
    name: 'terrarium-runner',
    enforce: 'pre',
    resolveId: (id) => (id === ENTRY ? `\0${ENTRY}` : null),
    load: (id) => (id === `\0${ENTRY}` ? code : null),
  };
}
