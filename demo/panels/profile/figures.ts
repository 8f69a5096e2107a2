/** @file What the panel makes of a profile: figures per training step, rates and shares, and how they are written. */
import type { TuningRecord } from '../../../src/kernels';
import type { ShownProfile, WorkCounts } from '../../profile_protocol';

/** A kernel as a row of the table. Of a step, where there were steps. */
export interface KernelRow {
  name: string;
  dispatches: number;
  /** On the GPU; undefined where the adapter has no timestamps. */
  seconds: number | undefined;
  /** Of the time of all kernels or, without times, of their bytes. */
  share: number;
  bytes: number;
  flops: number;
  /** Undefined without a time, or where the clock was too coarse for one. */
  bytesPerSecond: number | undefined;
  flopsPerSecond: number | undefined;
  /** Of what the adapter does at best. */
  ofCopy: number | undefined;
  ofMatmul: number | undefined;
}

export interface Summary {
  /** What totals are divided by: 1 where there was no training step. */
  steps: number;
  perStep: boolean;
  timed: boolean;
  /** Of the time in which there was something to do. */
  seconds: number;
  kernelSeconds: number | undefined;
  encodeSeconds: number;
  encodeShare: number;
  idleShare: number;
  submits: number;
  dispatches: number;
}

/** Of the policy, warm-up included. */
export function trainingSteps({ step, warmUp }: WorkCounts): number {
  return step + warmUp;
}

/** The whole of a profile. */
export function summaryOf({ profile, counts, activeSeconds }: ShownProfile): Summary {
  const steps = trainingSteps(counts);
  const per = Math.max(1, steps);
  const timed = profile.kernels.some(({ seconds }) => seconds !== undefined);
  const kernelSeconds = profile.kernels.reduce((sum, { seconds = 0 }) => sum + seconds, 0);
  // What was submitted last may end a moment after the worker turned to something else.
  const busy = Math.min(profile.busySeconds, activeSeconds);
  return {
    steps: per,
    perStep: steps > 0,
    timed,
    seconds: activeSeconds / per,
    kernelSeconds: timed ? kernelSeconds / per : undefined,
    encodeSeconds: profile.encodeSeconds / per,
    encodeShare: share(profile.encodeSeconds, activeSeconds),
    idleShare: share(activeSeconds - busy, activeSeconds),
    submits: profile.submits / per,
    dispatches: profile.dispatches / per,
  };
}

/** Its kernels: by time where there are times, else by bytes; the largest first. */
export function kernelRows({ profile, counts }: ShownProfile): KernelRow[] {
  const { kernels, ceilings } = profile;
  const per = Math.max(1, trainingSteps(counts));
  const allSeconds = kernels.reduce((sum, { seconds = 0 }) => sum + seconds, 0);
  const allBytes = kernels.reduce((sum, { bytes }) => sum + bytes, 0);
  return [...kernels]
    .sort((a, b) => (b.seconds ?? 0) - (a.seconds ?? 0) || b.bytes - a.bytes)
    .map(({ name, dispatches, seconds, bytes, flops }) => {
      const bytesPerSecond = seconds ? bytes / seconds : undefined;
      const flopsPerSecond = seconds && flops > 0 ? flops / seconds : undefined;
      return {
        name,
        dispatches: dispatches / per,
        seconds: seconds === undefined ? undefined : seconds / per,
        share: seconds === undefined ? share(bytes, allBytes) : share(seconds, allSeconds),
        bytes: bytes / per,
        flops: flops / per,
        bytesPerSecond,
        flopsPerSecond,
        ofCopy: bytesPerSecond && bytesPerSecond / ceilings.bytesPerSecond,
        ofMatmul: flopsPerSecond && flopsPerSecond / ceilings.flopsPerSecond,
      };
    });
}

/** Choices of a tuner as a row: classes that were measured each for themselves, the others by kernel. */
export interface TuningRow extends Pick<TuningRecord, 'chosen' | 'how'> {
  classes: string[];
  /** Milliseconds of each kernel that was measured, the fastest first. */
  times: [kernel: string, ms: number][];
}

/** What was decided, in order. */
export function tuningRows(records: readonly TuningRecord[]): TuningRow[] {
  const rows: TuningRow[] = [];
  for (const { class: key, chosen, how, times } of records) {
    const measured = Object.entries(times).sort(([, a], [, b]) => a - b);
    const like = rows.find((row) => row.chosen === chosen && row.how === how && row.times.length === 0);
    if (like && measured.length === 0) like.classes.push(key);
    else rows.push({ chosen, how, classes: [key], times: measured });
  }
  return rows;
}

/** `3 training steps, 1 evaluation`; '' where nothing came to its end. */
export function describeWork({ step, warmUp, evaluation, message }: WorkCounts): string {
  const named: [number, string][] = [
    [warmUp, 'warm-up step'],
    [step, 'training step'],
    [evaluation, 'evaluation'],
    [message, 'message'],
  ];
  return named
    .filter(([count]) => count > 0)
    .map(([count, name]) => `${count} ${name}${count === 1 ? '' : 's'}`)
    .join(', ');
}

function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

/** With three digits and the prefix of a unit: `12.3 GB/s`. */
export function quantity(value: number, unit: string): string {
  const prefixes = ['', 'k', 'M', 'G', 'T', 'P'];
  const power = value < 1 ? 0 : Math.min(prefixes.length - 1, Math.floor(Math.log10(value) / 3));
  return `${digits(value / 1000 ** power)} ${prefixes[power]}${unit}`;
}

/** `1.23 s`, `45.6 ms`, `7.89 µs`. */
export function duration(seconds: number): string {
  if (seconds >= 1) return `${digits(seconds)} s`;
  if (seconds >= 1e-3 || seconds === 0) return `${digits(1e3 * seconds)} ms`;
  return `${digits(1e6 * seconds)} µs`;
}

/** Whole above ten percent, with one digit below. */
export function percent(part: number): string {
  const value = 100 * part;
  if (value > 0 && value < 0.1) return '<0.1%';
  return `${value === 0 || value >= 9.95 ? value.toFixed(0) : value.toFixed(1)}%`;
}

/** `1,234.5` */
export function count(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 });
}

function digits(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 3 });
}
