import { expect, it } from 'vitest';
import { EnvGroup, MemoryStore, Rubric, SingleTurnEnv, evaluate, functionModel, generated } from '../../../src/envs';
import type { ChatModel, EvalProgress, ResultMetadata, Trace } from '../../../src/envs';
import { PURPOSE, deriveKey } from '../../../src/random';
import { ScriptedModel } from '../../scripted';
import { dicePlayer, parseLines, sums, timelessTrace } from './worlds';

const right = functionModel('right', ({ messages }) => {
  const [a, b] = messages.at(-1)!.content.split('+').map(Number);
  return String(a! + b!);
});

it('plays every example of the eval split, in order, and sums up', async () => {
  const { traces, summary, metadata, resumed } = await evaluate(sums(5), right, { rolloutsPerExample: 2 });
  expect(traces.map(({ exampleId, rollout }) => [exampleId, rollout])).toEqual(
    [0, 1, 2, 3, 4].flatMap((example) => [
      [example, 0],
      [example, 1],
    ]),
  );
  expect(summary).toMatchObject({
    rollouts: 10,
    examples: 5,
    reward: { mean: 1, interval: [1, 1], rollouts: 10, examples: 5 },
    metrics: { exact: { mean: 1 }, length: { mean: 1 }, num_turns: { mean: 1 } },
    passAtK: { 1: 1, 2: 1 },
    passAllK: { 1: 1, 2: 1 },
    stopConditions: { max_turns_reached: 10 },
    failed: 0,
    errors: {},
    usage: null,
  });
  expect(metadata).toMatchObject({ env_id: 'sums', model: 'right', num_examples: 5, rollouts_per_example: 2 });
  expect(resumed).toBeNull();
});

it('draws the same keys as training does, whatever the batch, and a longer run contains the shorter', async () => {
  const keys: unknown[] = [];
  const env = sums(20);
  const spy: ChatModel = { name: 'spy', complete: (request) => (keys.push(request.key), right.complete(request)) };
  await evaluate(env, spy, { numExamples: 2, rolloutsPerExample: 2, seed: 7, maxConcurrent: 1 });
  const expected = [0, 1].flatMap((example) =>
    [0, 1].map((rollout) => deriveKey(7, PURPOSE.evaluation, 0, example, rollout, 0)),
  );
  expect(keys).toEqual(expected);

  const run = async (numExamples: number, maxConcurrent: number) =>
    (await evaluate(env, dicePlayer(0.5, 3), { numExamples, rolloutsPerExample: 2, seed: 7, maxConcurrent })).traces;
  const long = await run(12, 5);
  const short = await run(5, 1);
  expect(short.map(timelessTrace)).toEqual(long.slice(0, 10).map(timelessTrace));
  expect(new Set(long.map(({ reward }) => reward)).size).toBe(2);
});

it('never has more rollouts in flight than allowed, and always as many while there are', async () => {
  let [flying, most] = [0, 0];
  const model = functionModel('slow', async () => {
    most = Math.max(most, ++flying);
    await new Promise((go) => setTimeout(go, 2));
    flying--;
    return '';
  });
  await evaluate(sums(9), model, { rolloutsPerExample: 3, maxConcurrent: 4 });
  expect(most).toBe(4);
  most = 0;
  await evaluate(sums(9, { group: true }), model, { rolloutsPerExample: 3, maxConcurrent: 7 });
  expect(most).toBe(6); // whole groups
  most = 0;
  await evaluate(sums(2, { group: true }), model, { rolloutsPerExample: 3, maxConcurrent: 2 });
  expect(most).toBe(3); // a group that is larger than the limit is not cut
});

it('scores groups as groups', async () => {
  const model = functionModel('varied', ({ key }) => 'x'.repeat(1 + (key[0] % 5)));
  const { traces } = await evaluate(sums(4, { group: true }), model, { rolloutsPerExample: 3 });
  for (const example of [0, 1, 2, 3]) {
    const group = traces.filter(({ exampleId }) => exampleId === example);
    const longest = Math.max(...group.map(({ metrics }) => metrics.length!));
    expect(group.map(({ metrics }) => metrics.longest)).toEqual(
      group.map(({ metrics }) => (metrics.length === longest ? 0.5 : 0)),
    );
    expect(group.reduce((sum, { advantage }) => sum + advantage!, 0)).toBeCloseTo(0, 12);
  }
});

