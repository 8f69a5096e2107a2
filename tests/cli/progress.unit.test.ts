/** @file The line that a person reads while a run goes on. */
import { expect, it } from 'vitest';
import { ProgressLine } from '../../cli/progress';
import type { Metric } from '../../src/rl';

function step(changes: Partial<Extract<Metric, { event: 'step' }>>): Metric {
  return {
    event: 'step',
    step: 1,
    reward: { mean: 0.25, std: 0.1, min: 0, max: 1 },
    solveRate: 0.25,
    metrics: {},
    rollouts: 16,
    errors: 0,
    rewardErrors: {},
    truncated: 0,
    overlong: 0,
    completionLength: 7.5,
    groups: 2,
    groupsWithSignal: 1,
    groupsTooEasy: 0,
    groupsTooHard: 1,
    groupsReplaced: 0,
    prefixBreaks: 0,
    staleness: 0,
    lr: 1e-3,
    update: null,
    rolloutSeconds: 1.5,
    updateSeconds: 0.5,
    idleSeconds: 0.5,
    tokensPerSecond: 1234.5,
    rewardByEnding: { truncated: null, complete: 0.25 },
    sampledEntropy: 0.5,
    ...changes,
  };
}

it('the start: what is trained, on what, and the memory it takes', () => {
  const parts = { weights: 1, gradients: 1, optimizer: 2, activations: 4, batch: 1, cache: 1, sampler: 1, copies: 0 };
  const line = new ProgressLine().describe(
    {
      event: 'start',
      env: 'letter-sort',
      seed: 3,
      adapter: 'a GPU',
      parameters: 5000,
      trained: 5000,
      start: 'starter',
      memory: {
        microBatchTokens: 512,
        recompute: true,
        bytes: 40 * 2 ** 20,
        budgetBytes: 2 ** 30,
        parts: { ...parts, readback: 1 },
      },
    },
    4,
  );
  expect(line).toBe(
    'letter-sort, seed 3, 5000 parameters from starter, on a GPU, ' +
      '40 MiB of its memory (512 tokens at a time, activations computed again)',
  );
});

it('the start of a run with LoRA says what is trained', () => {
  const parts = { weights: 1, gradients: 1, optimizer: 2, activations: 4, batch: 1, cache: 1, sampler: 1, copies: 0 };
  const line = new ProgressLine().describe(
    {
      event: 'start',
      env: 'letter-sort',
      seed: 3,
      adapter: 'a GPU',
      parameters: 5000,
      trained: 600,
      start: 'starter',
      memory: {
        microBatchTokens: 512,
        recompute: true,
        bytes: 40 * 2 ** 20,
        budgetBytes: 2 ** 30,
        parts: { ...parts, readback: 1 },
      },
    },
    4,
  );
  expect(line).toContain('5000 parameters from starter, an adapter of 600 is trained, on a GPU, ');
});

it('a step: reward, signal, rate and time left', () => {
  const line = new ProgressLine();
  expect(line.describe(step({}), 4)).toBe(
    'step 1/4  reward 0.250  signal 1/2  length 7.5  entropy -  1235 tokens/s  2.0 s/step  GPU idle 25%  6 s left',
  );
  // The time left goes by the average so far.
  expect(line.describe(step({ step: 2, rolloutSeconds: 3.5 }), 4)).toContain('  4.0 s/step  GPU idle 13%  6 s left');
});

it('turns whose tokens could not be continued are counted', () => {
  const line = new ProgressLine();
  expect(line.describe(step({ prefixBreaks: 3 }), 4)).toMatch(/ {2}3 turns rendered anew$/);
  expect(line.describe(step({}), 4)).not.toContain('anew');
});

it('rollouts that failed are not to be overlooked', () => {
  const line = new ProgressLine();
  expect(line.describe(step({ errors: 2 }), 4)).toMatch(/ {2}2 FAILED ROLLOUTS$/);
  expect(line.describe(step({ errors: 0 }), 4)).not.toContain('FAILED');
});

it('a device that was replaced is told', () => {
  const message = 'The GPU device was lost (unknown): driver reset';
  expect(new ProgressLine().describe({ event: 'recovered', step: 5, message }, 20)).toBe(
    `${message}; went on with a new device from step 5`,
  );
});

it('a finding: since when, what, why, and what to set; and when it is over', () => {
  const finding: Metric = {
    event: 'diagnosis',
    state: 'found',
    step: 3,
    kind: 'too-hard',
    title: 'Too hard',
    since: 1,
    message: 'No rollout is right.',
    settings: [{ key: 'grpo.group_size', now: 8, to: 32 }],
    remedy: '',
    evidence: {},
  };
  const line = new ProgressLine();
  expect(line.describe(finding, 20)).toBe(
    'diagnosis, since step 1: Too hard. No rollout is right.\n  Set grpo.group_size to 32 (now 8).',
  );
  expect(line.describe({ ...finding, state: 'over', step: 9 }, 20)).toBe('diagnosis: over since step 9: Too hard');
});
