import { expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT } from './players';

const env = libraryEntry('doublecheck').load();

async function play(answer: string, ...replies: string[]) {
  let turn = 0;
  const model = new ScriptedModel(() => replies[turn++] ?? new Error('asked too often'));
  return env.rollout({ exampleId: 0, question: 'How many?', answer }, model, ROLLOUT);
}

it('asks once more, and then no more', async () => {
  const { completion, stopCondition, turns } = await play('5', '\\boxed{5}', 'Yes: \\boxed{5}');
  expect(completion.map(({ role, content }) => [role, content])).toEqual([
    ['assistant', '\\boxed{5}'],
    ['user', 'Are you sure?'],
    ['assistant', 'Yes: \\boxed{5}'],
  ]);
  expect([stopCondition, turns.length]).toEqual(['double_checked', 2]);
});

it.each([
  ['stays right', '\\boxed{5}', 'Yes: \\boxed{5.0}', 1, 1],
  ['gives a right answer up', '\\boxed{5}', 'No: \\boxed{6}', 0, 1],
  ['corrects itself', '\\boxed{6}', 'No: \\boxed{5}', 1, 0],
  ['stays wrong', '\\boxed{6}', 'Yes: \\boxed{6}', 0, 0],
  ['does not say it again', '\\boxed{5}', 'Yes, I am.', 0, 1],
  ['says nothing', '', '', 0, 0],
])('somebody who %s', async (_, first, second, reward, firstAnswer) => {
  const { metrics, ...trace } = await play('5', first, second);
  expect([trace.reward, trace.error]).toEqual([reward, null]);
  expect(metrics).toEqual({ correct_answer: reward, first_answer: firstAnswer, num_turns: 2 });
});

it("asks arithmetic's problems", async () => {
  for (const difficulty of ['easy', 'hard']) {
    const [ours, theirs] = ['doublecheck', 'arithmetic'].map((name) =>
      libraryEntry(name).load({ difficulty, seed: 4 }),
    );
    for (const split of ['train', 'eval'] as const) {
      for (let i = 0; i < 20; i++) expect(await ours!.example(i, split)).toEqual(await theirs!.example(i, split));
    }
  }
});

it('survives 100 kB in either reply', async () => {
  for (const text of ['\\boxed{5}'.repeat(11_000), '9'.repeat(100_000), `\\boxed{${'('.repeat(100_000)}}`]) {
    for (const replies of [
      [text, '\\boxed{6}'],
      ['\\boxed{5}', `${text} \\boxed{6}`],
    ]) {
      const { reward, error } = await play('5', ...replies);
      expect([reward, error]).toEqual([0, null]);
    }
  }
});