it('shuffles by a seed of its own; more examples begin with the same', async () => {
  const ids = async (options: object) => {
    const { traces, metadata } = await evaluate(sums(30), right, { shuffle: true, shuffleSeed: 3, ...options });
    return { ids: traces.map(({ exampleId }) => exampleId), metadata };
  };
  const all = await ids({});
  expect([...all.ids].sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i));
  expect(all.ids).not.toEqual([...all.ids].sort((a, b) => a - b));
  expect((await ids({ numExamples: 8 })).ids).toEqual(all.ids.slice(0, 8));
  expect((await ids({ shuffleSeed: 4 })).ids).not.toEqual(all.ids);
  expect(all.metadata).toMatchObject({ shuffle: true, shuffle_seed: 3 });
});

it('takes the split it is told', async () => {
  const env = new SingleTurnEnv({
    name: 'split',
    dataset: generated((i) => ({ question: `train ${i}` }), 2),
    evalDataset: generated((i) => ({ question: `eval ${i}` }), 3),
  });
  const questions = async (split?: 'train' | 'eval') =>
    (await evaluate(env, right, { ...(split && { split }) })).traces.map(({ prompt }) => prompt[0]!.content);
  expect(await questions()).toEqual(['eval 0', 'eval 1', 'eval 2']);
  expect(await questions('train')).toEqual(['train 0', 'train 1']);
});

it.each([
  [{ numExamples: 0 }, 'numExamples: 0 examples are nothing to evaluate'],
  [{ numExamples: 1.5 }, 'numExamples: 1.5 is not a whole number'],
  [{ numExamples: -2 }, 'numExamples: -2'],
  [{ rolloutsPerExample: 0 }, 'rolloutsPerExample: 0 is not a whole number of at least 1'],
  [{ maxConcurrent: 0 }, 'maxConcurrent: 0'],
  [{ maxRetries: -1 }, 'maxRetries: -1'],
  [{ seed: 0.5 }, 'seed: 0.5'],
])('refuses %j', async (options, message) => {
  await expect(evaluate(sums(3), right, options)).rejects.toThrow(message);
});

it('a dataset without end needs a number, and has no order to shuffle', async () => {
  const env = new SingleTurnEnv({ name: 'endless', dataset: generated((i) => ({ question: `${i}+1` })) });
  await expect(evaluate(env, right)).rejects.toThrow(
    'numExamples: the eval dataset of endless has no end; say how many',
  );
  await expect(evaluate(env, right, { numExamples: 3, shuffle: true })).rejects.toThrow('shuffle: ');
  expect((await evaluate(env, right, { numExamples: 3 })).traces).toHaveLength(3);
});

it('plays again what the model failed, and never scores it as 0', async () => {
  const tries = new Map<string, number>();
  const flaky = new ScriptedModel(({ messages, key }) => {
    const id = key.join();
    const attempt = (tries.get(id) ?? 0) + 1;
    tries.set(id, attempt);
    const question = messages.at(-1)!.content;
    if (question === '0+1' && attempt < 3) return new Error('try later');
    if (question === '1+1') return new Error('never');
    return '1';
  });
  const store = new MemoryStore();
  const options = { maxRetries: 2, retrySeconds: 1e-3, store };
  const { traces, summary, metadata } = await evaluate(sums(3), flaky, options);
  expect([...tries.values()]).toEqual([3, 3, 1]);
  expect(traces.map(({ reward }) => reward)).toEqual([1, null, 0]);
  expect(traces[1]!.error).toEqual({ source: 'model', name: 'Error', message: 'never' });
  expect(summary.reward).toMatchObject({ mean: 0.5, rollouts: 2 });
  expect(summary).toMatchObject({ failed: 1, errors: { 'model: Error': 1 }, stopConditions: { has_error: 1 } });
  expect(metadata.avg_error).toBeCloseTo(1 / 3, 12);
  expect(metadata.avg_reward).toBe(0.5);
  const line = parseLines(store.results).find(({ example_id }) => example_id === 1);
  expect(line).toMatchObject({ reward: null, error: { error: 'Error', message: 'never' } });
});

it('an error that no retry mends is not retried; with nothing scored there is no mean', async () => {
  const refused = new ScriptedModel(() => Object.assign(new Error('wrong key'), { name: 'AuthenticationError' }));
  const { summary, metadata } = await evaluate(sums(4), refused, { retrySeconds: 10 });
  expect(refused.requests).toHaveLength(4);
  expect(summary.reward).toBeNull();
  expect(metadata).toMatchObject({ avg_reward: null, avg_error: 1, pass_at_k: {} });
});

