/**
 * @file What a profile is: time, bytes and arithmetic per kernel, beside what the adapter can do at best.
 *
 *     const profiler = await startProfile(gpu);
 *     ... // anything that submits
 *     const profile = await profiler.stop();
 *     console.log(formatProfile(profile));
 */
import type { Gpu } from './gpu';

/** What is known of a dispatch before it runs. */
export interface DispatchInfo {
  /** Kernel, and which use of it. */
  name: string;
  /** Read and written; an estimate from what is bound and which rows count. */
  bytes: number;
  flops: number;
}

/** What `Submission` tells whoever watches. */
export interface DispatchWatcher {
  /** A dispatch is about to be encoded in a pass of its own. @returns where that pass writes its times */
  dispatch(encoder: GPUCommandEncoder, info: DispatchInfo): GPUComputePassTimestampWrites | undefined;
  /** The encoder is about to be finished. @returns to be called once it is submitted */
  finish(encoder: GPUCommandEncoder): () => void;
  /** Milliseconds that the host spent encoding a replay. */
  encoded(ms: number): void;
}

export interface KernelProfile extends DispatchInfo {
  dispatches: number;
  /** On the GPU; undefined where the adapter has no timestamps. */
  seconds: number | undefined;
}

/** What the adapter does when it does nothing else. */
export interface Ceilings {
  /** Read and written by a copy from buffer to buffer. */
  bytesPerSecond: number;
  /** Of an f32 matrix product. */
  flopsPerSecond: number;
}

export interface Profile {
  adapter: string;
  /** From start to stop. */
  seconds: number;
  /** For how much of it the queue had something to do. */
  busySeconds: number;
  /** What the host spent encoding replays. */
  encodeSeconds: number;
  submits: number;
  dispatches: number;
  ceilings: Ceilings;
  /** By time where there are times, else by bytes; the largest first. */
  kernels: KernelProfile[];
}

/** A profile that is being taken. */
export interface RunningProfile {
  /** Ends it, and measures the adapter's ceilings: a moment during which nothing else should run. */
  stop(): Promise<Profile>;
  /** Ends it without figures. Not between the encoding of something and its submission, as with `stop`. */
  cancel(): Promise<void>;
}

/** Begins a profile. One at a time on a device. */
export async function startProfile(gpu: Gpu): Promise<RunningProfile> {
  const { Profiler } = await import('./lazy-profiler');
  return Profiler.start(gpu);
}

/**
 * A profile as a table for people.
 * @param steps what is divided by: figures are then per step
 */
export function formatProfile(profile: Profile, steps = 1): string {
  const { ceilings, kernels, seconds, busySeconds, encodeSeconds } = profile;
  const timed = kernels.some((kernel) => kernel.seconds !== undefined);
  const per = steps === 1 ? '' : ' per step';
  const ms = (value: number) => `${((1000 * value) / steps).toFixed(2)} ms`;
  const count = (value: number) => (value / steps).toLocaleString('en', { maximumFractionDigits: 1 });
  const lines = [
    `Profile of ${profile.adapter}${steps === 1 ? '' : `, ${steps} steps`}`,
    `${ms(seconds)}${per}; the queue had work for ${percent(busySeconds / seconds)} of it ` +
      `(idle ${percent(1 - busySeconds / seconds)}); encoding took the host ${ms(encodeSeconds)}${per}`,
    `${count(profile.dispatches)} dispatches in ${count(profile.submits)} submits${per}`,
    `At best this adapter copies ${figure(ceilings.bytesPerSecond)}B/s and multiplies matrices at ` +
      `${figure(ceilings.flopsPerSecond)}FLOP/s`,
  ];
  if (!timed) lines.push('It has no timestamps: no times per kernel, only what they move and compute.');
  const total = kernels.reduce((sum, kernel) => sum + (kernel.seconds ?? 0), 0);
  const rows = kernels.map(({ name, dispatches, seconds: time, bytes, flops }) => {
    const plain = [
      name,
      count(dispatches),
      `${figure(bytes / steps)}B`,
      flops > 0 ? `${figure(flops / steps)}FLOP` : '',
    ];
    if (time === undefined) return plain;
    return [
      ...plain,
      ms(time),
      percent(time / total),
      `${percent(bytes / time / ceilings.bytesPerSecond)} of copy`,
      flops > 0 ? `${percent(flops / time / ceilings.flopsPerSecond)} of matmul` : '',
    ];
  });
  const header = [
    'kernel',
    `dispatches${per}`,
    'moved',
    'computed',
    ...(timed ? ['time', 'share', 'bytes/s', 'FLOP/s'] : []),
  ];
  return `${[...lines, '', ...align([header, ...rows])].join('\n')}\n`;
}

function percent(share: number): string {
  return Number.isFinite(share) ? `${(100 * share).toFixed(0)}%` : '-';
}

/** With three digits and the prefix of a unit. */
function figure(value: number): string {
  const prefixes = ['', 'k', 'M', 'G', 'T'];
  const power = value < 1 ? 0 : Math.min(prefixes.length - 1, Math.floor(Math.log10(value) / 3));
  return `${Number((value / 1000 ** power).toPrecision(3))} ${prefixes[power]}`;
}

/** Columns under each other; all but the first to the right. */
function align(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}
