/** @file What a piece of work cost. */
import type { Gpu } from '../src/kernels';
import type { Counters, Counts } from './counters';
import type { Machine } from './machine';
import type { BenchOptions } from './options';

export interface Cost {
  wallMs: number;
  /** User and system time of the process: on a software adapter this is the GPU's work, too. */
  cpuMs: number;
  counts: Counts;
}

/** What every part of the benchmark works with. */
export interface Bench {
  gpu: Gpu;
  counters: Counters;
  machine: Machine;
  options: BenchOptions;
  /** Tells how it goes, on standard error. */
  say: (line: string) => void;
}

/** Runs `work` on a device that has nothing else to do. It must wait for its own end. */
export async function measure({ gpu, counters }: Bench, work: () => Promise<unknown>): Promise<Cost> {
  await gpu.idle();
  counters.take();
  const cpu = process.cpuUsage();
  const wall = performance.now();
  await work();
  const wallMs = performance.now() - wall;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000, counts: counters.take() };
}
