import { describe, expect, it } from 'vitest';
import {
  Judge,
  JudgeRubric,
  RubricGroup,
  Rubric,
  SingleTurnEnv,
  letterGrade,
  outOfTen,
  rows,
  verdict,
  yesOrNo,
} from '../../src/envs';
import type { JudgeRubricOptions } from '../../src/envs';
import { ScriptedModel } from '../scripted';
import type { Reply } from '../scripted';

const OPTIONS = { draw: 0, rollout: 0, key: [1, 2] as const };

const judged = (reply: (n: number) => Reply, more: Partial<JudgeRubricOptions> = {}) => {
  let n = 0;
  const judge = new ScriptedModel(() => reply(n++));
  const rubric = new JudgeRubric({ judge, ...more });
  const env = new SingleTurnEnv({
    name: 'capitals',
    dataset: rows([{ question: 'Capital of France?', answer: 'Paris' }]),
    systemPrompt: 'Be brief.',
    rubric,
  });
  const play = async (said = 'It is {Paris}', rollouts = 1) =>
    env.rolloutGroup(
      await env.example(0),
      new ScriptedModel(() => said),
      Array.from({ length: rollouts }, (_, rollout) => ({ ...OPTIONS, rollout })),
    );
  return { judge, play };
};

describe('a judge', () => {
  it('is asked about question, answer and response, and its yes is the reward', async () => {
    const { judge, play } = judged(() => 'Yes.', { prompt: 'Q={question} A={answer} R={response} {{literal}}' });
    const [trace] = await play();
    expect(judge.requests.map(({ messages, sampling }) => [messages, sampling])).toEqual([
      [[{ role: 'user', content: 'Q=Capital of France? A=Paris R=It is {Paris} {literal}' }], { temperature: 0 }],
    ]);
    expect(trace).toMatchObject({ reward: 1, metrics: { judge_reward: 1, judge_calls: 1 }, error: null });
    expect((await judged(() => 'No!').play())[0]).toMatchObject({ reward: 0, error: null });
  });

  it('is asked the same once a rollout, whoever asks, and anew for another rollout', async () => {
    const functions = { yes: verdict(yesOrNo), again: verdict(yesOrNo) };
    const { judge, play } = judged(() => 'yes', { functions });
    const traces = await play('Paris', 3);
    expect(judge.requests).toHaveLength(3);
    for (const { reward, metrics } of traces) expect([reward, metrics.judge_calls]).toEqual([2, 1]);
    const keys = new Set(judge.requests.map(({ key }) => key.join()));
    expect(keys.size).toBe(1); // the rollouts have one key here, and so has the judge
  });

  it('that talks nonsense is an error of its reward with its words, cut where all can see it', async () => {
    const [trace] = await judged(() => `Hm. ${'So '.repeat(200)}`).play();
    expect(trace).toMatchObject({
      reward: null,
      error: { source: 'reward', where: 'judge_reward', name: 'VerdictError' },
    });
    expect(trace!.error!.message).toMatch(
      /^the judge gave no verdict, but said "Hm\. So So .*"\.\.\. \(the first 200 of 604 characters\)$/,
    );
    const [empty] = await judged(() => '').play();
    expect(empty!.error!.message).toBe('the judge gave no verdict, but said ""');
  });

  it('that fails is an error of its reward, and is asked again by the next function', async () => {
    const functions = { yes: verdict(yesOrNo), again: verdict(yesOrNo) };
    const { judge, play } = judged((n) => (n === 0 ? new Error('503') : 'yes'), { functions });
    const [trace] = await play();
    expect(trace).toMatchObject({ reward: null, error: { source: 'reward', where: 'yes', message: '503' } });
    expect(trace!.metrics).toMatchObject({ again: 1, judge_calls: 2 });
    expect(judge.requests).toHaveLength(2);
  });

  it('may be one rubric of several', async () => {
    const judge = new ScriptedModel(() => 'no');
    const rubric = new RubricGroup([
      new Rubric({ always: () => 1 }),
      new JudgeRubric({ judge, weights: { judge_reward: 3 } }),
    ]);
    const env = new SingleTurnEnv({ name: 'x', dataset: rows([{ question: 'q' }]), rubric });
    const [trace] = await env.rolloutGroup(await env.example(0), new ScriptedModel(() => 'a'), [OPTIONS]);
    expect(trace).toMatchObject({ reward: 1, metrics: { always: 1, judge_reward: 0, judge_calls: 1 } });
  });

  it('refuses a prompt with a field that there is not', () => {
    const model = new ScriptedModel(() => '');
    for (const prompt of ['{quesion}', 'a { b', '}', '{}']) {
      expect(() => new Judge(model, { prompt })).toThrow(/^the judge's prompt has "/);
    }
    expect(() => new Judge(model, { prompt: '{{}} {question}' })).not.toThrow();
  });
});

describe('verdicts', () => {
  it.each([
    ['yes', 1],
    ['No, that is wrong. Yes, really.', 0],
    ['**YES**', 1],
    ['not at all', null],
    ['yesterday', null],
    ['', null],
  ])('yes or no: %j is %s', (text, score) => expect(yesOrNo(text)).toBe(score));

  it.each([
    ['7', 0.7],
    ['10/10', 1],
    ['I give it 3 of 10', 0.3],
    ['0', 0],
    ['7.5', null],
    ['-3', null],
    ['11', null],
    ['B2', null],
  ])('out of ten: %j is %s', (text, score) => expect(outOfTen(text)).toBe(score));

  it.each([
    ['<grade>A</grade>', 1],
    ['so <grade> b- </grade>', 0.75],
    ['<grade>A</grade><grade>D+</grade>', 0.25],
    ['<grade>F</grade>', 0],
    ['<grade>E</grade>', null],
    ['A', null],
  ])('grade: %j is %s', (text, score) => expect(letterGrade(text)).toBe(score));
});
