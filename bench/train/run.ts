/**
 * @file Runs trainers side by side in one process: they take turns, so that whatever else the machine does hits all
 * alike, and every figure is a median over measured steps. Their losses are compared step by step: two trainers that
 * agree on them over a whole run have done the same work.
 */
import { COUNTED } from '../counters';
import type { Counts } from '../counters';
import { measure } from '../measure';
import type { Bench, Cost } from '../measure';
import { median } from '../statistics';
import type { BenchConfig } from './configs';
import { batchOf } from './data';
import type { Trainer, Tuning } from './trainer';

export interface Step extends Cost {
  loss: number;
  /** The round it was measured in; null where it was a first step or one to settle. */
  round: number | null;
}

export interface TrainerResult {
  name: string;
  /** From nothing to the end of the first step: compiling, allocating, uploading, one step. */
  start: Cost;
  /** The part of the start that went into choosing kernels. */
  tuning: Tuning;
  steps: Step[];
}

/** A trainer and how to make it. */
export interface Entry {
  name: string;
  create: () => Promise<Trainer>;
}

export async function runTrainers(config: BenchConfig, entries: Entry[], bench: Bench): Promise<TrainerResult[]> {
  const running: { trainer: Trainer; result: TrainerResult }[] = [];
  for (const { name, create } of entries) {
    const batch = batchOf(config, 0);
    let trainer: Trainer | undefined;
    let loss = NaN;
    const start = await measure(bench, async () => {
      trainer = await create();
      loss = await trainer.step(batch);
    });
    const tuning = trainer!.tuning?.() ?? { pipelines: 0, ms: 0 };
    running.push({ trainer: trainer!, result: { name, start, tuning, steps: [{ ...start, loss, round: null }] } });
    bench.say(
      `train ${config.name}, ${name}: ready after ${(start.wallMs / 1000).toFixed(1)} s, loss ${loss.toFixed(5)}`,
    );
  }
  for (let round = 0; round < config.rounds; round++) {
    for (const { trainer, result } of running) {
      for (let i = 0; i < config.settle + config.steps; i++) {
        const batch = batchOf(config, result.steps.length);
        let loss = NaN;
        const cost = await measure(bench, async () => {
          loss = await trainer.step(batch);
        });
        result.steps.push({ ...cost, loss, round: i < config.settle ? null : round });
      }
      const { wallMs, loss } = result.steps.at(-1)!;
      bench.say(
        `train ${config.name}, ${result.name}: round ${round + 1}, ${wallMs.toFixed(0)} ms, loss ${loss.toFixed(5)}`,
      );
    }
  }
  return running.map(({ result }) => result);
}

/** The median step, figure by figure. */
export function typicalStep({ steps }: TrainerResult, round?: number): Cost {
  const measured = steps.filter((step) => step.round !== null && (round === undefined || step.round === round));
  const of = (value: (step: Step) => number) => median(measured.map(value));
  const counts = Object.fromEntries(COUNTED.map((name) => [name, of((step) => step.counts[name])])) as Counts;
  return { wallMs: of((step) => step.wallMs), cpuMs: of((step) => step.cpuMs), counts };
}
