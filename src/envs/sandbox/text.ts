/** @file The result of a run as a model reads it. */
import type { RunResult } from './protocol';

/** What was printed, then `=> value` or `error: ...`. */
export function formatRun({ stdout, value, error }: RunResult): string {
  return `${stdout}${error === undefined ? `=> ${value}` : `error: ${error}`}`;
}
