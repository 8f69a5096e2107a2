import { describe, expect, it } from 'vitest';
import { EvaluationError, bySeat, evaluate, libraryEntry } from '../../../src/envs';
import type { Trace } from '../../../src/envs';
import { CARDS, DEALS, KuhnGame, legalActions } from '../../../src/envs/library/kuhn-poker/game';
import type { Action, Deal } from '../../../src/envs/library/kuhn-poker/game';
import { strategyOfModel } from '../../../src/envs/library/kuhn-poker/measure';
import { strategyPlayer } from '../../../src/envs/library/kuhn-poker/players';
import {
  equilibrium,
  everywhere,
  exploitability,
  situationsOf,
  valueToFirst,
} from '../../../src/envs/library/kuhn-poker/strategy';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT, demonstrationOf } from './players';

const env = libraryEntry('kuhn-poker').load();

/** The five ways a hand can go, and how they pay: who folds loses the ante; otherwise the higher card wins what was put in. */
const HANDS: readonly [Action[], 'first' | 'second' | 'higher card', chips: number][] = [
  [['check', 'check'], 'higher card', 1],
  [['check', 'bet', 'fold'], 'second', 1],
  [['check', 'bet', 'call'], 'higher card', 2],
  [['bet', 'fold'], 'first', 1],
  [['bet', 'call'], 'higher card', 2],
];

describe('the rules', () => {
  const histories = DEALS.flatMap((deal) =>
    HANDS.map(([actions, winner, chips]) => ({ deal, actions, winner, chips })),
  );

  it('have thirty hands', () => {
    expect(histories).toHaveLength(30);
    const found: Action[][] = [];
    const walk = (history: Action[]): void => {
      const legal = legalActions(history);
      if (legal.length === 0) found.push(history);
      for (const action of legal) walk([...history, action]);
    };
    walk([]);
    expect(found.sort()).toEqual(HANDS.map(([actions]) => actions).sort());
  });

  it.each(histories)('$deal, $actions', async ({ deal, actions, winner, chips }) => {
    const higher = CARDS.indexOf(deal[0]) > CARDS.indexOf(deal[1]) ? 'first' : 'second';
    const won = (winner === 'higher card' ? higher : winner) === 'first' ? chips : -chips;
    const game = new KuhnGame(deal);
    for (const [at, action] of actions.entries()) {
      expect(game.toMove).toBe(at % 2 === 0 ? 'first' : 'second');
      game.move(action);
    }
    expect(game.toMove).toBeNull();
    expect([game.payoff('first'), game.payoff('second')]).toEqual([won, 0 - won]);
    // The environment pays the same, and no seat sees the other's card.
    let at = 0;
    const info = { deal, seat: 'first', opponent: 'self' };
    const traces = await env.rolloutGroup(
      { exampleId: 0, question: '', info },
      new ScriptedModel(() => actions[at++]!),
      [ROLLOUT],
    );
    expect(traces.map(({ seat, reward }) => [seat, reward])).toEqual([
      ['first', won],
      ['second', 0 - won],
    ]);
    traces.forEach(({ prompt, completion }, seat) => {
      const words = [...prompt, ...completion].map(({ content }) => content).join(' ');
      expect(words).toBe([deal[seat], ...actions].join(' '));
    });
  });

  it('refuse everything else, and who makes no move loses two chips', async () => {
    for (const reply of ['', 'call', 'check bet', 'BET', 'K', 'x'.repeat(100_000)]) {
      const [first, second] = await env.rolloutGroup(await env.example(0), new ScriptedModel(() => reply), [ROLLOUT]);
      expect([first!.reward, second!.reward, first!.stopCondition]).toEqual([-2, 2, 'seat_forfeited']);
      expect(first!.completion[1]!.content).toBe('check bet');
    }
  });
});

describe('strategies', () => {
  it('know twelve situations', () => {
    expect([...situationsOf('first'), ...situationsOf('second')]).toHaveLength(12);
  });

  it.each([0, 0.1, 1 / 3])('an equilibrium (bluff %d) cannot be exploited, and costs the first seat 1/18', (bluff) => {
    expect(exploitability(equilibrium(bluff))).toBeCloseTo(0, 12);
    expect(valueToFirst(equilibrium(bluff), equilibrium())).toBeCloseTo(-1 / 18, 12);
  });

  it.each([
    [0, 1], // never bets, folds to every bet: somebody who always bets takes the ante
    [1, 1 / 3], // always bets and calls: fold jacks, bet kings, call with them
    [0.5, 11 / 24],
  ])('what always acts with %d loses %d to the best answer', (bold, loss) => {
    expect(exploitability(everywhere(bold))).toBeCloseTo(loss, 12);
  });

  it('of a player are measured by asking it everywhere', async () => {
    const strategy = { ...everywhere(1), K: 0, 'Q check bet': 0.3 };
    const measured = await strategyOfModel(strategyPlayer('x', strategy), { samples: 400 });
    expect(Object.keys(measured).sort()).toEqual(Object.keys(strategy).sort());
    for (const [situation, bold] of Object.entries(strategy)) {
      expect(Math.abs(measured[situation]! - bold), situation).toBeLessThan(bold === 0.3 ? 0.1 : 1e-12);
    }
    // Replies that are no move are left out, and log-probabilities are believed.
    const logprobs = { bet: [Math.log(0.1), 0], check: [Math.log(0.3), 0], call: [0], fold: [0], x: [0] };
    let n = 0;
    const model = new ScriptedModel(({ messages }) => {
      const legal = legalActions(messages.flatMap(({ content }) => content.split(' ')).slice(1) as Action[]);
      const content = [...legal, 'x'][n++ % 3]!;
      const tokens = { promptIds: [], completionIds: [1, 2], logprobs: logprobs[content as Action] };
      return { message: { role: 'assistant', content }, tokens };
    });
    expect((await strategyOfModel(model)).K).toBeCloseTo(0.25, 12);
  });

  it('players act by them', async () => {
    const player = strategyPlayer('mostly', { ...everywhere(1), 'K check bet': 0, Q: 0.25 });
    const say = async (key: number, ...contents: string[]) => {
      const messages = contents.map((content, i) => ({
        role: i % 2 ? ('assistant' as const) : ('user' as const),
        content,
      }));
      return (await player.complete({ messages, sampling: {}, key: [key, 0] })).message.content;
    };
    expect([await say(1, 'K'), await say(1, 'K check'), await say(1, 'J bet')]).toEqual(['bet', 'bet', 'call']);
    expect(await say(1, 'K', 'check', 'bet')).toBe('fold');
    let bets = 0;
    for (let key = 0; key < 2000; key++) if ((await say(key, 'Q')) === 'bet') bets++;
    expect(bets / 2000).toBeGreaterThan(0.21);
    expect(bets / 2000).toBeLessThan(0.29);
  });
});

