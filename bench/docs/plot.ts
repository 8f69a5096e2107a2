/** @file A bar chart of ratios on a logarithmic axis, as SVG that reads on light and dark pages. */

export interface Bar {
  label: string;
  /** How many times as fast. */
  value: number;
  /** Lowest and highest turn. */
  low: number;
  high: number;
}

const WIDTH = 760;
const LABELS = 320;
const RIGHT = 60;
const ROW = 26;
const TOP = 44;
const BOTTOM = 30;
const TICKS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128];

/** @param title what the bars say */
export function barChart(title: string, bars: readonly Bar[]): string {
  const values = bars.flatMap(({ low, high }) => [low, high]);
  const least = Math.min(1, ...values);
  const most = Math.max(2, ...values);
  const [begin, end] = [last(TICKS, (tick) => tick <= least) ?? least, TICKS.find((tick) => tick >= most) ?? most];
  const span = WIDTH - LABELS - RIGHT;
  const x = (value: number) => LABELS + (span * Math.log(value / begin)) / Math.log(end / begin);
  const height = TOP + bars.length * ROW + BOTTOM;
  const text = (at: number, y: number, words: string, more = '') =>
    `<text x="${round(at)}" y="${y}" ${more}>${escape(words)}</text>`;
  const ticks = TICKS.filter((tick) => tick >= begin && tick <= end).map((tick) => {
    const style = tick === 1 ? 'stroke="#333"' : 'stroke="#ddd"';
    return (
      `<line x1="${round(x(tick))}" x2="${round(x(tick))}" y1="${TOP - 6}" y2="${height - BOTTOM}" ${style}/>` +
      text(x(tick), height - BOTTOM + 18, `${tick}x`, 'text-anchor="middle" fill="#555"')
    );
  });
  const rows = bars.map(({ label, value, low, high }, i) => {
    const y = TOP + i * ROW;
    const [left, right] = [Math.min(x(1), x(value)), Math.max(x(1), x(value))];
    const middle = y + ROW / 2 - 2;
    return (
      text(LABELS - 10, middle + 4, label, 'text-anchor="end"') +
      `<rect x="${round(left)}" y="${y + 3}" width="${round(right - left)}" height="${ROW - 10}" fill="${value >= 1 ? '#3b7dd8' : '#c8553d'}"/>` +
      `<line x1="${round(x(low))}" x2="${round(x(high))}" y1="${middle}" y2="${middle}" stroke="#111" stroke-width="1.5"/>` +
      text(Math.max(right, x(high)) + 6, middle + 4, value.toFixed(2))
    );
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    text(12, 22, title, 'font-size="14" font-weight="bold"'),
    ...ticks,
    ...rows,
    '</svg>\n',
  ].join('\n');
}

function last<T>(values: readonly T[], test: (value: T) => boolean): T | undefined {
  return [...values].reverse().find(test);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
