/** @file How much JavaScript a first visit loads, and the budget for it. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { say } from './setup.mjs';

/** Compressed bytes. */
const BUDGET = 300_000;

/** Measures a built site's scripts. Everything counts, the worker included, but for what is loaded lazily by design. */
export function checkFirstLoad(assets) {
  const scripts = readdirSync(assets).filter((name) => name.endsWith('.js') && !name.startsWith('lazy-'));
  const bytes = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name))).byteLength, 0);
  const kB = (value) => `${(value / 1000).toFixed(1)} kB`;
  say(`First-load JavaScript: ${kB(bytes)} compressed in ${scripts.length} files (budget ${kB(BUDGET)}).`);
  if (bytes > BUDGET) throw new Error('The page loads more JavaScript than its budget allows.');
}
