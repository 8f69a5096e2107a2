import { describe, expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import type { Message } from '../../../src/envs';
import { ROLLOUT, replay } from './players';

let calls = 0;
function call(name: string, code: string): Message {
  const id = `call_${calls++}`;
  return { role: 'assistant', content: '', toolCalls: [{ id, name, arguments: JSON.stringify({ code }) }] };
}
const say = (content: string): Message => ({ role: 'assistant', content });

async function play(name: string, answer: string, replies: Message[]) {
  const example = { exampleId: 0, question: 'what?', answer };
  const trace = await libraryEntry(name).load().rollout(example, replay(replies), ROLLOUT);
  expect(trace.error).toBeNull();
  const results = trace.completion.filter(({ role }) => role === 'tool').map(({ content }) => content);
  return { reward: trace.reward, results, metrics: trace.metrics };
}

describe('code-math', () => {
  it('runs what the model writes, and rewards the number in the box', async () => {
    const lines = [call('javascript', 'const n = 6; n * 7'), call('javascript', 'n + 1'), say('\\boxed{42}')];
    expect(await play('code-math', '42', lines)).toMatchObject({
      reward: 1,
      results: ['=> 42', '=> 7'],
      metrics: { javascript_calls: 2, num_turns: 3 },
    });
    expect((await play('code-math', '43', [call('javascript', '6 * 7'), say('\\boxed{42}')])).reward).toBe(0);
    expect((await play('code-math', '42', [call('javascript', '6 * 7'), say('')])).reward).toBe(0);
  });

  it('has tasks of all kinds, with whole numbers for answers', async () => {
    const env = libraryEntry('code-math').load();
    const kinds = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const { question, answer } = await env.example(i);
      expect(answer).toMatch(/^\d+$/);
      kinds.add(question!.split(' ').slice(0, 3).join(' '));
    }
    for (const kind of ['What is the', 'How many of', 'A chest holds', 'Take the number', 'A baker has']) {
      expect(kinds).toContain(kind);
    }
  });
});

describe('code-math-mini', () => {
  it.each([
    ['6*7', '42'],
    ['52-17', '35'],
    ['17-52', '-35'],
    ['99*9+99', '990'],
    ['1+1;2+2', '4'],
    ['6**', ' error'],
    ['6/4', ' error'],
    ['9**9**9', ' error'],
    ['x', ' error'],
    ['"a"', ' error'],
    ['for(;;);', ' error'],
    ['', ' error'],
    ['1+'.repeat(100), ' error'],
  ])('js( %s) gives %s, which a tiny model can read', async (code, result) => {
    expect((await play('code-math-mini', '42', [call('js', code), say('')])).results).toEqual([result]);
  });

  it('rewards the answer to the letter, with code or without', async () => {
    expect((await play('code-math-mini', '42', [call('js', '6*7'), say('42')])).reward).toBe(1);
    expect((await play('code-math-mini', '42', [say('42')])).reward).toBe(1);
    expect((await play('code-math-mini', '42', [call('js', '6*7'), say(' 42')])).reward).toBe(0);
    expect((await play('code-math-mini', '42', [call('js', '6*7'), call('js', '6*7'), call('js', '6*7')])).reward).toBe(
      0,
    );
  });
});
