import { describe, expect, it } from 'vitest';
import {
  EnvGroup,
  IllegalMoveError,
  MultiAgentEnv,
  Rubric,
  SingleTurnEnv,
  bySeat,
  functionModel,
  generated,
  groupReward,
  payoffOf,
  prefixBreaks,
  rows,
  tokenSamples,
} from '../../src/envs';
import type { ChatModel, MultiAgentOptions, SeatGame, TurnTokens } from '../../src/envs';
import { ScriptedModel, lastContent } from '../scripted';
import type { Reply } from '../scripted';

const OPTIONS = { draw: 0, rollout: 0, key: [1, 2] as const };
const SEATS = ['left', 'right'];

/** In turns each seat says a number; after four of them the larger sum wins the difference. Only sums of one's own are told. */
class Sums implements SeatGame {
  readonly said: number[] = [];
  readonly #heard: Record<string, number> = {};
  lost: string | null = null;

  get toMove() {
    return this.lost !== null || this.said.length === 4 ? null : SEATS[this.said.length % 2]!;
  }

  tell(seat: string) {
    const from = this.#heard[seat];
    this.#heard[seat] = this.said.length;
    return from === undefined ? `you are ${seat}` : this.toMove === null ? 'over' : 'go on';
  }

  move(action: string | null) {
    if (!/^\d$/.test(action ?? '')) throw new IllegalMoveError('a digit, please');
    this.said.push(Number(action));
  }

  forfeit() {
    this.lost = this.toMove;
  }

  payoff(seat: string) {
    if (this.lost) return seat === this.lost ? -9 : 9;
    return this.said.reduce((sum, value, i) => sum + (SEATS[i % 2] === seat ? value : -value), 0);
  }
}

class SumsEnv extends MultiAgentEnv {
  constructor(options: Partial<MultiAgentOptions> = {}) {
    super({ name: 'sums', dataset: generated(() => ({ question: 'play' })), seats: SEATS, ...options });
  }

  protected override begin(): SeatGame {
    return new Sums();
  }
}

const play = async (env: MultiAgentEnv, model: ChatModel, rollouts = [OPTIONS]) =>
  env.rolloutGroup(await env.example(0), model, rollouts);

