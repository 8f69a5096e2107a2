import { describe, expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT } from './players';

/** Plays given replies; the row is a task of three turns. */
async function play(name: string, replies: readonly string[], info: Record<string, unknown>) {
  const env = libraryEntry(name).load();
  let turn = 0;
  const model = new ScriptedModel(() => replies[turn++]!);
  return env.rollout({ exampleId: 0, question: 'first', info }, model, ROLLOUT);
}

describe('alphabet-sort', () => {
  const info = {
    num_turns: 2,
    follow_ups: ['second'],
    ground_truths: [
      ['AbBo', 'CaDo'],
      ['AbBo', 'BaDa // new name!', 'CaDo'],
    ],
  };
  const first = '<alphabetical_sorted>\nAbBo\nCaDo\n</alphabetical_sorted>';
  const second = '<combined_alphabetical_sorted>\nAbBo\nBaDa // new name!\nCaDo\n</combined_alphabetical_sorted>';

  it('follows up, and stops after the turns of the task', async () => {
    const trace = await play('alphabet-sort', [first, second], info);
    expect(trace.completion.map(({ role, content }) => [role, content])).toEqual([
      ['assistant', first],
      ['user', 'second'],
      ['assistant', second],
    ]);
    expect([trace.reward, trace.stopCondition, trace.metrics.num_turns]).toEqual([1, 'max_turns_for_example', 2]);
  });

  it('wants the marks and the tags of the turn', async () => {
    const unmarked = await play('alphabet-sort', [first, second.replace(' // new name!', '')], info);
    expect(unmarked.reward).toBeGreaterThan(0.5);
    expect(unmarked.reward).toBeLessThan(0.9);
    expect((await play('alphabet-sort', [first, first], info)).reward).toBe(0.5);
    expect((await play('alphabet-sort', ['AbBo\nCaDo', 'nothing'], info)).reward).toBe(0);
  });

  it('says which row lacks what', async () => {
    const lacking = await play('alphabet-sort', [first, second], { ...info, follow_ups: [] });
    expect(lacking.reward).toBeNull();
    expect(lacking.error?.message).toBe('row 0, column "info": no follow-up for turn 2');
    expect((await play('alphabet-sort', [first], {})).error?.message).toContain('num_turns');
  });

  it('has names without ties, in turns of the asked length', async () => {
    const env = libraryEntry('alphabet-sort').load({ minTurns: 3, maxNamesPerTurn: 2 });
    for (let i = 0; i < 50; i++) {
      const { info: task } = await env.example(i);
      const names = (task!.turn_names as string[][]).flat();
      expect(task!.num_turns).toBe(3);
      expect(names.length).toBeLessThanOrEqual(6);
      const parts = names.flatMap((name) => /^([A-Z][a-z]+)([A-Z][a-z]+)$/.exec(name)!.slice(1));
      expect(new Set(parts).size).toBe(2 * names.length);
    }
  });
});

describe('alphabet-sort-mini', () => {
  const info = {
    num_turns: 3,
    follow_ups: ['ma', 'z'],
    ground_truths: [[...'ck'], [...'ackm'], [...'ackmz']],
  };

  it('rewards the share of turns that are right to the letter', async () => {
    const rewards = async (...replies: string[]) => {
      const { reward, metrics } = await play('alphabet-sort-mini', replies, info);
      return [reward, metrics.exactMatch];
    };
    expect(await rewards('ck', 'ackm', 'ackmz')).toEqual([1, 1]);
    expect(await rewards('ck', 'am', 'ackmz')).toEqual([2 / 3, 0]);
    expect(await rewards('kc', 'ackm ', 'zackm')).toEqual([0, 0]);
  });

  it('never says a letter twice', async () => {
    const env = libraryEntry('alphabet-sort-mini').load();
    for (let i = 0; i < 100; i++) {
      const { question, answer, info: task } = await env.example(i);
      const said = [question!, ...(task!.follow_ups as string[])];
      expect(new Set(said.join('')).size).toBe(answer!.length);
      for (const letters of said) expect([2, 3]).toContain(letters.length);
    }
  });
});
