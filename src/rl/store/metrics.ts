/**
 * @file metrics.jsonl: what happened, one event per line, every step once. Lines are only ever appended, or cut off at the
 * end when a run goes back to a checkpoint; so a checkpoint remembers no more than how long the file was.
 */
import type { Diagnosis } from '../diagnosis';
import type { RunEvent } from '../run';
import { METRICS, decodeText } from './layout';
import { DamagedRunError } from './storage';
import type { RunStorage } from './storage';

type StepEvent = Extract<RunEvent, { event: 'step' }>;

/** The device was lost: the run went on from this step, and what came after it comes again. */
export interface Recovered {
  event: 'recovered';
  step: number;
  message: string;
}

/**
 * One line of the metrics: an event without its rollouts, why the run does not learn and when that is over, or the note that
 * steps were taken back.
 */
export type Metric = Exclude<RunEvent, StepEvent> | Omit<StepEvent, 'groups_detail'> | Diagnosis | Recovered;

/** Rollouts are not part of the metrics. */
export function metricOf(event: RunEvent | Recovered | Diagnosis): Metric {
  return event.event === 'step' ? withoutRollouts(event) : event;
}

function withoutRollouts({ groups_detail: _, ...metric }: StepEvent): Metric {
  return metric;
}

/**
 * Reads metrics. A last line that is cut, as a killed process leaves it, does not count.
 * @param bytes only so many from the start
 * @throws DamagedRunError naming the line that is no event
 */
export async function readMetrics(storage: RunStorage, bytes = Infinity): Promise<Metric[]> {
  const content = await storage.read(METRICS);
  if (!content) return [];
  const whole = content.subarray(0, Math.min(bytes, content.lastIndexOf(10) + 1));
  const lines = decodeText(whole).split('\n').slice(0, -1);
  return lines.map((line, i) => {
    const metric = parseLine(line);
    if (metric) return metric;
    throw new DamagedRunError(`${storage.name}/${METRICS}: line ${i + 1} is not an event of a run`);
  });
}

function parseLine(line: string): Metric | undefined {
  try {
    const value = JSON.parse(line) as Metric | null;
    return typeof value?.event === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Checks that all steps up to the last are there, each once and in order.
 * @throws DamagedRunError naming the first that is not
 */
export function checkSteps(metrics: readonly Metric[], last: number, name: string): void {
  const steps = metrics.flatMap((metric) => (metric.event === 'step' ? [metric.step] : []));
  const wrong = Array.from({ length: Math.max(last, steps.length) }, (_, i) => i + 1).find((n) => steps[n - 1] !== n);
  if (wrong === undefined && steps.length === last) return;
  throw new DamagedRunError(
    `${name}/${METRICS}: step ${wrong ?? last} is not where it should be; its checkpoint is of step ${last}`,
  );
}