it('a lost device ends the run instead of failing what is left of it; a resume goes on', async () => {
  let calls = 0;
  const lost = () => Object.assign(new Error('the GPU was reset'), { name: 'DeviceLostError' });
  const model = new ScriptedModel(() => (++calls > 4 ? lost() : '1'));
  const store = new MemoryStore();
  const run = evaluate(sums(9), model, { store, maxConcurrent: 1 });
  await expect(run).rejects.toThrow('the model is gone: DeviceLostError: the GPU was reset');
  expect(calls).toBe(5);
  expect(parseLines(store.results).map(({ error }) => error)).toEqual([null, null, null, null]);
  const { resumed, traces } = await evaluate(sums(9), new ScriptedModel(() => '1'), { store, resume: true });
  expect(resumed).toEqual({ kept: 4, failed: 0, dropped: 0 });
  expect(traces).toHaveLength(9);
});

it('plays a whole group again where one of it failed and the group is scored together', async () => {
  let calls = 0;
  const model = new ScriptedModel(() => (++calls === 2 ? new Error('once') : 'x'));
  const { traces } = await evaluate(sums(1, { group: true }), model, { rolloutsPerExample: 3, retrySeconds: 1e-3 });
  expect(calls).toBe(6);
  expect(traces.map(({ metrics }) => metrics.longest)).toEqual([0.5, 0.5, 0.5]);
});

it('reports progress with rate and time left, and every trace once it is stored', async () => {
  const progress: EvalProgress[] = [];
  const store = new MemoryStore();
  const stored: number[] = [];
  await evaluate(sums(4), dicePlayer(0.5, 5), {
    maxConcurrent: 2,
    store,
    onProgress: (report) => progress.push(report),
    onTrace: () => stored.push(parseLines(store.results).length),
  });
  expect(progress.map(({ done }) => done)).toEqual([0, 1, 2, 3, 4]);
  expect(progress.every(({ total }) => total === 4)).toBe(true);
  expect(progress[0]).toMatchObject({ rate: 0, secondsLeft: null });
  expect(progress[2]!.rate).toBeGreaterThan(0);
  expect(progress[2]!.secondsLeft).toBeCloseTo(2 / progress[2]!.rate, 9);
  expect(progress.at(-1)!.secondsLeft).toBe(0);
  stored.forEach((lines, i) => expect(lines).toBeGreaterThan(i));
});

it('a cancel throws its reason, and what is finished stays', async () => {
  const store = new MemoryStore();
  const controller = new AbortController();
  const seen: Trace[] = [];
  const run = evaluate(sums(50), dicePlayer(0.5, 4), {
    maxConcurrent: 3,
    store,
    signal: controller.signal,
    onTrace: (trace) => {
      seen.push(trace);
      if (seen.length === 7) controller.abort(new Error('enough'));
    },
  });
  await expect(run).rejects.toThrow('enough');
  const lines = parseLines(store.results);
  expect(lines.length).toBeGreaterThanOrEqual(7);
  expect(lines.length).toBeLessThan(50);
  const metadata = JSON.parse(store.metadata!) as ResultMetadata;
  expect(metadata.terrarium).toMatchObject({ done: lines.length, total: 50 });
});

it('a cancel does not wait for a model that ignores it', async () => {
  const deaf = functionModel('deaf', () => new Promise<string>(() => undefined));
  await expect(evaluate(sums(2), deaf, { signal: AbortSignal.timeout(20) })).rejects.toThrow('timeout');
});

it('a store that fails ends the run with its own error', async () => {
  const store = new MemoryStore();
  store.append = () => Promise.reject(new Error('disk full'));
  await expect(evaluate(sums(20), right, { store })).rejects.toThrow('disk full');
});

it('what the caller throws in a callback ends the run', async () => {
  const onTrace = () => {
    throw new Error('mine');
  };
  await expect(evaluate(sums(20), right, { onTrace })).rejects.toThrow('mine');
});

it('refuses to write over other results', async () => {
  const store = new MemoryStore();
  await evaluate(sums(1), right, { store });
  await expect(evaluate(sums(1), right, { store })).rejects.toThrow('memory already holds results: resume');
});

it('evaluates a mixture, whose rows say where they belong', async () => {
  const shout = new SingleTurnEnv({
    name: 'shout',
    dataset: generated(() => ({ question: 'hey' }), 2),
    rubric: new Rubric({ loud: ({ response }) => response === 'HEY' }),
  });
  const group = new EnvGroup({ envs: [sums(2), shout] });
  const model = functionModel('either', (request) => {
    const text = request.messages.at(-1)!.content;
    return text.includes('+') ? String(Number(text.split('+')[0]) + 1) : text.toUpperCase();
  });
  const { traces, summary } = await evaluate(group, model, { rolloutsPerExample: 2 });
  expect(traces.map(({ task }) => task)).toEqual([...Array<string>(4).fill('sums'), ...Array<string>(4).fill('shout')]);
  expect(summary.reward!.mean).toBe(1);
  expect(summary.metrics.loud!.mean).toBe(0.5);
});
