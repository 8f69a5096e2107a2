/** @file What a run gave, beside what it must give. */
import type { RunResult } from '../../../src/envs';
import type { HostileCase } from './cases';

/** What the model would read: printed text and value, or the error. */
function said({ stdout, value, error }: RunResult): string {
  if (error !== undefined) return error;
  return stdout !== '' && value !== 'undefined' ? `${stdout}=> ${value}` : stdout === '' ? value! : stdout;
}

/** What is wrong with a result, if anything is. */
export function complaint({ name, gives, stopped, deep }: HostileCase, result: RunResult): string | undefined {
  const text = said(result);
  if (deep && result.stopped === 'crash') return undefined;
  const right = typeof gives === 'string' ? text === gives : gives.test(text);
  if (right && result.stopped === stopped) return undefined;
  return `${name}: ${text.slice(0, 200)} (stopped: ${result.stopped})`;
}
