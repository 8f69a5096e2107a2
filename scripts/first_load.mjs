/** @file How much JavaScript a first visit loads, and the budget for it. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { say } from './setup.mjs';

/** Compressed bytes. */
const BUDGET = 300_000;

/** A static import of a file beside it, as the bundler writes it. */
const STATIC_IMPORT = /(?:^|[;}\n])\s*(?:import|export)\s*(?:[\w$*{}\s,]+?from\s*)?["']\.\/([\w.-]+\.js)["']/g;

/**
 * Measures a built site's scripts: the page's own, the trainer's worker, and what they import before they run. What is
 * loaded later, by import(), does not count.
 */
export function checkFirstLoad(assets) {
  const names = readdirSync(assets).filter((name) => name.endsWith('.js'));
  const page = readFileSync(join(assets, '../index.html'), 'utf8');
  const first = names.filter((name) => page.includes(name) || /^worker-/.test(name));
  const loaded = new Set();
  for (const queue = [...first]; queue.length > 0;) {
    const name = queue.pop();
    if (loaded.has(name)) continue;
    loaded.add(name);
    for (const [, other] of readFileSync(join(assets, name), 'utf8').matchAll(STATIC_IMPORT)) queue.push(other);
  }
  const bytes = [...loaded].reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name))).byteLength, 0);
  const kB = (value) => `${(value / 1000).toFixed(1)} kB`;
  say(`First-load JavaScript: ${kB(bytes)} compressed in ${loaded.size} files (budget ${kB(BUDGET)}).`);
  if (bytes > BUDGET) throw new Error('The page loads more JavaScript than its budget allows.');
}
