import { expect, it } from 'vitest';
import { libraryEntry } from '../../../src/envs';
import type { Example } from '../../../src/envs';
import { ContextLengthError } from '../../../src/model/errors';
import { ScriptedModel } from '../../scripted';
import { ROLLOUT } from './players';

const env = libraryEntry('sentence-repeater').load();
const ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth'];

function infoOf({ info }: Example): { questions: string[]; answers: string[] } {
  return info as { questions: string[]; answers: string[] };
}

async function play(example: Example, replies: readonly (string | Error)[]) {
  let turn = 0;
  const model = new ScriptedModel(() => replies[turn++] ?? new Error('asked too often'));
  return env.rollout(example, model, ROLLOUT);
}

it('asks for each of five sentences once', async () => {
  const orders = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const example = await env.example(i);
    const { questions, answers } = infoOf(example);
    const [paragraph] = example.question!.split('\n\n');
    const sentences = paragraph!.replace(/\.$/, '').split('. ');
    expect(new Set(sentences).size).toBe(5);
    const asked = questions.map((question) => ORDINALS.findIndex((ordinal) => question.includes(ordinal)));
    expect([...asked].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(answers).toEqual(asked.map((at) => sentences[at]));
    expect(example.question!.endsWith(questions[0]!)).toBe(true);
    orders.add(asked.join());
  }
  expect(orders.size).toBeGreaterThan(80);
});

it('goes through the questions and stops after the last', async () => {
  const example = await env.example(3, 'eval');
  const { questions, answers } = infoOf(example);
  const trace = await play(example, answers);
  expect(trace.completion.filter(({ role }) => role === 'user').map(({ content }) => content)).toEqual(
    questions.slice(1),
  );
  expect(trace).toMatchObject({ reward: 1, stopCondition: 'all_questions_answered', error: null });
  expect(trace.metrics).toEqual({ compare_answers_reward_func: 1, num_turns: 5 });
});

it('is worth the mean likeness, in the order of the questions', async () => {
  const example = await env.example(4, 'eval');
  const { answers } = infoOf(example);
  const one = await play(example, [answers[0]!, '#', '#', '#', '#']);
  expect(one.reward).toBeCloseTo(0.2, 12);
  const quoted = await play(
    example,
    answers.map((answer) => `"${answer}."`),
  );
  expect(quoted.reward).toBeGreaterThan(0.95);
  const reversed = await play(example, [...answers].reverse());
  expect(reversed.reward).toBeLessThan(0.8);
  expect(env.passThreshold).toBeGreaterThan(0.8);
});

it('is worth nothing when answers are missing', async () => {
  const example = await env.example(5, 'eval');
  const { answers } = infoOf(example);
  const trace = await play(example, [...answers.slice(0, 4), new ContextLengthError('full')]);
  expect(trace).toMatchObject({ reward: 0, stopCondition: 'prompt_too_long', error: null });
});

it('says which column lacks something', async () => {
  const trace = await play({ exampleId: 0, question: 'Go.', info: { questions: ['one?'] } }, ['one']);
  expect(trace.reward).toBeNull();
  expect(trace.error?.message).toContain('answers');
});

it('survives 100 kB of the right sentence', async () => {
  const example = await env.example(6, 'eval');
  const { answers } = infoOf(example);
  const trace = await play(
    example,
    answers.map((answer) => answer.repeat(1200)),
  );
  expect(trace.error).toBeNull();
  expect(trace.reward).toBeLessThan(0.01);
});
