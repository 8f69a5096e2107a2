/** @file What one unit of the benchmark leaves: its report, where it was measured, and how it stands to the goals. */
import { formatDecode, decodeProblems } from './decode/report';
import type { DecodeReport } from './decode/report';
import { formatGrpo } from './grpo/report';
import type { GrpoReport } from './grpo/report';
import type { Machine } from './machine';
import { formatMatmul, matmulProblems } from './matmul/report';
import type { MatmulReport } from './matmul/report';
import { formatSteady, steadyProblems } from './steady/report';
import type { SteadyReport } from './steady/report';
import { formatTrain, trainProblems } from './train/report';
import type { TrainReport } from './train/report';

export type Report =
  | { part: 'train'; report: TrainReport }
  | { part: 'matmul'; report: MatmulReport }
  | { part: 'decode'; report: DecodeReport }
  | { part: 'grpo'; report: GrpoReport }
  | { part: 'steady'; report: SteadyReport };

/** One unit's figures, with everything that they hold for. */
export type Entry = Report & { machine: Machine };

/** The unit's name in a file: `train M`. */
export function entryName(entry: Report): string {
  return 'config' in entry.report ? `${entry.part} ${entry.report.config}` : entry.part;
}

export function formatEntry(entry: Report): string {
  switch (entry.part) {
    case 'train':
      return formatTrain(entry.report);
    case 'matmul':
      return formatMatmul(entry.report);
    case 'decode':
      return formatDecode(entry.report);
    case 'grpo':
      return formatGrpo(entry.report);
    case 'steady':
      return formatSteady(entry.report);
  }
}

/** Why the figures mean nothing, if they do: results that differ, never times. */
export function problemsOf(entry: Report): string[] {
  switch (entry.part) {
    case 'train':
      return trainProblems(entry.report);
    case 'matmul':
      return matmulProblems(entry.report);
    case 'decode':
      return decodeProblems(entry.report);
    case 'steady':
      return steadyProblems(entry.report);
    case 'grpo':
      return [];
  }
}
