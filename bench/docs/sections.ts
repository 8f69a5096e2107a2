/** @file Results as sections of docs/PERFORMANCE.md. */
import type { Entry } from '../entry';
import { goalsOf } from '../goals';
import { machineLine } from '../machine';
import { describeShape } from '../matmul/report';
import type { ResultFile } from '../results';
import type { Ratio } from '../statistics';
import { figure, grouped, markdownTable } from '../table';
import { formatBytes } from '../../src/kernels';
import type { Bar } from './plot';

type Part = Entry['part'];

/** A section of one adapter; undefined where the file has nothing of it. */
type Section = (file: ResultFile) => string | undefined;

export const SECTIONS: Readonly<Record<'goals' | Part, Section>> = {
  goals: ({ entries }) => {
    const rows = Object.values(entries).flatMap((entry) =>
      goalsOf(entry).map(({ what, wanted, measured, met }) => [what, wanted, figure(measured), met ? 'yes' : '**no**']),
    );
    return rows.length > 0 ? markdownTable(['goal', 'wanted', 'measured', 'met'], rows) : undefined;
  },
  train: (file) => {
    const entries = of(file, 'train');
    if (entries.length === 0) return undefined;
    const head = ['config', 'trainer', 'ms/step', 'CPU ms/step', 'tokens/s', 'first step s', 'first step CPU s'];
    const counted = ['dispatches', 'submits', 'objects made', 'KiB moved', 'pipelines', "tuner's"];
    const rows = entries.flatMap(({ report }) =>
      report.trainers.map((t, i) => [
        i === 0
          ? `${report.config}: ${grouped(report.parameters)} parameters, ${report.gflopPerStep.toFixed(2)} GFLOP`
          : '',
        t.name,
        figure(t.msPerStep),
        figure(t.cpuMsPerStep),
        grouped(t.tokensPerSecond),
        (t.start.ms / 1000).toFixed(1),
        (t.start.cpuMs / 1000).toFixed(1),
        `${t.perStep.dispatches}`,
        `${t.perStep.submits}`,
        `${t.perStep.buffers + t.perStep.bindGroups + t.perStep.pipelines}`,
        figure((t.perStep.bytesWritten + t.perStep.bytesMapped) / 1024),
        `${t.start.pipelines - t.tuning.pipelines}`,
        t.tuning.pipelines > 0 ? `${t.tuning.pipelines} in ${(t.tuning.ms / 1000).toFixed(1)} s` : '0',
      ]),
    );
    const ratios = entries.flatMap(({ report }) =>
      report.comparisons.map(({ peer, wall, cpu, lossDifference }) => [
        `${report.config} over ${peer}`,
        spread(wall),
        spread(cpu),
        lossDifference.toExponential(1),
      ]),
    );
    const ratioHead = ['tokens per second', 'wall', 'CPU', 'losses differ by'];
    return (
      markdownTable([...head, ...counted], rows) + (ratios.length > 0 ? `\n${markdownTable(ratioHead, ratios)}` : '')
    );
  },
  matmul: (file) => {
    const [entry] = of(file, 'matmul');
    if (!entry) return undefined;
    const { shapes, summary, rounds } = entry.report;
    const others = Object.keys(summary);
    const head = [
      'product',
      'layer',
      ...['ours', ...others].map((name) => `${name}`),
      ...others.map((name) => `over ${name}`),
    ];
    const rows = shapes.map((shape) => [
      describeShape(shape),
      shape.name,
      ...['ours', ...others].map((name) => shape.gflops[name]!.toFixed(2)),
      ...others.map((name) => shape.over[name]!.wall.ofMedians.toFixed(2)),
    ]);
    const totals = others.map((name) => {
      const { wall, cpu } = summary[name]!;
      const worst = `${wall.worst.toFixed(2)} (${wall.worstShape})`;
      return [name, wall.mean.toFixed(2), worst, cpu.mean.toFixed(2), cpu.worst.toFixed(2)];
    });
    return (
      markdownTable(['ours over', 'geometric mean', 'worst', 'mean by CPU time', 'worst by CPU time'], totals) +
      `\nGFLOP/s, medians of ${rounds} in turns:\n\n${markdownTable(head, rows)}`
    );
  },
  decode: (file) => {
    const entries = of(file, 'decode');
    if (entries.length === 0) return undefined;
    const rows = entries.flatMap(({ report }) =>
      report.series.map((each, i) => [
        i === 0 ? `${report.config}: ${report.newTokens} tokens after ${report.promptTokens}` : '',
        each.decoder,
        `${each.rollouts}`,
        figure(each.tokensPerSecond),
        figure(each.tokensPerCpuSecond),
      ]),
    );
    const ratios = entries.flatMap(({ report }) =>
      report.ratios.map(({ name, wall, cpu }) => [`${report.config}: ${name}`, spread(wall), spread(cpu)]),
    );
    const equal = entries.flatMap(({ report: { config, equal, missing } }) =>
      equal
        ? [
            `${config}: of ${equal.of} greedy sequences, ${equal.sequences} of ours and ${equal.theirs} of transformers.js ` +
              `on this adapter are what it decodes on the CPU.`,
          ]
        : missing
          ? [`${config}: ${missing}.`]
          : [],
    );
    return (
      markdownTable(['model', 'decoder', 'rollouts', 'tokens/s', 'tokens per CPU s'], rows) +
      (ratios.length > 0 ? `\n${markdownTable(['tokens per second', 'wall', 'CPU'], ratios)}` : '') +
      `\n${equal.join(' ')}\n`
    );
  },
  grpo: (file) => {
    const [entry] = of(file, 'grpo');
    if (!entry) return undefined;
    const head = [
      'groups',
      'rollouts',
      's/step',
      'rollout',
      'reward',
      'update',
      'GPU idle',
      'tokens/s',
      'plan',
      'peak',
    ];
    const rows = entry.report.series.map((each) => {
      const share = (seconds: number) => `${((100 * seconds) / each.median.seconds).toFixed(0)}%`;
      const { rollout, reward, update, idle, seconds } = each.median;
      return [
        `${each.groups}`,
        `${each.rollouts}`,
        figure(seconds),
        ...[rollout, reward, update, idle].map(share),
        grouped(each.tokensPerSecond),
        formatBytes(each.plannedBytes),
        formatBytes(each.peakBytes),
      ];
    });
    return markdownTable(head, rows);
  },
  steady: (file) => {
    const [entry] = of(file, 'steady');
    if (!entry) return undefined;
    const { steps, tokens, msPerStep, hostMsPerStep, hostShare, submits, created, bytesGrown } = entry.report;
    const head = ['tokens', 'steps', 'ms/step', 'host ms', 'host share', 'submits', 'objects made', 'bytes more'];
    const share = `${(100 * hostShare).toFixed(1)}%`;
    const row = [tokens, steps, figure(msPerStep), figure(hostMsPerStep), share, submits, created, bytesGrown];
    return markdownTable(head, [row.map(String)]);
  },
};

