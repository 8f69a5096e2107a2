/** @file Before every unit and GPU test: the sandboxes' worker is built from its source, as soon as one is needed. */
import { fileURLToPath } from 'node:url';
import { nodeWorker, provideSandboxWorker } from '../src/envs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The worker as one file, in a URL. */
async function built(): Promise<URL> {
  const { build } = await import('vite');
  const output = await build({
    configFile: false,
    root: ROOT,
    logLevel: 'warn',
    ssr: { noExternal: true },
    build: {
      ssr: 'src/envs/sandbox/lazy-worker.ts',
      write: false,
      minify: false,
      target: 'node20',
      rolldownOptions: { output: { codeSplitting: false } },
    },
  });
  if (!('output' in output)) throw new Error('vite builds nothing');
  return new URL(`data:text/javascript,${encodeURIComponent(output.output[0].code)}`);
}

let url: Promise<URL> | undefined;
provideSandboxWorker(async () => nodeWorker(await (url ??= built())));
