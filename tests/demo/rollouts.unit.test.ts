/** @file The rollouts of a group as the page shows them, the failed ones included. */
import { render } from 'svelte/server';
import { expect, it } from 'vitest';
import Rollouts from '../../demo/panels/Rollouts.svelte';
import { Trainer } from '../../demo/trainer.svelte';
import type { Trace } from '../../src/envs';
import { traceOf } from './trace';

/** The panel's rollouts as text, one each. */
function shown(...traces: Trace[]): string[] {
  const trainer = new Trainer(() => undefined);
  trainer.tokens = ['<eos>', 'a', 'b', 'c', '<script>'];
  trainer.groups = [{ exampleId: 0, traces }];
  const { body } = render(Rollouts, { props: { trainer } });
  return [...body.matchAll(/<li[^>]*>([^]*?)<\/li>/g)].map(([, item]) => item!);
}

const text = (html: string) =>
  html
    .replaceAll(/<!--.*?-->|<(?:"[^"]*"|[^>"])*>/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim();

it('a reward that failed is told, with its message, beside the ones that did not', () => {
  const error = { source: 'reward', where: 'judge', name: 'Error', message: 'the judge is asleep' } as const;
  const [good, failed] = shown(
    traceOf([3, 2, 1, 0]),
    traceOf([1, 0], { rollout: 1, reward: null, advantage: null, error }),
  );
  expect(text(good!)).toBe('1.00 +0.50 cba⏎');
  expect(text(failed!)).toBe('failed judge: the judge is asleep');
  expect(failed).not.toContain('0.00');
});

it('tokens are coloured by their advantage, and cut replies are marked', () => {
  const [up, down, flat] = shown(
    traceOf([1]),
    traceOf([2], { rollout: 1, reward: 0, advantage: -0.5, isTruncated: true }),
    traceOf([3], { rollout: 2, reward: 0, advantage: 0 }),
  );
  expect(up).toMatch(/<span class="up[^"]*" title="a {2}p = 0\.500">a<\/span>/);
  expect(down).toMatch(/<span class="down[^"]*" title="b {2}p = 0\.500">b<\/span>/);
  expect(text(down!)).toMatch(/−0\.50 b cut$/);
  expect(flat).toMatch(/<span class="flat/);
});

it('what a model wrote is text', () => {
  const [item] = shown(traceOf([4]));
  expect(item).toContain('&lt;script>');
});
