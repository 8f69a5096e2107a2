/**
 * @file How long the page's main thread is busy at a stretch, in milliseconds of the thread's own time: what else the
 * machine does meanwhile does not count, as it would in a wall-clock measure on two cores that a software GPU shares.
 */
import type { Page } from 'puppeteer';

interface TraceEvent {
  name: string;
  /** X: complete, with a duration. */
  ph: string;
  pid: number;
  tid: number;
  /** Microseconds. */
  ts: number;
  dur?: number;
  /** Of the thread's own time. */
  tdur?: number;
  args: { name?: string };
}

/** Records from now on; call it before the page is loaded. */
export function startRecording(page: Page): Promise<void> {
  return page.tracing.start({ categories: ['-*', 'disabled-by-default-devtools.timeline', 'blink.user_timing'] });
}

/**
 * Stops recording.
 * @param mark name of a performance mark that the page has set
 * @returns the longest task before the mark and the longest one after it
 */
export async function longestTasks(page: Page, mark: string): Promise<{ before: number; after: number }> {
  const bytes = await page.tracing.stop();
  const { traceEvents } = JSON.parse(new TextDecoder().decode(bytes)) as { traceEvents: TraceEvent[] };
  const marked = traceEvents.find(({ name }) => name === mark)!;
  // The mark was set in the page's process, whose main thread has that name.
  const main = traceEvents.find(
    ({ name, args, pid }) => name === 'thread_name' && args.name === 'CrRendererMain' && pid === marked.pid,
  )!;
  const tasks = traceEvents.filter(
    ({ name, ph, pid, tid }) => name === 'RunTask' && ph === 'X' && pid === main.pid && tid === main.tid,
  );
  const longest = (some: TraceEvent[]) => Math.max(...some.map(({ tdur, dur }) => (tdur ?? dur ?? 0) / 1000));
  return {
    before: longest(tasks.filter(({ ts }) => ts < marked.ts)),
    after: longest(tasks.filter(({ ts }) => ts >= marked.ts)),
  };
}
