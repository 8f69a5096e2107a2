/** @file Time that several things take at once. */
import { seconds } from '../../src/envs';
import type { Span } from '../../src/envs';

/** Seconds that lie in at least one of the spans. */
export function covered(spans: readonly Span[]): number {
  let [total, end] = [0, -Infinity];
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    total += Math.max(0, seconds({ start: Math.max(span.start, end), end: span.end }));
    end = Math.max(end, span.end);
  }
  return total;
}
