import { expect, it } from 'vitest';
import { DONE, UserEnv, functionModel, rows } from '../../src/envs';
import type { ChatModel, UserEnvOptions } from '../../src/envs';
import { ScriptedModel, lastContent } from '../scripted';

const OPTIONS = { draw: 0, rollout: 0, key: [1, 2] as const };

const conversation = async (user: ChatModel, policy: ChatModel, more: Partial<UserEnvOptions> = {}) => {
  const env = new UserEnv({
    name: 'shop',
    dataset: rows([{ question: 'Hello!', info: { wants: 'two pears' } }]),
    systemPrompt: 'You sell fruit.',
    user,
    userPrompt: ({ info }) => `You want ${String(info!.wants)}.`,
    ...more,
  });
  return env.rollout(await env.example(0), policy, OPTIONS);
};

const seller = () =>
  new ScriptedModel((request) => (lastContent(request) === 'Hello!' ? 'What would you like?' : 'Here!'));

it('the user sees the conversation from its own side, with what it wants and without the system prompt', async () => {
  const user = new ScriptedModel((request) => (lastContent(request) === 'Here!' ? `Thanks. ${DONE}` : 'Two pears.'));
  const policy = seller();
  const trace = await conversation(user, policy);
  expect(user.requests.map(({ messages }) => messages.map(({ role, content }) => `${role}: ${content}`))).toEqual([
    ['system: You want two pears.', 'assistant: Hello!', 'user: What would you like?'],
    [
      'system: You want two pears.',
      'assistant: Hello!',
      'user: What would you like?',
      'assistant: Two pears.',
      'user: Here!',
    ],
  ]);
  expect(trace).toMatchObject({ stopCondition: 'user_done', error: null });
  expect(trace.completion.map(({ role, content }) => `${role}: ${content}`)).toEqual([
    'assistant: What would you like?',
    'user: Two pears.',
    'assistant: Here!',
    `user: Thanks. ${DONE}`,
  ]);
  const secret = policy.requests.flatMap(({ messages }) => messages.map(({ content }) => content)).join(' ');
  expect(secret).not.toContain('You want');
  expect(policy.requests).toHaveLength(2); // nobody is asked after the last word
  // Each of the user's turns has random numbers of its own.
  expect(new Set(user.requests.map(({ key }) => key.join())).size).toBe(2);
});

it('a script may be the user, and its own words may end it', async () => {
  const script = functionModel('script', ({ messages }) => (messages.length > 4 ? 'bye' : 'go on'));
  const trace = await conversation(script, seller(), { ends: (text) => text === 'bye', userPrompt: 'Be brief.' });
  expect(trace).toMatchObject({ stopCondition: 'user_done', metrics: { num_turns: 2 } });
});

it('a user who never ends it is ended by the most turns', async () => {
  const trace = await conversation(
    functionModel('script', () => 'more'),
    seller(),
    { maxTurns: 3 },
  );
  expect(trace).toMatchObject({ stopCondition: 'max_turns_reached', error: null, metrics: { num_turns: 3 } });
});

it('a user that fails is an error of the rollout and no reward, and the policy is not asked again', async () => {
  const policy = seller();
  const trace = await conversation(new ScriptedModel(() => new Error('503')), policy);
  expect(trace.error).toEqual({ source: 'model', where: 'user', name: 'Error', message: '503' });
  expect([trace.reward, trace.stopCondition, policy.requests.length]).toEqual([null, 'has_error', 1]);
});
