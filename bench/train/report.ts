/** @file What a run of trainers says: a table for people, and an object with every figure for files. */
import { countParameters } from '../../src/model';
import { COUNTED } from '../counters';
import type { Counts } from '../counters';
import { describeRatio, largestDifference, ratioOf } from '../statistics';
import type { Ratio } from '../statistics';
import { textTable } from '../table';
import { ADAMW, flopsPerStep, tokensPerStep } from './configs';
import type { BenchConfig } from './configs';
import { typicalStep } from './run';
import type { TrainerResult } from './run';
import type { Tuning } from './trainer';

/** Losses of the same work may differ by this much, relatively: float32 sums in another order. */
export const LOSS_TOLERANCE = 1e-3;

export interface TrainerReport {
  name: string;
  msPerStep: number;
  cpuMsPerStep: number;
  tokensPerSecond: number;
  tokensPerCpuSecond: number;
  gflopsPerSecond: number;
  perStep: Counts;
  start: { ms: number; cpuMs: number } & Counts;
  /** The part of the start that went into choosing kernels. */
  tuning: Tuning;
  losses: number[];
  measured: { round: number; wallMs: number; cpuMs: number }[];
}

/** Ours beside one of the others. */
export interface Comparison {
  peer: string;
  /** Tokens per second, ours over theirs. */
  wall: Ratio;
  /** Tokens per CPU second, ours over theirs. */
  cpu: Ratio;
  /** From nothing to the end of the first step, ours over theirs: below 1 is faster. */
  start: { wall: number; cpu: number };
  /** Largest relative difference of the losses of a step. */
  lossDifference: number;
}

export interface TrainReport {
  config: string;
  parameters: number;
  model: BenchConfig['model'];
  batch: number;
  length: number;
  tokensPerStep: number;
  gflopPerStep: number;
  optimizer: typeof ADAMW;
  rounds: number;
  stepsPerRound: number;
  trainers: TrainerReport[];
  comparisons: Comparison[];
}

/** @param results ours first */
export function makeReport(config: BenchConfig, results: readonly TrainerResult[]): TrainReport {
  const tokens = tokensPerStep(config);
  const [ours, ...peers] = results as [TrainerResult, ...TrainerResult[]];
  return {
    config: config.name,
    parameters: countParameters(config.model),
    model: config.model,
    batch: config.batch,
    length: config.length,
    tokensPerStep: tokens,
    gflopPerStep: flopsPerStep(config) / 1e9,
    optimizer: ADAMW,
    rounds: config.rounds,
    stepsPerRound: config.steps,
    trainers: results.map((result) => {
      const { wallMs, cpuMs, counts } = typicalStep(result);
      return {
        name: result.name,
        msPerStep: wallMs,
        cpuMsPerStep: cpuMs,
        tokensPerSecond: tokens / (wallMs / 1000),
        tokensPerCpuSecond: tokens / (cpuMs / 1000),
        gflopsPerSecond: flopsPerStep(config) / wallMs / 1e6,
        perStep: counts,
        start: { ms: result.start.wallMs, cpuMs: result.start.cpuMs, ...result.start.counts },
        tuning: result.tuning,
        losses: result.steps.map(({ loss }) => loss),
        measured: result.steps.flatMap(({ round, wallMs, cpuMs }) =>
          round === null ? [] : [{ round, wallMs, cpuMs }],
        ),
      };
    }),
    comparisons: peers.map((peer) => compare(config, ours, peer)),
  };
}

function compare(config: BenchConfig, ours: TrainerResult, peer: TrainerResult): Comparison {
  const ratio = (figure: 'wallMs' | 'cpuMs'): Ratio => {
    const rounds = (result: TrainerResult) =>
      Array.from({ length: config.rounds }, (_, round) => typicalStep(result, round)[figure]);
    const ofMedians = typicalStep(peer)[figure] / typicalStep(ours)[figure]; // of all steps
    return { ...ratioOf(rounds(peer), rounds(ours)), ofMedians };
  };
  const losses = ({ steps }: TrainerResult) => steps.map(({ loss }) => loss);
  return {
    peer: peer.name,
    wall: ratio('wallMs'),
    cpu: ratio('cpuMs'),
    start: { wall: ours.start.wallMs / peer.start.wallMs, cpu: ours.start.cpuMs / peer.start.cpuMs },
    lossDifference: largestDifference(losses(ours), losses(peer)),
  };
}

/** Why the figures mean nothing, if they do. */
export function trainProblems({ comparisons }: TrainReport): string[] {
  return comparisons
    .filter(({ lossDifference }) => !(lossDifference <= LOSS_TOLERANCE))
    .map(
      ({ peer, lossDifference }) =>
        `the losses of ours and ${peer} differ by ${lossDifference.toExponential(1)}, more than ${LOSS_TOLERANCE}: ` +
        'this was not the same work',
    );
}

const NAMES: Partial<Record<keyof Counts, string>> = {
  bindGroups: 'bind groups',
  bytesWritten: 'bytes written',
  bytesMapped: 'bytes mapped',
};

export function formatTrain(report: TrainReport): string {
  const { trainers, comparisons } = report;
  const head = [
    '',
    'ms/step',
    'CPU ms/step',
    'tokens/s',
    'GFLOP/s',
    'start s',
    'start CPU s',
    ...COUNTED.map((name) => NAMES[name] ?? name),
    'pipelines, all',
    "tuner's",
    'tuning s',
  ];
  const rows = trainers.map((t) => [
    t.name,
    t.msPerStep.toFixed(1),
    t.cpuMsPerStep.toFixed(1),
    t.tokensPerSecond.toFixed(0),
    t.gflopsPerSecond.toFixed(2),
    (t.start.ms / 1000).toFixed(1),
    (t.start.cpuMs / 1000).toFixed(1),
    ...COUNTED.map((name) => `${t.perStep[name]}`),
    `${t.start.pipelines}`,
    `${t.tuning.pipelines}`,
    (t.tuning.ms / 1000).toFixed(1),
  ]);
  const { losses } = trainers[0]!;
  return [
    `${report.config}: ${report.parameters.toLocaleString('en')} parameters, ${report.tokensPerStep} tokens and ` +
      `${report.gflopPerStep.toFixed(2)} GFLOP per step; medians over ${report.rounds} x ${report.stepsPerRound} steps\n`,
    textTable(head, rows),
    ...comparisons.map(
      ({ peer, wall, cpu, start, lossDifference }) =>
        `over ${peer}: tokens per second ${describeRatio(wall)}, per CPU second ${describeRatio(cpu)}; first step in ` +
        `${start.wall.toFixed(2)} of its time and ${start.cpu.toFixed(2)} of its CPU time; ` +
        `losses differ by ${lossDifference.toExponential(1)}\n`,
    ),
    `losses over ${losses.length} steps: ${losses[0]!.toFixed(5)} to ${losses.at(-1)!.toFixed(5)}\n`,
  ].join('');
}