describe('a game of two seats', () => {
  it('gives each seat its own view, its own reward and its own trace', async () => {
    const env = new SumsEnv({ systemPrompt: 'Say a digit.' });
    const model = new ScriptedModel((request) => (lastContent(request).includes('left') ? '7' : '2'));
    const [left, right] = await play(env, model);
    expect(left).toMatchObject({ seat: 'left', reward: 5, stopCondition: 'game_over', error: null });
    expect(right).toMatchObject({ seat: 'right', reward: -5, stopCondition: 'game_over', error: null });
    expect(left!.prompt.map(({ content }) => content)).toEqual(['Say a digit.', 'you are left']);
    expect(right!.prompt.map(({ content }) => content)).toEqual(['Say a digit.', 'you are right']);
    expect(left!.completion.map(({ content }) => content)).toEqual(['7', 'go on', '2', 'over']);
    expect(right!.completion.map(({ content }) => content)).toEqual(['2', 'go on', '2', 'over']);
    expect(left!.metrics).toEqual({ payoff: 5, num_turns: 2, illegal_moves: 0 });
    expect(JSON.parse(JSON.stringify(left))).toEqual(left);
  });

  it('gives every seat random numbers of its own', async () => {
    const model = new ScriptedModel(() => '1');
    await play(new SumsEnv(), model);
    const keys = model.requests.map(({ key }) => key.join());
    expect(keys[0]).toBe('1,2'); // the first seat's are those of a rollout with one seat
    expect(keys[2]).toBe(keys[0]);
    expect(keys[3]).toBe(keys[1]);
    expect(keys[1]).not.toBe(keys[0]);
  });

  it('lets another model or a script play a seat, of which nothing is trained', async () => {
    const asked: unknown[] = [];
    const script = functionModel('five', ({ sampling }) => {
      asked.push(sampling);
      return '5';
    });
    const env = new SumsEnv({ players: { right: script }, sampling: { maxTokens: 3 } });
    const traces = await play(env, new ScriptedModel(() => '1'), [
      { ...OPTIONS, sampling: { temperature: 0 } } as never,
    ]);
    expect(traces.map(({ seat, reward }) => [seat, reward])).toEqual([['left', -8]]);
    expect(asked).toEqual([{ maxTokens: 3 }, { maxTokens: 3 }]); // not the caller's temperature
  });

  it('trains the seats that it is told to', async () => {
    const traces = await play(new SumsEnv({ trains: ['right'] }), new ScriptedModel(() => '1'));
    expect(traces.map(({ seat }) => seat)).toEqual(['right']);
    expect(() => new SumsEnv({ trains: ['middle'] })).toThrow('sums has no seat middle; its seats are left, right');
    expect(() => new SumsEnv({ players: { middle: new ScriptedModel(() => '') } })).toThrow('no seat middle');
    expect(() => new SumsEnv({ trains: [] })).toThrow('sums: no seat is trained');
    expect(() => new SumsEnv({ seats: ['a', 'a'] })).toThrow('not names that differ');
  });

  it('compares a seat with the same seat of the other rollouts', async () => {
    const env = new SumsEnv();
    const rollouts = [0, 1, 2].map((rollout) => ({ draw: 0, rollout, key: [rollout, 0] as const }));
    // The left seat of rollout n says n + 4, the right one 1.
    const model = new ScriptedModel(({ key, messages }) =>
      messages[0]!.content === 'you are left' ? String(key[0] + 4) : '1',
    );
    const seen: (string | undefined)[] = [];
    const traces = await env.rolloutGroup(await env.example(0), model, rollouts, ({ seat }) => seen.push(seat));
    expect(seen).toEqual(['left', 'left', 'left']); // once a rollout
    const groups = bySeat(traces, ({ seat }) => seat);
    expect(groups.map((group) => group.map(({ rollout, reward, advantage }) => [rollout, reward, advantage]))).toEqual([
      [[0, 6, -2], [1, 8, 0], [2, 10, 2]],
      [[0, -6, 2], [1, -8, 0], [2, -10, -2]],
    ]); // prettier-ignore
  });

  it('scores groups seat by seat', async () => {
    const sizes: number[] = [];
    const rank = groupReward(({ states }) => {
      sizes.push(states.length);
      return states.map((state) => payoffOf({ state }));
    });
    const env = new SumsEnv({ rubric: new Rubric({ rank }) });
    const rollouts = [0, 1].map((rollout) => ({ ...OPTIONS, rollout }));
    const seen: number[] = [];
    await env.rolloutGroup(await env.example(0), new ScriptedModel(() => '1'), rollouts, (trace) =>
      seen.push(trace.rollout),
    );
    expect(sizes).toEqual([2, 2]);
    expect(seen).toEqual([0, 1]);
  });

  it('is one environment of a group like any other', async () => {
    const other = new SingleTurnEnv({ name: 'other', dataset: rows([{ question: 'q' }]) });
    const group = new EnvGroup({ envs: [new SumsEnv(), other] });
    const traces = await group.rolloutGroup(await group.example(0), new ScriptedModel(() => '1'), [OPTIONS]);
    expect(traces.map(({ environment, task, seat, reward }) => [environment, task, seat, reward])).toEqual([
      ['group', 'sums', 'left', 0],
      ['group', 'sums', 'right', 0],
    ]);
  });
});

