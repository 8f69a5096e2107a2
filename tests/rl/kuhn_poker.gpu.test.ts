/** @file A game of two seats in a training step: both seats learn from their own rollouts, and a small model learns to win. */
import { expect, it } from 'vitest';
import { diskFolder, starterPath } from '../../cli/files';
import { completionTokens } from '../../src/envs';
import { exploitability, strategyOfModel } from '../../src/envs/library/kuhn-poker';
import { Run, grpoStep, resolveConfig } from '../../src/rl';
import type { ConfigLayer } from '../../src/rl';
import { testGpu } from '../gpu';

async function start(layer: ConfigLayer) {
  const config = resolveConfig({ env: 'kuhn-poker' }, layer);
  const sources = {
    starter: (env: string) => Promise.resolve(diskFolder(starterPath(env))),
    folder: () => Promise.reject(new Error('the starter is there')),
  };
  return { config, run: await Run.create(await testGpu(), config, sources) };
}

it('self-play: each seat of a deal is a group, what one wins the other loses, and both are trained', async () => {
  const { config, run } = await start({ grpo: { batch_size: 64, group_size: 8, warmup_steps: 0 } });
  const { report, groups } = await grpoStep(run.policy, run.env, { step: 1, config });
  run.destroy();
  expect(groups).toHaveLength(16);
  for (const { traces } of groups) {
    expect(traces).toHaveLength(8);
    expect(new Set(traces.map(({ seat }) => seat)).size).toBe(1);
    const mean = traces.reduce((sum, { advantage }) => sum + advantage!, 0) / 8;
    expect(mean).toBeCloseTo(0, 10);
  }
  for (let g = 0; g < groups.length; g += 2) {
    groups[g]!.traces.forEach(({ reward }, i) => expect(reward! + groups[g + 1]!.traces[i]!.reward!).toBe(0));
  }
  const seats = new Map<string, number>();
  for (const trace of groups.flatMap(({ traces }) => traces)) {
    seats.set(trace.seat!, (seats.get(trace.seat!) ?? 0) + completionTokens(trace));
  }
  expect([...seats.keys()].sort()).toEqual(['first', 'second']);
  for (const tokens of seats.values()) expect(tokens).toBeGreaterThanOrEqual(64);
  expect(report.rollouts).toBe(128);
  // What was sampled, turn by turn and seat by seat, is what is trained on.
  expect(report.update!.maxLogRatio).toBeLessThan(1e-4);
});

it('against a player who acts at random it learns to win', async () => {
  const { config, run } = await start({
    env_args: { opponent: 'random' },
    grpo: { batch_size: 192, lr: 1e-3, entropy_coefficient: 0, warmup_steps: 0 },
  });
  const before = exploitability(await strategyOfModel(run.policy.chatModel()));
  expect(before).toBeGreaterThan(0.2); // near the 11/24 of acting at random
  expect(before).toBeLessThan(11 / 24 + 0.02);
  const rewards: number[] = [];
  for (let step = 1; step <= 12; step++) {
    const { report } = await grpoStep(run.policy, run.env, { step, config });
    rewards.push(report.reward.mean);
  }
  run.destroy();
  expect(rewards.at(-1)!).toBeGreaterThan(rewards[0]! + 0.15);
});
