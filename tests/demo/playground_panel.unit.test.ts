/** @file The page's picture of a conversation: what the worker's news make of it. */
import { expect, it } from 'vitest';
import { PlaygroundState, alternativesAt, problemOf } from '../../demo/panels/playground/playground.svelte';
import type { PlaygroundNews, PlaygroundRequest } from '../../demo/playground_protocol';
import type { Trainer } from '../../demo/trainer.svelte';

function open() {
  const asked: PlaygroundRequest[] = [];
  const trainer = { askPlayground: (request: PlaygroundRequest) => asked.push(request) } as unknown as Trainer;
  const playground = new PlaygroundState(trainer);
  return { playground, asked, hear: (news: PlaygroundNews) => trainer.onPlayground!(news) };
}

const options = {
  models: [
    { ref: { kind: 'start' as const }, label: 'as it started' },
    { ref: { kind: 'current' as const }, label: 'as it is now' },
  ],
  system: '',
  place: null,
  continues: true,
  sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: null },
  seed: 1,
};

const piece = (id: number, text: string, special = false) => ({ id, text, special });

it('replies grow token by token on both sides, with their speed, and what is heard stands between turns', () => {
  const { playground, asked, hear } = open();
  playground.say('hello', null, options);
  expect(asked[0]).toMatchObject({
    what: 'say',
    id: 1,
    text: 'hello',
    continues: false,
    models: [{ kind: 'start' }, { kind: 'current' }],
  });
  const [first, second] = playground.exchanges[0]!.sides;
  expect(playground.underWay).toBe(true);
  hear({ what: 'loading', id: 1, side: 0, done: 1, total: 4 });
  expect(first!.status).toBe('loading');
  const turn = (side: number, number: number) => hear({ what: 'turn', id: 1, side, turn: number, model: 'm', step: 2 });
  const tokens = (side: number, number: number, ...texts: string[]) =>
    hear({
      what: 'tokens',
      id: 1,
      side,
      turn: number,
      pieces: texts.map((each, i) => piece(i, each, each === '<eos>')),
      logprobs: texts.map(() => -0.5),
      seconds: 2,
    });
  turn(0, 0);
  tokens(0, 0, 'a', 'b');
  tokens(0, 0, 'c', '<eos>');
  hear({ what: 'heard', id: 1, side: 0, messages: [{ role: 'tool', content: '42' }] });
  turn(0, 1);
  tokens(0, 1, 'd');
  turn(1, 0);
  expect(first!.text).toBe('abc\nd');
  expect(first!.tokenCount).toBe(5);
  expect(first!.tokensPerSecond).toBe(5 / 4);
  expect(second!.tokensPerSecond).toBeNull();
  expect(first!.parts.map((part) => ('turn' in part ? part.turn : part.heard.content))).toEqual([0, '42', 1]);
  const outcome = { reward: 1, metrics: { exact: 1 }, stopCondition: 'done', answer: 'd', error: null };
  hear({ what: 'done', id: 1, side: 0, cut: false, outcome });
  expect([first!.status, first!.outcome?.reward, playground.underWay]).toEqual(['done', 1, true]);
  hear({ what: 'failed', id: 1, side: 1, message: 'no' });
  expect([second!.status, second!.problem, playground.underWay]).toEqual(['failed', 'no', false]);

  playground.say('again', 3, options);
  expect(asked[1]).toMatchObject({ id: 2, task: 3, continues: true });
  // On another device a reply begins again.
  hear({ what: 'turn', id: 2, side: 0, turn: 0, model: 'm', step: 2 });
  hear({ what: 'turn', id: 2, side: 0, turn: 0, model: 'm', step: 2 });
  expect(playground.exchanges[1]!.sides[0]!.parts).toHaveLength(1);
  hear({ what: 'gone' });
  expect(playground.exchanges[1]!.sides.map(({ status }) => status)).toEqual(['failed', 'failed']);
  expect(playground.exchanges[0]!.sides[0]!.status).toBe('done');
  playground.clear();
  playground.say('anew', null, options);
  expect(asked[2]).toMatchObject({ continues: false });
});

it('what else could have stood there is asked for once, and known, or refused', () => {
  const { playground, asked, hear } = open();
  playground.say('hello', null, options);
  const [exchange] = playground.exchanges;
  const [side] = exchange!.sides;
  const reply = () => side!.replies[0]!;
  hear({ what: 'turn', id: 1, side: 0, turn: 0, model: 'm', step: null });
  hear({ what: 'tokens', id: 1, side: 0, turn: 0, pieces: [piece(1, 'a')], logprobs: [-1], seconds: 1 });
  playground.askAlternatives(exchange!, side!, reply());
  expect(asked).toHaveLength(1); // not while it is being said
  hear({ what: 'done', id: 1, side: 0, cut: false, outcome: null });
  playground.askAlternatives(exchange!, side!, reply());
  playground.askAlternatives(exchange!, side!, reply());
  expect(asked.filter(({ what }) => what === 'alternatives')).toEqual([
    { what: 'alternatives', id: 1, side: 0, turn: 0 },
  ]);
  expect(alternativesAt(reply(), 0)).toBeUndefined();
  const found = { logprob: -1, rank: 1, top: [{ text: 'b', logprob: -0.5 }] };
  hear({ what: 'alternatives', id: 1, side: 0, turn: 0, tokens: [found] });
  expect(alternativesAt(reply(), 0)).toEqual(found);
  expect(problemOf(reply())).toBe('');
  hear({ what: 'no-alternatives', id: 1, side: 0, turn: 0, message: 'trained since' });
  expect([alternativesAt(reply(), 0), problemOf(reply())]).toEqual([undefined, 'trained since']);
});

it('an environment is entered, one of its tasks chosen, and one that cannot be says why', () => {
  const { playground, asked, hear } = open();
  const place = { env: 'reverse-text', options: {} };
  playground.enter(place, 4);
  expect(asked).toEqual([{ what: 'enter', place, task: 4 }]);
  hear({ what: 'place', env: 'reverse-text', system: 's', tools: [], tasks: null });
  hear({ what: 'task', env: 'reverse-text', task: 4, text: 'abc', answer: 'cba' });
  expect([playground.place?.system, playground.task?.text]).toEqual(['s', 'abc']);
  hear({ what: 'no-place', message: 'option x' });
  expect(playground.placeProblem).toBe('option x');
});
