/** @file What the steady state came to. */
import type { Cost } from '../measure';
import { median } from '../statistics';
import { textTable } from '../table';

export interface SteadyReport {
  steps: number;
  tokens: number;
  msPerStep: number;
  cpuMsPerStep: number;
  /** Until everything is submitted. */
  hostMsPerStep: number;
  hostShare: number;
  /** The most that any step had. */
  submits: number;
  /** Buffers, bind groups and pipelines of all steps together. */
  created: number;
  bytesGrown: number;
}

export function makeSteadyReport(
  tokens: number,
  costs: readonly Cost[],
  hostMs: readonly number[],
  bytesGrown: number,
): SteadyReport {
  const msPerStep = median(costs.map(({ wallMs }) => wallMs));
  const hostMsPerStep = median(hostMs);
  return {
    steps: costs.length,
    tokens,
    msPerStep,
    cpuMsPerStep: median(costs.map(({ cpuMs }) => cpuMs)),
    hostMsPerStep,
    hostShare: hostMsPerStep / msPerStep,
    submits: Math.max(...costs.map(({ counts }) => counts.submits)),
    created: costs.reduce((sum, { counts }) => sum + counts.buffers + counts.bindGroups + counts.pipelines, 0),
    bytesGrown,
  };
}

/** What must hold on every machine. */
export function steadyProblems({ created, bytesGrown }: SteadyReport): string[] {
  return created === 0 && bytesGrown === 0
    ? []
    : [`steady: ${created} objects and ${bytesGrown} bytes came to be in the steady state`];
}

export function formatSteady(report: SteadyReport): string {
  const { steps, tokens, msPerStep, cpuMsPerStep, hostMsPerStep, hostShare, submits, created, bytesGrown } = report;
  const head = ['', 'ms/step', 'CPU ms/step', 'host ms', 'host share', 'submits', 'created', 'bytes more'];
  const row = [
    `${tokens} tokens`,
    msPerStep.toFixed(2),
    cpuMsPerStep.toFixed(2),
    hostMsPerStep.toFixed(2),
    `${(100 * hostShare).toFixed(1)}%`,
    `${submits}`,
    `${created}`,
    `${bytesGrown}`,
  ];
  return `an optimizer step of config S through Policy.update; medians of ${steps}\n${textTable(head, [row])}`;
}
