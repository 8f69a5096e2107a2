/** @file What `npm run bench:big` measured, as a file and as a table. */
import { formatBytes } from '../../src/kernels';
import type { BigResult } from './measure';

export interface BigReport {
  benchmark: 'big';
  adapter: string;
  date: string;
  node: string;
  cpu: string;
  cores: number;
  results: BigResult[];
}

export function isBigReport(json: unknown): json is BigReport {
  return typeof json === 'object' && json !== null && (json as { benchmark?: unknown }).benchmark === 'big';
}

/** The table with what it was measured on, for docs/PERFORMANCE.md. */
export function bigSection({ adapter, cpu, cores, node, date, results }: BigReport): string {
  return `**${adapter}**, ${cpu}, ${cores} cores, Node ${node}, ${date}\n\n${bigTable(results)}`;
}

/** The figures as a Markdown table. */
export function bigTable(results: readonly BigResult[]): string {
  const head = '| model | method | trained | load s | generate tokens/s | step tokens | step s | planned | peak |\n';
  const line = '|---|---|---|---|---|---|---|---|---|\n';
  const rows = results.map((r) => {
    const rate = r.generateSeconds === null ? '' : (r.generatedTokens! / r.generateSeconds).toFixed(1);
    return (
      `| ${r.model} | ${r.method} | ${r.trained.toLocaleString('en')} | ${r.loadSeconds.toFixed(1)} | ${rate} | ` +
      `${r.stepTokens} | ${r.stepSeconds.toFixed(1)} | ${formatBytes(r.plannedBytes)} | ${formatBytes(r.peakBytes)} |\n`
    );
  });
  return head + line + rows.join('');
}
