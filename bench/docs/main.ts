/** @file `npm run bench -- --write-docs`: docs/PERFORMANCE.md and its plots from bench/results, and scale by arithmetic. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { bigSection, isBigReport } from '../big/report';
import { isResultFile } from '../results';
import type { ResultFile } from '../results';
import { scaleSection } from '../scale/report';
import { replaceSection } from './page';
import { barChart } from './plot';
import { SECTIONS, adapterLine, barsOf } from './sections';

const PAGE = 'docs/PERFORMANCE.md';
const RESULTS = 'bench/results';

const all = readdirSync(RESULTS)
  .filter((name) => name.endsWith('.json'))
  .sort()
  .map((name) => ({ name, json: JSON.parse(readFileSync(join(RESULTS, name), 'utf8')) as unknown }));
const big = all.map(({ json }) => json).filter(isBigReport);
const files = all.filter((file): file is { name: string; json: ResultFile } => isResultFile(file.json));

let page = readFileSync(PAGE, 'utf8');
for (const [name, section] of Object.entries(SECTIONS)) {
  const parts = files.flatMap(({ json }) => {
    const text = section(json);
    return text === undefined ? [] : [files.length > 1 ? `**${json.adapter}**\n\n${text}` : text];
  });
  page = replaceSection(page, name, parts.join('\n') || 'No results are in bench/results.');
}
const plots = files.flatMap(({ name, json }) => {
  const bars = barsOf(json);
  if (bars.length === 0) return [];
  const plot = `performance-${basename(name, '.json')}.svg`;
  writeFileSync(join('docs', plot), barChart('How many times as fast, by wall time', bars));
  return [`${adapterLine(json)}:\n\n![How many times as fast](${plot})`];
});
page = replaceSection(page, 'plot', plots.join('\n\n') || 'No results are in bench/results.');
page = replaceSection(page, 'big', big.map(bigSection).join('\n') || 'No results are in bench/results.');
page = replaceSection(page, 'scale', await scaleSection());
writeFileSync(PAGE, page);
process.stderr.write(`${PAGE}: from ${files.map(({ name }) => name).join(', ') || 'no results'}\n`);
process.exit(0);
