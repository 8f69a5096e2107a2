/** @file One rollout of the library's panel, opened: what was said, called and answered, as text. */
import { render } from 'svelte/server';
import { expect, it } from 'vitest';
import EnvironmentRollout from '../../demo/panels/EnvironmentRollout.svelte';
import type { Trace } from '../../src/envs';
import { traceOf } from './trace';

function textOf(changes: Partial<Trace>): string {
  const { body } = render(EnvironmentRollout, { props: { trace: traceOf([1, 0], changes), tokens: ['a', '<b>'] } });
  expect(body).not.toMatch(/<(img|b)[ >]/);
  return body
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .replaceAll('&lt;', '<');
}

it('shows tool calls with their results, equal ids and all, and nothing of it is HTML', () => {
  const call = (name: string) => ({ id: 'same', name, arguments: '{"x":"<img src=y>"}' });
  const text = textOf({
    completion: [
      { role: 'assistant', content: '<img src=x>', toolCalls: [call('search'), call('read')] },
      { role: 'tool', content: '<img src=z>', toolCallId: 'same' },
      { role: 'tool', content: 'lost', toolCallId: 'other' },
      { role: 'user', content: 'go on' },
    ],
  });
  expect(text).toContain('turn 1 · stop');
  expect(text).toContain('<img src=x>');
  expect(text).toContain('search({"x":"<img src=y>"})');
  expect(text).toContain('read({"x":"<img src=y>"})');
  expect(text).toMatch(/result of search <img src=z>/);
  expect(text).toMatch(/result of a tool lost/);
  expect(text).toMatch(/user go on/);
});

it('shows tokens with their log-probabilities, parts of the reward, how it ended and what failed', () => {
  const text = textOf({
    metrics: { format: 0.25, length: 12 },
    stopCondition: 'has_error',
    isTruncated: true,
    error: { source: 'reward', where: 'format', name: 'TypeError', message: 'no <img src=x> here' },
  });
  expect(text).toContain('2 tokens with their log-probabilities');
  expect(text).toMatch(/"<b>" 1 -0\.6931 0\.500 "a" 0 -0\.6931 0\.500/);
  expect(text).toMatch(/format 0\.25 length 12 ended by has_error, cut off/);
  expect(text).toContain('format: TypeError: no <img src=x> here');
});
