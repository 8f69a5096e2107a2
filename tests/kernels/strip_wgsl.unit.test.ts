/** @file What the page's build leaves of the kernels' sources. */
import { readFileSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { stripWgsl } from '../../scripts/strip_wgsl';

const KERNELS = new URL('../../src/kernels/', import.meta.url);
const files = readdirSync(KERNELS).filter((name) => name.endsWith('.wgsl'));

/** What a compiler makes of a text: its words and signs. */
const words = (source: string) => source.replaceAll(/\/\/.*/g, '').match(/\w+|[^\w\s]/g);

it.each(files)('%s says the same to a compiler, line by line', (file) => {
  const source = readFileSync(new URL(file, KERNELS), 'utf8');
  expect(source, 'block comments are not stripped').not.toContain('/*');
  const stripped = stripWgsl(source);
  expect(stripped.length).toBeLessThan(source.length);
  const lines = stripped.split('\n');
  for (const [i, line] of source.split('\n').entries())
    expect(words(lines[i] ?? ''), `line ${i + 1}`).toEqual(words(line));
});
