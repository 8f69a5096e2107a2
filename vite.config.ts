import { svelte } from '@sveltejs/vite-plugin-svelte';
import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { defineConfig } from 'vite';
import type { Plugin } from 'vite';

const target = 'es2022';

/**
 * Shaders without comments and indentation: 8 of 18 kB that a first visit would load otherwise. Lines stay where they are, so
 * that the compiler's messages point into the source.
 */
const shortShaders: Plugin = {
  name: 'short-shaders',
  enforce: 'pre',
  load: (id) => {
    if (!id.endsWith('.wgsl?raw')) return undefined;
    const source = readFileSync(id.slice(0, -'?raw'.length), 'utf8');
    return `export default ${JSON.stringify(source.replaceAll(/[ \t]*\/\/.*$|^[ \t]+/gm, ''))};`;
  },
};

/** The page by default; `--mode lib` builds the library, `--mode cli` the command line. All load .wgsl the same way. */
export default defineConfig(({ mode }) => {
  if (mode === 'cli') {
    return {
      build: {
        ssr: true,
        target: 'node20',
        outDir: 'dist/cli',
        emptyOutDir: true,
        minify: false,
        rolldownOptions: {
          input: { main: 'cli/main.ts', 'sandbox-worker': 'src/envs/sandbox/lazy-worker.ts' },
          external: ['webgpu', ...builtinModules, /^node:/],
        },
      },
    };
  }
  if (mode === 'lib') {
    return {
      base: './', // the worker of the sandboxes lies beside the library
      build: {
        target,
        outDir: 'dist/lib',
        emptyOutDir: true,
        minify: false,
        lib: { entry: 'src/index.ts', formats: ['es' as const], fileName: 'terrarium' },
        rolldownOptions: { external: ['zod', /^@huggingface\//] },
      },
      worker: { format: 'es' as const },
    };
  }
  return {
    root: 'demo',
    base: './', // works from any sub-path
    plugins: [svelte(), shortShaders],
    build: { target, outDir: '../dist/site', emptyOutDir: true },
    worker: { format: 'es' as const, plugins: () => [shortShaders] },
    server: { fs: { allow: ['..'] } },
  };
});