describe('a seat that does not move', () => {
  const leftOnly = (reply: (n: number) => Reply) => {
    let n = 0;
    return new ScriptedModel((request) => (request.messages[0]!.content === 'you are left' ? reply(n++) : '3'));
  };

  it('is told why, and forfeits after two illegal moves in a row', async () => {
    const [left, right] = await play(
      new SumsEnv(),
      leftOnly(() => ''),
    );
    expect(left).toMatchObject({ reward: -9, stopCondition: 'seat_forfeited', error: null });
    expect(right).toMatchObject({ reward: 9, stopCondition: 'seat_forfeited', prompt: [], completion: [] });
    expect(left!.completion.map(({ content }) => content)).toEqual(['', 'a digit, please', '', 'over']);
    expect([left!.metrics.illegal_moves, right!.metrics.illegal_moves]).toEqual([2, 0]);
  });

  it('may go on after one', async () => {
    const [left] = await play(
      new SumsEnv(),
      leftOnly((n) => ['x', '4', 'y', '4'][n]!),
    );
    expect(left).toMatchObject({ reward: 2, stopCondition: 'game_over', metrics: { illegal_moves: 2, num_turns: 4 } });
    const [strict] = await play(
      new SumsEnv({ maxIllegalMoves: 1 }),
      leftOnly(() => 'x'),
    );
    expect(strict).toMatchObject({ reward: -9, metrics: { illegal_moves: 1 } });
  });

  it('forfeits where its conversation no longer fits, which is seen', async () => {
    const tooLong = Object.assign(new Error('too long'), { name: 'ContextLengthError' });
    const [left, right] = await play(
      new SumsEnv(),
      leftOnly((n) => (n === 1 ? tooLong : '4')),
    );
    expect(left).toMatchObject({ reward: -9, stopCondition: 'seat_forfeited', isTruncated: true, error: null });
    expect(right).toMatchObject({ reward: 9, isTruncated: false });
  });

  it('because its model failed: nobody has a reward, and the seat is named', async () => {
    const traces = await play(
      new SumsEnv(),
      leftOnly((n) => (n === 1 ? new Error('503') : '4')),
    );
    expect(traces).toHaveLength(2);
    for (const { reward, error, stopCondition } of traces) {
      expect(error).toEqual({ source: 'model', where: 'seat left', name: 'Error', message: '503' });
      expect([reward, stopCondition]).toEqual([null, 'has_error']);
    }
    const broken = new ScriptedModel(() => new Error('no script'));
    const [trace] = await play(new SumsEnv({ players: { right: broken } }), new ScriptedModel(() => '1'));
    expect(trace!.error).toMatchObject({ source: 'model', where: 'seat right', message: 'no script' });
  });

  it('ends the game at the most turns, as it then stands', async () => {
    const [left, right] = await play(
      new SumsEnv({ maxTurns: 3 }),
      leftOnly(() => '4'),
    );
    expect([left!.reward, right!.reward]).toEqual([5, -5]);
    expect(left!.stopCondition).toBe('max_turns_reached');
    const [mute] = await play(
      new SumsEnv({ maxTurns: 1, maxIllegalMoves: 5 }),
      leftOnly(() => 'x'),
    );
    expect(mute).toMatchObject({ reward: 0, stopCondition: 'max_turns_reached' });
  });

  it('ends the game at the time limit, as it then stands', async () => {
    const slow = functionModel('slow', ({ messages }) =>
      messages.length > 1 ? new Promise((resolve) => setTimeout(() => resolve('9'), 300)) : '4',
    );
    const env = new SumsEnv({ timeoutSeconds: 0.1 });
    const [left, right] = await play(env, slow);
    for (const trace of [left!, right!])
      expect(trace).toMatchObject({ stopCondition: 'timeout_reached', error: null, reward: 0 });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(left!.completion.map(({ content }) => content)).toEqual(['4', 'go on']);
  });

  it('that the game still waits for after it forfeited is the code that is at fault', async () => {
    class Stubborn extends Sums {
      override forfeit() {
        // goes on waiting
      }
    }
    class StubbornEnv extends SumsEnv {
      protected override begin() {
        return new Stubborn();
      }
    }
    const traces = await play(
      new StubbornEnv(),
      leftOnly(() => 'x'),
    );
    for (const { error } of traces) {
      expect(error).toMatchObject({ source: 'environment', message: 'sums: seat left is to move after it forfeited' });
    }
  });

  it('in a game that cannot begin: one trace says so', async () => {
    class Broken extends SumsEnv {
      protected override begin(): SeatGame {
        throw new RangeError('no cards');
      }
    }
    const traces = await play(new Broken(), new ScriptedModel(() => '1'));
    expect(traces).toHaveLength(1);
    expect(traces[0]).toMatchObject({ reward: null, error: { source: 'environment', message: 'no cards' } });
  });
});

describe('tokens of a seat', () => {
  /** Spells a conversation as one token per message and counts what it wrote. */
  const counting = () =>
    new ScriptedModel(({ messages, previous }) => {
      const known = previous ? [...previous.tokens.promptIds, ...previous.tokens.completionIds] : [];
      const added = messages.slice(previous?.messages ?? 0).map(({ content }) => 100 + content.length);
      const tokens: TurnTokens = {
        promptIds: [...known, ...added],
        completionIds: [messages.length, 7],
        logprobs: [-1, -2],
      };
      return { message: { role: 'assistant', content: '1' }, tokens };
    });

  it('continue each other within the seat, whatever the others say between them', async () => {
    const traces = await play(new SumsEnv(), counting());
    for (const trace of traces) {
      expect(trace.turns).toHaveLength(2);
      expect(prefixBreaks(trace.turns)).toBe(0);
      const [sample, ...more] = tokenSamples({ ...trace, advantage: trace.seat === 'left' ? 2 : -2 });
      expect(more).toEqual([]);
      const opening = 100 + `you are ${trace.seat!}`.length;
      expect(sample!.ids).toEqual([opening, 1, 7, 105, 3, 7]);
      expect(sample!.mask).toEqual([0, 1, 1, 0, 1, 1]);
      expect(sample!.advantages).toEqual([0, 1, 1, 0, 1, 1].map((one) => (one ? (trace.seat === 'left' ? 2 : -2) : 0)));
    }
  });
});
