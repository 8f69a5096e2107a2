/** @file What decoding came to. */
import type { ModelConfig } from '../../src/model';
import { describeRatio, median, ratioOf } from '../statistics';
import type { Ratio } from '../statistics';
import { textTable } from '../table';

/** Measurements of one decoder with so many rollouts of one prompt. */
export interface Series {
  decoder: string;
  rollouts: number;
  /** Per round. */
  ms: number[];
  cpuMs: number[];
}

export interface DecodeReport {
  config: string;
  model: ModelConfig;
  parameters: number;
  promptTokens: number;
  newTokens: number;
  rounds: number;
  series: (Series & { tokensPerSecond: number; tokensPerCpuSecond: number })[];
  ratios: { name: string; wall: Ratio; cpu: Ratio }[];
  /**
   * In how many of our greedy sequences every token is that of transformers.js on the CPU, and in how many of its own on
   * this adapter; null where there is nobody to compare with.
   */
  equal: { sequences: number; of: number; firstDifference: number | null; theirs: number } | null;
  /** Why somebody is missing. */
  missing: string | null;
}

export type Setting = Pick<
  DecodeReport,
  'config' | 'model' | 'parameters' | 'promptTokens' | 'newTokens' | 'rounds' | 'equal' | 'missing'
>;

const OURS = 'ours';
const THEIRS = 'transformers.js';

export function makeDecodeReport(setting: Setting, series: readonly Series[]): DecodeReport {
  const tokens = ({ rollouts }: Series) => rollouts * setting.newTokens;
  const find = (decoder: string, many: boolean) =>
    series.find((each) => each.decoder === decoder && each.rollouts > 1 === many);
  const ratios: DecodeReport['ratios'] = [];
  const compare = (name: string, a: Series | undefined, b: Series | undefined) => {
    if (!a || !b) return;
    const of = (figure: 'ms' | 'cpuMs') => {
      const perToken = (each: Series) => each[figure].map((ms) => ms / tokens(each));
      return ratioOf(perToken(b), perToken(a));
    };
    ratios.push({ name, wall: of('ms'), cpu: of('cpuMs') });
  };
  const [one, many] = [find(OURS, false), find(OURS, true)];
  compare(`one stream over ${THEIRS}`, one, find(THEIRS, false));
  compare(`rollouts in sum over one stream of ${THEIRS}`, many, find(THEIRS, false));
  compare(`rollouts in sum over ${THEIRS} with the same batch`, many, find(THEIRS, true));
  compare('rollouts in sum over our own one stream', many, one);
  return {
    ...setting,
    series: series.map((each) => ({
      ...each,
      tokensPerSecond: tokens(each) / (median(each.ms) / 1000),
      tokensPerCpuSecond: tokens(each) / (median(each.cpuMs) / 1000),
    })),
    ratios,
  };
}

/** Why the figures mean nothing, if they do. */
export function decodeProblems({ equal, config }: DecodeReport): string[] {
  if (!equal || equal.sequences === equal.of) return [];
  return [
    `decode ${config}: ${equal.of - equal.sequences} of ${equal.of} greedy sequences differ from that of ${THEIRS} on the CPU, ` +
      `the first at token ${equal.firstDifference}`,
  ];
}

export function formatDecode(report: DecodeReport): string {
  const { config, parameters, promptTokens, newTokens, rounds, equal, missing } = report;
  const head = ['', 'rollouts', 'tokens/s', 'tokens/CPU s', 'ms', 'CPU ms'];
  const rows = report.series.map((each) => [
    each.decoder,
    `${each.rollouts}`,
    each.tokensPerSecond.toFixed(1),
    each.tokensPerCpuSecond.toFixed(1),
    median(each.ms).toFixed(0),
    median(each.cpuMs).toFixed(0),
  ]);
  return [
    `${config}: ${parameters.toLocaleString('en')} parameters in f32, ${newTokens} tokens after a prompt of ` +
      `${promptTokens}, which is computed in the same time; medians of ${rounds}, in turns\n`,
    textTable(head, rows),
    ...report.ratios.map(
      ({ name, wall, cpu }) =>
        `${name}: tokens per second ${describeRatio(wall)}, per CPU second ${describeRatio(cpu)}\n`,
    ),
    equal ? `greedy sequences that are right: ours ${equal.sequences}, ${THEIRS} ${equal.theirs} of ${equal.of}\n` : '',
    missing === null ? '' : `${missing}\n`,
  ].join('');
}
