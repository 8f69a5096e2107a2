/** @file What a run says: a table for people, and an object with every figure for files. */
import { countParameters } from '../src/model';
import { COUNTED } from './counters';
import { ADAMW, flopsPerStep, tokensPerStep } from './configs';
import type { BenchConfig } from './configs';
import manifest from './package.json';
import { lossDifference, median, typicalStep } from './run';
import type { TrainerResult } from './run';

/** Losses of the same work may differ by this much, relatively: float32 sums in another order. */
export const LOSS_TOLERANCE = 1e-3;

/** How many times as fast as the last trainer the first one is. */
export interface Ratio {
  median: number;
  /** One per round: the spread says what the median is worth. */
  rounds: number[];
}

export interface Machine {
  adapter: string;
  date: string;
  node: string;
  cpu: string;
  cores: number;
}

export type Report = ReturnType<typeof makeReport>;

export function makeReport(machine: Machine, config: BenchConfig, results: TrainerResult[]) {
  const tokens = tokensPerStep(config);
  const trainers = results.map((result) => {
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
      losses: result.steps.map(({ loss }) => loss),
      measured: result.steps.flatMap(({ round, wallMs, cpuMs }) => (round === null ? [] : [{ round, wallMs, cpuMs }])),
    };
  });
  const [first, last] = [results[0]!, results.at(-1)!];
  const compared = results.length > 1;
  return {
    ...machine,
    peer: `@jax-js/jax ${manifest.dependencies['@jax-js/jax']}`,
    config: config.name,
    model: config.model,
    parameters: countParameters(config.model),
    batch: config.batch,
    length: config.length,
    tokensPerStep: tokens,
    gflopPerStep: flopsPerStep(config) / 1e9,
    optimizer: ADAMW,
    rounds: config.rounds,
    stepsPerRound: config.steps,
    trainers,
    ratio: compared
      ? { wall: ratio(config, first, last, 'wallMs'), cpu: ratio(config, first, last, 'cpuMs') }
      : undefined,
    lossDifference: compared ? lossDifference(first, last) : undefined,
  };
}

function ratio(config: BenchConfig, a: TrainerResult, b: TrainerResult, figure: 'wallMs' | 'cpuMs'): Ratio {
  const rounds = Array.from({ length: config.rounds }, (_, r) => typicalStep(b, r)[figure] / typicalStep(a, r)[figure]);
  return { median: median(rounds), rounds };
}

export function formatReport(report: Report): string {
  const { trainers, ratio } = report;
  const head = [
    '',
    'ms/step',
    'CPU ms/step',
    'tokens/s',
    'GFLOP/s',
    'start s',
    'start CPU s',
    ...COUNTED.map((name) => name.replace(/[A-Z]/, (letter) => ` ${letter.toLowerCase()}`)),
    'pipelines, all',
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
  ]);
  const lines = [
    `${report.adapter}, Node ${report.node}, ${report.cpu} (${report.cores} cores), ${report.date}`,
    `${report.config}: ${report.parameters.toLocaleString('en')} parameters, ${report.tokensPerStep} tokens and ` +
      `${report.gflopPerStep.toFixed(2)} GFLOP per step; medians over ${report.rounds} x ${report.stepsPerRound} steps`,
    '',
    ...alignColumns([head, ...rows]),
  ];
  if (ratio) {
    const spread = ({ median, rounds }: Ratio) =>
      `${median.toFixed(2)} (${Math.min(...rounds).toFixed(2)} to ${Math.max(...rounds).toFixed(2)})`;
    lines.push(
      '',
      `${trainers[0]!.name} / ${report.peer}, tokens per second: ${spread(ratio.wall)}`,
      `the same, tokens per CPU second: ${spread(ratio.cpu)}`,
      `losses over ${trainers[0]!.losses.length} steps: ${trainers[0]!.losses[0]!.toFixed(5)} to ` +
        `${trainers[0]!.losses.at(-1)!.toFixed(5)}, largest relative difference ${report.lossDifference!.toExponential(1)}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** The first column to the left, figures to the right. */
function alignColumns(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '),
  );
}
