import { expect, it } from 'vitest';
import { TextGameEnv, rows } from '../../src/envs';
import type { TextGame, TextGameOptions } from '../../src/envs';
import { ScriptedModel } from '../scripted';

const OPTIONS = { draw: 0, rollout: 0, key: [1, 2] as const };

/** Take one or two of the coins; who empties the table is done. */
class Coins implements TextGame {
  constructor(public left: number) {}

  async step(action: string | null) {
    await Promise.resolve();
    const taken = action === '1' || action === '2' ? Number(action) : 0;
    this.left -= taken;
    return { observation: `${this.left} left`, reward: taken / 10, done: this.left <= 0 };
  }
}

const play = async (reply: string, more: Partial<TextGameOptions> = {}) => {
  const env = new TextGameEnv({
    name: 'coins',
    dataset: rows([{ question: '5 coins', answer: '5' }]),
    start: ({ answer }) => new Coins(Number(answer)),
    ...more,
  });
  return env.rollout(await env.example(0), new ScriptedModel(() => reply), OPTIONS);
};

it('goes on until the game is done; its return is the sum of what the steps were worth', async () => {
  const trace = await play('2');
  expect(trace.completion.map(({ content }) => content)).toEqual(['2', '3 left', '2', '1 left', '2', '-1 left']);
  expect(trace.turns.map(({ reward }) => reward)).toEqual([0.2, 0.2, 0.2]);
  expect(trace.reward).toBeCloseTo(0.6, 12);
  expect(trace).toMatchObject({ stopCondition: 'has_final_env_response', metrics: { num_turns: 3 }, error: null });
});

it('ends after the most actions, the last of which is still played', async () => {
  const trace = await play('1', { maxActions: 2 });
  expect(trace.completion.map(({ content }) => content)).toEqual(['1', '4 left', '1', '3 left']);
  expect(trace.reward).toBeCloseTo(0.2, 12);
  expect((await play('what?')).turns).toHaveLength(100);
});

it('reads the newest reply, or what it is told to read', async () => {
  const trace = await play('x', { read: ({ turns }) => String(turns.length) });
  expect(trace.completion.map(({ content }) => content).slice(0, 4)).toEqual(['x', '4 left', 'x', '2 left']);
});

it('a game that cannot begin or breaks is the environment’s error', async () => {
  const broken = await play('1', {
    start: () => {
      throw new RangeError('no table');
    },
  });
  expect(broken.error).toMatchObject({ source: 'environment', where: 'game', message: 'no table' });
  const late = await play('1', { start: () => ({ step: () => Promise.reject(new Error('fell over')) }) });
  expect(late).toMatchObject({ reward: null, error: { source: 'environment', message: 'fell over' } });
});
