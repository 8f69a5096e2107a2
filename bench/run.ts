/**
 * @file Runs trainers side by side in one process: they take turns, so that whatever else the machine does hits all
 * alike, and every figure is a median over measured steps. Their losses are compared step by step: two trainers that
 * agree on them over a whole run have done the same work.
 */
import type { Counters, Counts } from './counters';
import { COUNTED } from './counters';
import type { BenchConfig } from './configs';
import { batchOf } from './data';
import type { Trainer } from './trainer';

export interface Cost {
  wallMs: number;
  /** User and system time of the process: on a software adapter this is the GPU's work, too. */
  cpuMs: number;
  counts: Counts;
}

export interface Step extends Cost {
  loss: number;
  /** The round it was measured in; null where it was a first step or one to settle. */
  round: number | null;
}

export interface TrainerResult {
  name: string;
  /** From nothing to the end of the first step: compiling, allocating, uploading, one step. */
  start: Cost;
  steps: Step[];
}

/** A trainer and how to make it. */
export interface Entry {
  name: string;
  create: () => Promise<Trainer>;
}

export interface Environment {
  counters: Counters;
  /** Resolves when the device has nothing left to do. */
  idle: () => Promise<void>;
  onProgress: (line: string) => void;
}

export async function runTrainers(config: BenchConfig, entries: Entry[], env: Environment): Promise<TrainerResult[]> {
  const running: { trainer: Trainer; result: TrainerResult }[] = [];
  for (const { name, create } of entries) {
    const batch = batchOf(config, 0);
    let trainer: Trainer | undefined;
    let loss = NaN;
    const start = await measure(env, async () => {
      trainer = await create();
      loss = await trainer.step(batch);
    });
    running.push({ trainer: trainer!, result: { name, start, steps: [{ ...start, loss, round: null }] } });
    env.onProgress(`${name}: ready after ${(start.wallMs / 1000).toFixed(1)} s, loss ${loss.toFixed(5)}`);
  }
  for (let round = 0; round < config.rounds; round++) {
    for (const { trainer, result } of running) {
      for (let i = 0; i < config.settle + config.steps; i++) {
        const batch = batchOf(config, result.steps.length);
        let loss = NaN;
        const cost = await measure(env, async () => {
          loss = await trainer.step(batch);
        });
        result.steps.push({ ...cost, loss, round: i < config.settle ? null : round });
      }
      const { wallMs, loss } = result.steps.at(-1)!;
      env.onProgress(`${result.name}: round ${round + 1}, ${wallMs.toFixed(0)} ms, loss ${loss.toFixed(5)}`);
    }
  }
  return running.map(({ result }) => result);
}

async function measure({ counters, idle }: Environment, work: () => Promise<void>): Promise<Cost> {
  await idle();
  counters.take();
  const cpu = process.cpuUsage();
  const wall = performance.now();
  await work();
  const wallMs = performance.now() - wall;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000, counts: counters.take() };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median step, figure by figure. */
export function typicalStep({ steps }: TrainerResult, round?: number): Cost {
  const measured = steps.filter((step) => step.round !== null && (round === undefined || step.round === round));
  const of = (value: (step: Step) => number) => median(measured.map(value));
  const counts = Object.fromEntries(COUNTED.map((name) => [name, of((step) => step.counts[name])])) as Counts;
  return { wallMs: of((step) => step.wallMs), cpuMs: of((step) => step.cpuMs), counts };
}

/** Largest relative difference of two trainers' losses at the same step. */
export function lossDifference(a: TrainerResult, b: TrainerResult): number {
  return Math.max(...a.steps.map(({ loss }, i) => Math.abs(loss - b.steps[i]!.loss) / Math.abs(b.steps[i]!.loss)));
}
