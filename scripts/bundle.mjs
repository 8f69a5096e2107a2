/** @file Programs for Node as single files: `node scripts/bundle.mjs FOLDER NAME=SOURCE ...`, or from another script. */
import { builtinModules } from 'node:module';
import { pathToFileURL } from 'node:url';
import { ROOT } from './setup.mjs';

/**
 * What stays outside: Dawn, which is only imported where DAWN_NODE is not set, and transformers.js, whose ONNX Runtime is a
 * library of its own; the benchmark says so where it is not there.
 */
const OUTSIDE = ['webgpu', '@huggingface/transformers'];

/** @param entries source files by the name of their program */
export async function bundle(entries, folder) {
  const { build } = await import('vite');
  for (const [name, file] of Object.entries(entries)) {
    await build({
      configFile: false,
      root: ROOT,
      logLevel: 'warn',
      ssr: { noExternal: true, external: OUTSIDE },
      build: {
        ssr: true,
        target: 'node20',
        outDir: folder,
        emptyOutDir: false,
        copyPublicDir: false,
        minify: false,
        rolldownOptions: {
          input: { [name]: file },
          external: [...OUTSIDE, ...builtinModules, /^node:/],
          output: { entryFileNames: '[name].mjs', codeSplitting: false },
        },
      },
    });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [folder, ...entries] = process.argv.slice(2);
  await bundle(Object.fromEntries(entries.map((entry) => entry.split('='))), folder);
}
