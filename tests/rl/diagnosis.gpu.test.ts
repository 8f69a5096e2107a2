/** @file Lessons played for real, as far as it takes for the finding to be told: from the file to the line of metrics. */
import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import { diskFolder, starterFolder } from '../../cli/files';
import { runToEnd } from '../../cli/run_loop';
import type { Outcome } from '../../cli/run_loop';
import { NonFiniteUpdateError, resolveConfig } from '../../src/rl';
import type { ConfigLayer, FindingKind } from '../../src/rl';

const BRIEF = { eval: { interval: 0, examples: 20 } };

function play(lesson: string, ...layers: ConfigLayer[]): Promise<Outcome> {
  const path = new URL(`../../configs/lessons/${lesson}.toml`, import.meta.url);
  return runToEnd({
    config: resolveConfig(parse(readFileSync(path, 'utf8')), BRIEF, ...layers),
    acquire: () => acquireNodeGpu(),
    sources: {
      starter: (env) => Promise.resolve(starterFolder(env)),
      folder: (path) => Promise.resolve(diskFolder(path)),
    },
  });
}

const told = ({ metrics }: Outcome) => metrics.filter((metric) => metric.event === 'diagnosis');

it.each<[string, number, FindingKind]>([
  ['learning-rate', 3, 'reward-collapse'],
  ['too-hard', 3, 'too-hard'],
  ['too-easy', 3, 'too-easy'],
  ['truncation', 3, 'truncation'],
  ['reward-errors', 1, 'reward-errors'],
  ['too-many-updates', 2, 'mismatch'],
])('%s: within %i steps the run says %s, and nothing else', async (lesson, steps, kind) => {
  const warmup = steps < 3 ? { warmup_steps: 0 } : {};
  const outcome = await play(lesson, { grpo: { steps, ...warmup } });
  expect(outcome.error).toBeUndefined();
  expect(told(outcome).map((metric) => metric.kind)).toEqual([kind]);
});

it('not-finite: the run stops, says which setting did it, and keeps weights that are numbers', async () => {
  const outcome = await play('not-finite');
  expect(outcome.error).toBeInstanceOf(NonFiniteUpdateError);
  const [finding] = told(outcome);
  expect(finding).toMatchObject({ kind: 'not-finite', settings: [{ key: 'grpo.lr', now: 1, to: 5e-4 }, {}, {}] });
  expect(outcome.metrics.at(-1)).toBe(finding);
  const file = outcome.model!.get('model.safetensors')!;
  const header = new DataView(file.buffer, file.byteOffset).getUint32(0, true);
  const weights = new Float32Array(file.slice(8 + header).buffer);
  expect(weights.length).toBeGreaterThan(70_000);
  expect(weights.every(Number.isFinite)).toBe(true);
});
