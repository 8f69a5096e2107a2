/** @file The results of a suite as one table: a row per evaluation, its mean reward with its 95% interval; as CSV and Markdown. */
import type { ResultMetadata } from './results';
import type { Summary } from './summary';
import type { SuiteEntry } from './suite_config';

/** What one evaluation of a suite came to. */
export interface SuiteResult {
  entry: SuiteEntry;
  summary: Summary;
  metadata: ResultMetadata;
}

/** A number, a text, or nothing. */
export type SuiteCell = string | number | null;

export interface SuiteTable {
  columns: string[];
  rows: SuiteCell[][];
}

/**
 * The table of a suite. Settings that are the same in every row have no column. Nothing in it depends on the clock.
 *
 * `solved` is the share of rollouts that reach the environment's threshold; failed rollouts are in no mean.
 */
export function suiteTable(results: readonly Pick<SuiteResult, 'entry' | 'summary'>[]): SuiteTable {
  const settings = varying(results.map(({ entry }) => entry));
  const columns = ['environment', 'model', ...settings];
  columns.push('examples', 'rollouts', 'failed', 'reward', 'low', 'high', 'solved', 'output_tokens');
  const rows = results.map(({ entry, summary }): SuiteCell[] => {
    const { reward, examples, rollouts, failed, passAtK, usage } = summary;
    return [
      entry.environment,
      entry.model,
      ...settings.map((name) => cellOf(entry.settings[name])),
      ...[examples, rollouts, failed],
      ...[reward?.mean ?? null, reward?.interval?.[0] ?? null, reward?.interval?.[1] ?? null],
      ...[passAtK['1'] ?? null, usage?.output_tokens ?? null],
    ];
  });
  return { columns, rows };
}

/** Names of settings that are not the same everywhere, in the order in which they come. */
function varying(entries: readonly SuiteEntry[]): string[] {
  const names = [...new Set(entries.flatMap(({ settings }) => Object.keys(settings)))];
  return names.filter((name) => new Set(entries.map(({ settings }) => JSON.stringify(settings[name]))).size > 1);
}

function cellOf(value: unknown): SuiteCell {
  if (value === undefined) return null;
  return typeof value === 'string' || typeof value === 'number' ? value : JSON.stringify(value);
}

/** As CSV (RFC 4180), numbers as exact as they are. A text that a spreadsheet would compute gets an apostrophe. */
export function formatSuiteCsv({ columns, rows }: SuiteTable): string {
  const quote = (cell: SuiteCell): string => {
    if (typeof cell !== 'string') return cell === null ? '' : String(cell);
    const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return [columns, ...rows].map((row) => `${row.map(quote).join(',')}\r\n`).join('');
}

/** As a Markdown table, for people: interval in one column, three digits. */
export function formatSuiteMarkdown({ columns, rows }: SuiteTable): string {
  const at = columns.indexOf('reward');
  const show = (cell: SuiteCell, measured: boolean): string => {
    if (typeof cell === 'string') return cell.replaceAll(/[\\|`*_<>[\]]/g, String.raw`\$&`).replaceAll(/\s+/g, ' ');
    if (cell === null) return '';
    return measured ? cell.toFixed(3) : String(cell);
  };
  const lines = rows.map((row) => {
    const [reward, low, high, ...rest] = row.slice(at);
    const interval = low === null ? '' : `${show(low!, true)} to ${show(high!, true)}`;
    const cells = row.slice(0, at).map((cell) => show(cell, false));
    return [...cells, show(reward!, true), interval, ...rest.map((cell) => show(cell, true))];
  });
  const head = [...columns.slice(0, at), 'reward', '95% interval', ...columns.slice(at + 3)];
  const settings = new Set(columns.slice(0, at - 3));
  const rule = head.map((name) => (settings.has(name) ? '---' : '---:'));
  return [head.map((name) => show(name, false)), rule, ...lines].map((cells) => `| ${cells.join(' | ')} |\n`).join('');
}