/** Bars of everything that was compared. */
export function barsOf(file: ResultFile): Bar[] {
  const bar = (label: string, { ofMedians, rounds }: Ratio): Bar => ({
    label,
    value: ofMedians,
    low: Math.min(...rounds),
    high: Math.max(...rounds),
  });
  const train = of(file, 'train').flatMap(({ report }) =>
    report.comparisons.map(({ peer, wall }) => bar(`training ${report.config} over ${peer}`, wall)),
  );
  const matmul = of(file, 'matmul').flatMap(({ report }) =>
    Object.entries(report.summary).map(([name, { wall }]): Bar => {
      const ratios = report.shapes.map((shape) => shape.over[name]!.wall.ofMedians);
      return {
        label: `matmul over ${name === 'plain' ? 'the plain kernel' : name}`,
        value: wall.mean,
        low: wall.worst,
        high: Math.max(...ratios),
      };
    }),
  );
  const decode = of(file, 'decode').flatMap(({ report }) =>
    report.ratios.slice(0, 3).map(({ name, wall }) => bar(`decoding ${report.config}, ${SHORT[name] ?? name}`, wall)),
  );
  return [...train, ...matmul, ...decode];
}

/** What stands beside a bar. */
const SHORT: Readonly<Record<string, string>> = {
  'one stream over transformers.js': 'one stream',
  'rollouts in sum over one stream of transformers.js': 'rollouts over its one stream',
  'rollouts in sum over transformers.js with the same batch': 'rollouts over its batch',
};

export function adapterLine(file: ResultFile): string {
  const machines = Object.values(file.entries).map(({ machine }) => machine);
  const dates = [...new Set(machines.map(({ date }) => date))].sort();
  const versions = Object.entries(machines[0]!.versions).map(([name, version]) => `${name} ${version}`);
  return `${machineLine({ ...machines[0]!, date: dates.join(' and ') })}; ${versions.join(', ')}`;
}

function of<P extends Part>({ entries }: ResultFile, part: P): (Entry & { part: P })[] {
  return Object.values(entries).filter((entry): entry is Entry & { part: P } => entry.part === part);
}

function spread({ ofMedians, rounds }: Ratio): string {
  return `${ofMedians.toFixed(2)} (${Math.min(...rounds).toFixed(2)} to ${Math.max(...rounds).toFixed(2)})`;
}
