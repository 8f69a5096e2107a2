import { expect, it } from 'vitest';
import { MultiTurnEnv, Rubric, SingleTurnEnv, generated, prefixBreaks, rows, tokenSamples } from '../../src/envs';
import type { Message, MultiTurnOptions, State, Turn, TurnTokens } from '../../src/envs';
import { ScriptedModel, lastContent } from '../scripted';

const OPTIONS = { draw: 0, rollout: 0, key: [1, 2] as const };

function exactMatch({ response, answer }: { response: string; answer: string }) {
  return response === answer ? 1 : 0;
}

const single = new SingleTurnEnv({
  name: 'echo',
  dataset: rows([{ question: 'hi', answer: 'hi', info: { n: 1 } }]),
  systemPrompt: 'Echo.',
  fewShot: [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'a' },
  ],
  rubric: new Rubric({ exactMatch, letters: ({ response }) => response.length }, { weights: { letters: 0 } }),
  sampling: { maxTokens: 5, temperature: 0.5 },
});

it('wraps a question in system prompt and few-shot, and scores one reply', async () => {
  const model = new ScriptedModel(lastContent);
  const trace = await single.rollout(await single.example(0), model, { ...OPTIONS, sampling: { temperature: 1 } });
  expect(trace.prompt.map(({ role, content }) => [role, content])).toEqual([
    ['system', 'Echo.'],
    ['user', 'a'],
    ['assistant', 'a'],
    ['user', 'hi'],
  ]);
  expect(trace).toMatchObject({
    environment: 'echo',
    reward: 1,
    metrics: { exactMatch: 1, letters: 2, num_turns: 1 },
    stopCondition: 'max_turns_reached',
    isTruncated: false,
    error: null,
    info: { n: 1 },
  });
  // The caller's sampling wins over the environment's, setting by setting.
  expect(model.requests[0]!.sampling).toEqual({ maxTokens: 5, temperature: 1 });
  expect(model.requests[0]!.key).toEqual([1, 2]);
});

it("a row's own prompt gets the system prompt only where it has none, and no few-shot", () => {
  const user: Message = { role: 'user', content: 'x' };
  expect(single.promptFor({ prompt: [user] })).toEqual([{ role: 'system', content: 'Echo.' }, user]);
  const own: Message = { role: 'system', content: 'Mine.' };
  expect(single.promptFor({ prompt: [own, user] })).toEqual([own, user]);
});

it('evaluates on the training tasks where there are no others', () => {
  expect(single.evalDataset).toBe(single.dataset);
});

class Counting extends MultiTurnEnv {
  constructor(options: Partial<MultiTurnOptions> = {}) {
    super({ name: 'count', dataset: generated(() => ({ question: '0' })), ...options });
    this.addStop('said_stop', ({ completion }) => completion.at(-1)?.content === 'stop');
  }

  protected override envResponse({ turns }: State): Message[] {
    return [{ role: 'user', content: String(turns.length) }];
  }
}

it('talks until a stop condition, which is named', async () => {
  const env = new Counting();
  const model = new ScriptedModel((request) => (lastContent(request) === '3' ? 'stop' : 'go'));
  const trace = await env.rollout(await env.example(0), model, OPTIONS);
  expect(trace.completion.map((message) => message.content)).toEqual(['go', '1', 'go', '2', 'go', '3', 'stop']);
  expect(trace.stopCondition).toBe('said_stop');
  expect(trace.turns.map((turn) => turn.promptMessages)).toEqual([1, 3, 5, 7]);
});

it('stops at max turns without an answer to the last reply', async () => {
  const env = new Counting({ maxTurns: 2 });
  const trace = await env.rollout(await env.example(0), new ScriptedModel(() => 'go'), OPTIONS);
  expect(trace.completion.map((message) => message.content)).toEqual(['go', '1', 'go']);
  expect(trace.stopCondition).toBe('max_turns_reached');
});

it('hands the previous turn on, so that its tokens are continued', async () => {
  const tokens: TurnTokens = { promptIds: [1], completionIds: [2, 3], logprobs: [-1, -1], cacheId: 7 };
  const model = new ScriptedModel((request) => ({
    message: { role: 'assistant', content: request.messages.length > 3 ? 'stop' : 'go' },
    finishReason: request.messages.length === 1 ? 'length' : 'stop',
    tokens,
  }));
  const env = new Counting();
  const trace = await env.rollout(await env.example(0), model, OPTIONS);
  expect(model.requests.map((request) => request.previous)).toEqual([
    undefined,
    { tokens, messages: 2, ended: false },
    { tokens, messages: 4, ended: true },
  ]);
  expect(trace.isTruncated).toBe(true);
});

