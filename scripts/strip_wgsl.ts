/** @file WGSL without what only people read: comments and indentation. Lines stay where they are, for compilers' messages. */
import { readFile } from 'node:fs/promises';
import type { Plugin } from 'vite';

const RAW = '?raw';

/** Our kernels have line comments only, and no text in which `//` could stand. */
export function stripWgsl(source: string): string {
  return source
    .split('\n')
    .map((line) => line.replace(/\/\/.*/, '').trim())
    .join('\n')
    .trimEnd();
}

/** What `import source from './x.wgsl?raw'` gives in a build. */
export function stripWgslPlugin(): Plugin {
  return {
    name: 'strip-wgsl',
    enforce: 'pre',
    apply: 'build',
    async load(id) {
      if (!id.endsWith(`.wgsl${RAW}`)) return undefined;
      return `export default ${JSON.stringify(stripWgsl(await readFile(id.slice(0, -RAW.length), 'utf8')))};`;
    },
  };
}
