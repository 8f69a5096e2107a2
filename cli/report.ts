/** @file What an evaluation or a comparison of two says, as text. */
import type { Comparison, Estimate, PairedDifference, Summary } from '../src/envs';
import { columns, figure, oneLine } from './text';

/** `0.357  [0.241, 0.472]` */
export function formatEstimate({ mean, interval }: Pick<Estimate, 'mean' | 'interval'>): [string, string] {
  const fixed = (value: number) => value.toFixed(3);
  return [fixed(mean), interval ? `[${interval.map(fixed).join(', ')}]` : ''];
}

/**
 * A summary in lines.
 * @param weights of the reward functions by name; what is not there is not marked
 */
export function formatSummary(summary: Summary, weights: Readonly<Record<string, number>> = {}): string {
  const { reward, metrics, usage, failed, rollouts } = summary;
  const rates = (values: Record<string, number>) =>
    Object.entries(values)
      .map(([k, value]) => `${k}: ${value.toFixed(3)}`)
      .join('  ');
  const named = (name: string) =>
    name in weights ? (weights[name] === 0 ? 'metric' : `weight ${figure(weights[name]!)}`) : '';
  const rows: string[][] = [
    reward
      ? ['reward', ...formatEstimate(reward), `${reward.rollouts} rollouts of ${reward.examples} examples`]
      : ['reward', '-', '', 'no rollout was scored'],
    ...Object.entries(metrics).map(([name, each]) => [`  ${oneLine(name, 40)}`, ...formatEstimate(each), named(name)]),
  ];
  const lines = [columns(rows)];
  if (Object.keys(summary.passAtK).length > 0) {
    lines.push(`pass@k  ${rates(summary.passAtK)}   (solved: reward of at least ${summary.passThreshold})`);
    lines.push(`pass^k  ${rates(summary.passAllK)}`);
  }
  const ended = Object.entries(summary.stopConditions).map(([name, count]) => `${oneLine(name, 40)} ${count}`);
  lines.push(`ended   ${ended.join(', ')}${summary.truncated > 0 ? `; ${summary.truncated} cut off` : ''}`);
  if (usage) {
    lines.push(`tokens  ${usage.input_tokens.toFixed(1)} in, ${usage.output_tokens.toFixed(1)} out per rollout`);
  }
  if (summary.prefixBreaks > 0) {
    lines.push(
      `anew    ${summary.prefixBreaks} turns: the chat template renders what came before in another way by then`,
    );
  }
  if (failed > 0) {
    const errors = Object.entries(summary.errors).map(([name, count]) => `${oneLine(name, 60)} ${count}`);
    lines.push(`FAILED  ${failed} of ${rollouts}, in no mean: ${errors.join(', ')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** A comparison in lines. */
export function formatComparison({ reward, metrics, ...counts }: Comparison): string {
  const row = (name: string, each: PairedDifference): string[] => [
    name,
    each.a.toFixed(3),
    each.b.toFixed(3),
    ...formatEstimate({ mean: each.difference, interval: each.interval }),
    `${each.better} better, ${each.worse} worse`,
  ];
  const table = [
    ['', 'A', 'B', 'B - A', '95% interval', 'examples'],
    ...(reward ? [row('reward', reward)] : []),
    ...Object.entries(metrics).map(([name, each]) => row(`  ${oneLine(name, 40)}`, each)),
  ];
  const lines = [
    `${counts.paired} examples in both` +
      (counts.onlyA + counts.onlyB > 0 ? `; ${counts.onlyA} only in A, ${counts.onlyB} only in B` : '') +
      (counts.different > 0 ? `; ${counts.different} of the same number are other tasks and not compared` : ''),
  ];
  if (reward) lines.unshift(columns(table));
  return `${lines.join('\n')}\n`;
}