describe('kuhn-poker', () => {
  it('is played against oneself in training, and against the named opponent from both seats in evals', async () => {
    const self = await env.rolloutGroup(await env.example(0), new ScriptedModel(() => 'check'), [ROLLOUT]);
    expect(self.map(({ seat }) => seat)).toEqual(['first', 'second']);
    const seats = new Map<string, number>();
    for (let i = 0; i < 24; i++) {
      const example = await env.example(i, 'eval');
      const traces = await env.rolloutGroup(example, new ScriptedModel(() => 'check'), [ROLLOUT]);
      expect(traces).toHaveLength(1);
      const key = `${example.answer!} ${traces[0]!.seat!}`;
      seats.set(key, (seats.get(key) ?? 0) + 1);
    }
    expect([...seats.values()]).toEqual(Array(12).fill(2));
    const fixed = libraryEntry('kuhn-poker').load({ opponent: 'bold' });
    const traces = await fixed.rolloutGroup(await fixed.example(0), new ScriptedModel(() => 'check'), [ROLLOUT]);
    expect(traces.map(({ seat }) => seat)).toEqual([(await fixed.example(0)).info!.seat]);
  });

  it.each(['random', 'meek'])('pays a player what its strategy is worth against %s', async (evalOpponent) => {
    const table = libraryEntry('kuhn-poker').load({ evalOpponent });
    const player = strategyPlayer('equilibrium', equilibrium());
    const rewards: number[] = [];
    for (let i = 0; i < table.evalDataset.length; i++) {
      const trace = await table.rollout(await table.example(i, 'eval'), player, { ...ROLLOUT, key: [i, 5] });
      rewards.push(trace.reward!);
    }
    const mean = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
    const other = everywhere(evalOpponent === 'random' ? 0.5 : 0);
    const worth = (valueToFirst(equilibrium(), other) - valueToFirst(other, equilibrium())) / 2;
    expect(Math.abs(mean - worth)).toBeLessThan(0.12); // three standard errors
  });

  it('is evaluated against somebody else, not against oneself', async () => {
    const player = strategyPlayer('equilibrium', equilibrium());
    const { summary, traces } = await evaluate(env, player, { numExamples: 24 });
    expect([summary.rollouts, summary.failed]).toEqual([24, 0]);
    for (const { seat, info } of traces) expect(seat).toBe(info.seat);
    const self = evaluate(env, player, { numExamples: 2, split: 'train' });
    await expect(self).rejects.toThrow('kuhn-poker: several seats are trained in its train tasks');
    await expect(evaluate(env, player, { numExamples: 2, split: 'train' })).rejects.toThrow(EvaluationError);
  });

  it('sums to zero whatever is played', async () => {
    let key = 0;
    const player = strategyPlayer('random', everywhere(0.5));
    for (let i = 0; i < 60; i++) {
      const traces: Trace[] = await env.rolloutGroup(await env.example(i), player, [
        { ...ROLLOUT, key: [key++, 0] },
        { ...ROLLOUT, rollout: 1, key: [key++, 0] },
      ]);
      const [first, second] = bySeat(traces, ({ seat }) => seat);
      first!.forEach(({ reward }, at) => expect(reward! + second![at]!.reward!).toBe(0));
    }
  });

  it('demonstrates hands by its rules, and careless ones as well', async () => {
    for (const careless of [0, 1]) {
      for (let i = 0; i < 200; i++) {
        const { question, info } = await env.example(i);
        const demonstration = await demonstrationOf(env, i, { split: 'train', careless });
        const { deal, seat } = info as { deal: Deal; seat: 'first' | 'second' };
        const game = new KuhnGame(deal);
        const words = [question!, ...demonstration.map(({ content }) => content)].join(' ').split(' ');
        expect(words[0]).toBe(deal[seat === 'first' ? 0 : 1]);
        for (const word of words.slice(1)) game.move(word);
        expect(game.toMove).toBeNull();
        expect(demonstration[0]!.role).toBe('assistant');
      }
    }
    const calls = async (careless: number) => {
      let folded = 0;
      for (let i = 0; i < 600; i++) {
        const { question } = await env.example(i);
        const [reply] = await demonstrationOf(env, i, { split: 'train', careless });
        if (question === 'K bet' && reply!.content === 'fold') folded++;
      }
      return folded;
    };
    expect(await calls(0)).toBe(0); // who holds the king calls
    expect(await calls(1)).toBeGreaterThan(5);
  });
});
