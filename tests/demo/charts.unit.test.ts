/** @file What the charts say in words, and how rewards are scaled. */
import { render } from 'svelte/server';
import { expect, it } from 'vitest';
import Chart from '../../demo/panels/Chart.svelte';
import { rewardAxis, spreadOf } from '../../demo/panels/reward_scale';

it('the label of a chart names each visible line with its own latest value', () => {
  const { body } = render(Chart, {
    props: {
      title: 'Reward',
      x: [0, 1, 2],
      end: 2,
      lines: [
        { label: 'upper', color: '--leaf', values: [null, 9, 9], hidden: true },
        { label: 'lower', color: '--leaf', values: [null, 8, 8], hidden: true },
        { label: 'mean', color: '--leaf', values: [null, 0.25, 0.5] },
        { label: 'eval', color: '--soil', values: [0.1, 0.75, null], format: (value: number) => `${100 * value}%` },
        { label: 'later', color: '--soft', values: [null, null, null] },
      ],
      format: (value: number) => value.toFixed(2),
    },
  });
  expect(body).toContain('aria-label="Reward: mean 0.50, eval 75%, later no value yet"');
  expect(body).not.toContain('upper');
});

it('the spread of a step never leaves its rewards', () => {
  expect(spreadOf({ mean: 0.9, std: 0.3, min: 0, max: 1 })).toEqual({ low: 0.6000000000000001, high: 1 });
  expect(spreadOf({ mean: 0.1, std: 0.3, min: 0, max: 1 })).toEqual({ low: 0, high: 0.4 });
  // Rewards are whatever a rubric makes of them.
  expect(spreadOf({ mean: -2, std: 1, min: -5, max: 4 })).toEqual({ low: -3, high: -1 });
});

it('the axis of rewards goes from 0 to 1, and to where they are', () => {
  expect(rewardAxis(null, null)).toEqual([0, 1.02]);
  expect(rewardAxis(0.2, 0.8)).toEqual([0, 1.02]);
  expect(rewardAxis(0.5, 3)).toEqual([0, 3.06]);
  const [from, to] = rewardAxis(-3, -1);
  expect(from).toBeLessThan(-3);
  expect(to).toBeGreaterThan(1);
});
