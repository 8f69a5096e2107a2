import { expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import { guessesNeeded } from '../../../src/envs/library/number-guessing';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT, demonstrationOf, replay } from './players';

const env = libraryEntry('number-guessing').load();
const tagged = (guess: string | number) => `<guess>${guess}</guess>`;

async function play(answer: number, ...replies: string[]) {
  let turn = 0;
  const model = new ScriptedModel(() => replies[Math.min(turn++, replies.length - 1)]!);
  const trace = await env.rollout({ exampleId: 0, question: '?', answer: String(answer) }, model, ROLLOUT);
  return { ...trace, said: trace.completion.filter(({ role }) => role === 'user').map(({ content }) => content) };
}

it('says larger and smaller, and pays for the number', async () => {
  const { said, reward, metrics } = await play(30, tagged(50), `I think\n${tagged(' 25 ')}`, tagged(30));
  expect(said).toEqual(['50 is too large. 6 guesses left.', '25 is too small. 5 guesses left.', 'Right!']);
  expect([reward, metrics.num_turns]).toEqual([1, 3]);
});

it('ends after as many guesses as halving needs, and says what it was', async () => {
  const { said, reward, turns } = await play(30, tagged(31));
  expect([turns.length, reward]).toEqual([7, 0]);
  expect(said.at(-2)).toBe('31 is too large. 1 guess left.');
  expect(said.at(-1)).toBe('31 is too large. It was 30.');
});

it.each(['30', tagged('thirty'), tagged('-30'), tagged('30.0'), tagged(101), tagged(0), tagged('9'.repeat(400)), ''])(
  'takes %j for no guess, which costs one',
  async (reply) => {
    const { said, reward } = await play(30, reply);
    expect(said[0]).toBe('That is no whole number from 1 to 100 between guess tags. 6 guesses left.');
    expect(reward).toBe(0);
  },
);

it('does not take an old guess for a new one', async () => {
  const { said } = await play(30, tagged(50), 'hm');
  expect(said[1]).toMatch(/^That is no whole number/);
});

it.each([2, 3, 4, 64, 100, 127, 128, 1000])('halving finds every number up to %d in time', async (largest) => {
  const world = libraryEntry('number-guessing').load({ largest });
  for (let secret = 1; secret <= largest; secret += largest > 128 ? 37 : 1) {
    const row = { exampleId: 0, question: '?', answer: String(secret), info: { largest } };
    const random = { next: () => 1 } as never;
    const demonstration = await world.demonstrate!(row, random, { careless: 0 });
    const trace = await world.rollout(row, replay(demonstration), ROLLOUT);
    expect(trace.reward).toBe(1);
    expect(trace.turns.length).toBeLessThanOrEqual(guessesNeeded(largest));
  }
});

it('numbers of the eval are never asked in training', async () => {
  const asked = async (split: 'train' | 'eval') =>
    new Set(await Promise.all(Array.from({ length: 500 }, async (_, i) => (await env.example(i, split)).answer!)));
  const [train, held] = [await asked('train'), await asked('eval')];
  for (const number of held) expect(train).not.toContain(number);
  expect(held.size).toBeGreaterThanOrEqual(5);
  expect((await demonstrationOf(env, 0))[0]!.content).toBe(tagged(50));
});
