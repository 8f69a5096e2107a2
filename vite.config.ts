import { svelte } from '@sveltejs/vite-plugin-svelte';
import { builtinModules } from 'node:module';
import { defineConfig } from 'vite';
import { stripWgslPlugin } from './scripts/strip_wgsl.ts';

const target = 'es2022';

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
    plugins: [svelte(), stripWgslPlugin()],
    // Starters' tokenizers are loaded with their starter, not with the scripts.
    build: { target, outDir: '../dist/site', emptyOutDir: true, assetsInlineLimit: 0 },
    worker: { format: 'es' as const, plugins: () => [stripWgslPlugin()] },
    server: { fs: { allow: ['..'] } },
  };
});