it('an over-long prompt is a stop condition, not a failure', async () => {
  const tooLong = Object.assign(new Error('too long'), { name: 'ContextLengthError' });
  const trace = await single.rollout(await single.example(0), new ScriptedModel(() => tooLong), OPTIONS);
  expect(trace).toMatchObject({ stopCondition: 'prompt_too_long', isTruncated: true, error: null, reward: 0 });
});

it('an answer of the environment that no longer fits is not part of the conversation', async () => {
  const tooLong = Object.assign(new Error('too long'), { name: 'ContextLengthError' });
  const env = new Counting();
  const model = new ScriptedModel(({ messages }) => (messages.length > 1 ? tooLong : 'go on'));
  const trace = await env.rollout(await env.example(0), model, OPTIONS);
  expect(trace.completion.map(({ content }) => content)).toEqual(['go on']);
  expect(trace).toMatchObject({ stopCondition: 'prompt_too_long', error: null });
  expect([model.requests.length, trace.turns.length]).toEqual([2, 1]);
});

it("a model's failure is the trace's error and never a reward of 0", async () => {
  const trace = await single.rollout(await single.example(0), new ScriptedModel(() => new Error('503')), OPTIONS);
  expect(trace.error).toEqual({ source: 'model', name: 'Error', message: '503' });
  expect(trace.reward).toBeNull();
});

it("the environment's own failure is the trace's error", async () => {
  class Broken extends Counting {
    protected override envResponse(): Message[] {
      throw new TypeError('no such room');
    }
  }
  const env = new Broken();
  const trace = await env.rollout(await env.example(0), new ScriptedModel(() => 'go'), OPTIONS);
  expect(trace.error).toEqual({ source: 'environment', name: 'TypeError', message: 'no such room' });
  expect(trace.completion).toHaveLength(1);
});

it('a cancel is thrown, not recorded', async () => {
  const controller = new AbortController();
  const model = new ScriptedModel(() => {
    controller.abort(new Error('cancelled'));
    controller.signal.throwIfAborted();
    return '';
  });
  await expect(
    single.rollout(await single.example(0), model, { ...OPTIONS, signal: controller.signal }),
  ).rejects.toThrow('cancelled');
});

it.each([
  [{}, 'row 0 has neither column "question" nor column "prompt"'],
  [{ question: 3 }, 'row 0, column "question": number instead of text'],
  [{ prompt: [{ role: 'user' }] }, 'row 0, column "prompt": not a list of messages'],
  [{ question: 'q', answer: 3 }, 'row 0, column "answer": number instead of text'],
  [null, 'row 0 is not an object'],
])('names row and column of a bad dataset row %#', async (row, message) => {
  const env = new SingleTurnEnv({ name: 'bad', dataset: rows([row as never]) });
  await expect(env.example(0)).rejects.toThrow(message);
  await expect(env.example(1)).rejects.toThrow('row 1 of a dataset of 1');
});

it('a trace is plain data', async () => {
  const trace = await single.rollout(await single.example(0), new ScriptedModel(lastContent), OPTIONS);
  expect(JSON.parse(JSON.stringify(trace))).toEqual(trace);
  expect(structuredClone(trace)).toEqual(trace);
});

it('turns become one token sequence while each prompt extends it, else a new one', () => {
  const turn = (tokens?: TurnTokens, advantage?: number): Turn => ({
    promptMessages: 1,
    finishReason: 'stop',
    span: { start: 0, end: 0 },
    ...(tokens && { tokens }),
    ...(advantage !== undefined && { advantage }),
  });
  const turns = [
    turn({ promptIds: [1, 2], completionIds: [3, 4], logprobs: [-1, -2] }),
    turn({ promptIds: [1, 2, 3, 4, 5], completionIds: [6], logprobs: [-3] }, 9), // judged by itself
    turn({ promptIds: [1, 9], completionIds: [7], logprobs: [-4] }), // history was rewritten
    turn(), // a model without tokens
  ];
  expect(tokenSamples({ turns, advantage: 0.5 })).toEqual([
    {
      ids: [1, 2, 3, 4, 5, 6],
      mask: [0, 0, 1, 1, 0, 1],
      logprobs: [0, 0, -1, -2, 0, -3],
      advantages: [0, 0, 0.5, 0.5, 0, 9],
    },
    { ids: [1, 9, 7], mask: [0, 0, 1], logprobs: [0, 0, -4], advantages: [0, 0, 0.5] },
  ]);
  expect(prefixBreaks(turns)).toBe(1);
  const branches = tokenSamples({ turns, advantage: 1 }, { branching: true });
  expect(branches.map(({ ids }) => ids)).toEqual([
    [1, 2, 3, 4],
    [1, 2, 3, 4, 5, 6],
    [1, 9, 7],
  ]);
});
