/** @file Tables, for a terminal and for a page. */

export type Row = readonly string[];

/** The first column to the left, figures to the right. */
export function textTable(head: Row, rows: readonly Row[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: Row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ');
  return all.map((row) => `${line(row).trimEnd()}\n`).join('');
}

/** The same in Markdown. */
export function markdownTable(head: Row, rows: readonly Row[]): string {
  const line = (row: Row) => `| ${row.join(' | ')} |\n`;
  return line(head) + line(head.map((_, column) => (column === 0 ? '---' : '---:'))) + rows.map(line).join('');
}

/** A figure to three significant digits, in full where it is large. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 100 ? grouped(value) : String(Number(value.toPrecision(3)));
}

/** 12345.6 -> 12,346 */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en');
}
