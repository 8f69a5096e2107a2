/** @file What a step does with its groups: replaced, dropped, cut off, weighted by hand; references, teachers, and rollouts one step ahead. */
import { expect, it } from 'vitest';
import { Rubric, SingleTurnEnv, generated } from '../../src/envs';
import type { RewardFunction, Trace } from '../../src/envs';
import { CustomFunctionError, RolloutPipeline, Run, UnfitConfigError, grpoStep, resolveConfig } from '../../src/rl';
import type { ConfigLayer, GrpoFunctions, ModelSources, RunEvent, RunOptions, RunSnapshot } from '../../src/rl';
import { testGpu } from '../gpu';

const config = (...layers: ConfigLayer[]) =>
  resolveConfig(
    {
      env: 'even-digits',
      grpo: { steps: 4, batch_size: 16, group_size: 4, warmup_steps: 0 },
      eval: { examples: 10, interval: 2 },
    },
    ...layers,
  );

const lettersOf = (response: string) => response.length / 6;

function environment(reward: RewardFunction = ({ response }) => lettersOf(response)) {
  return new SingleTurnEnv({
    name: 'mine',
    dataset: generated((index) => ({ question: 'abcdefgh'[index % 8]!, answer: String(index) })),
    rubric: new Rubric({ reward }),
    sampling: { maxTokens: 6 },
  });
}

async function start(
  layers: ConfigLayer[],
  reward?: RewardFunction,
  functions?: GrpoFunctions,
  sources?: ModelSources,
) {
  return Run.create(await testGpu(), config(...layers), sources, environment(reward), { functions });
}

async function finish(run: Run, options?: RunOptions): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of run.events(options)) events.push(event);
  run.destroy();
  return events;
}

const hashOf = (events: RunEvent[]) => events.flatMap((e) => (e.event === 'done' ? [e.weights_sha256] : []))[0]!;
const stepsOf = (events: RunEvent[]) => events.filter((e) => e.event === 'step');

it('asks other prompts in place of groups without signal, and counts them', async () => {
  // Prompts of even index say nothing.
  const reward: RewardFunction = ({ response, answer }) => (Number(answer) % 2 === 0 ? 0.5 : lettersOf(response));
  const run = await start([{ grpo: { replacement_rounds: 3 } }], reward);
  const [first] = stepsOf(await finish(run));
  expect(first!.groupsReplaced).toBeGreaterThanOrEqual(2);
  expect(first!.groups).toBe(4 + first!.groupsReplaced);
  expect(first!.groups_detail.slice(4).every(({ exampleId }) => exampleId >= 2 ** 32)).toBe(true);
  expect(first!.rollouts).toBe(4 * first!.groups);
  const plain = stepsOf(await finish(await start([], reward)))[0]!;
  expect(first!.groupsWithSignal).toBeGreaterThan(plain.groupsWithSignal);
  expect(plain).toMatchObject({ groupsReplaced: 0, groupsWithSignal: 2, groups: 4 });
});

it('says whether groups without signal are too easy or too hard', async () => {
  const reward: RewardFunction = ({ answer }) => (Number(answer) % 4 === 0 ? 1 : 0);
  const [first] = stepsOf(await finish(await start([], reward)));
  expect(first).toMatchObject({
    groupsTooEasy: 1,
    groupsTooHard: 3,
    groupsWithSignal: 0,
    update: null,
    solveRate: 0.25,
  });
});

it('groups without signal stay in the normaliser where they are not filtered', async () => {
  const reward: RewardFunction = ({ response, answer }) => (Number(answer) % 2 === 0 ? 0.5 : lettersOf(response));
  const tokens = async (filter: boolean) =>
    stepsOf(await finish(await start([{ grpo: { filter_zero_advantages: filter } }], reward)))[0]!.update!.lossTokens;
  expect(await tokens(false)).toBeGreaterThan(await tokens(true));
});

it('rollouts that were cut off count in their group and carry no loss, where so set', async () => {
  const run = await start([{ grpo: { mask_truncated: true } }]);
  const { report, groups } = await grpoStep(run.policy, run.env, { step: 1, config: run.config });
  const traces = groups.flatMap((group) => group.traces);
  const whole = traces.filter(({ isTruncated }) => !isTruncated);
  expect(report.truncated).toBeGreaterThan(0);
  expect(whole.length).toBeGreaterThan(0);
  expect(traces.every(({ advantage }) => advantage !== null)).toBe(true);
  const lengths = whole.map(({ turns }) => turns[0]!.tokens!.completionIds.length);
  expect(report.update!.lossTokens).toBe(lengths.reduce((a, b) => a + b, 0));
  run.destroy();
});

it('a length penalty prefers the shorter of two equal rewards', async () => {
  const run = await start([{ length_penalty: { output_tokens: 0.25 } }], () => 1);
  const { report, groups } = await grpoStep(run.policy, run.env, { step: 1, config: run.config });
  expect(report.reward).toMatchObject({ mean: 1, std: 0 }); // what the environment gave
  const traces = groups.flatMap((group) => group.traces.map((trace) => ({ trace, group })));
  for (const { trace, group } of traces) {
    const length = ({ turns }: Trace) => turns[0]!.tokens!.completionIds.length;
    const lengths = group.traces.map(length);
    const average = lengths.reduce((sum, each) => sum + each, 0) / lengths.length;
    expect(trace.advantage).toBeCloseTo((0.25 * (average - length(trace))) / Math.max(...lengths), 9);
  }
  expect(report.update).not.toBeNull();
  run.destroy();
});

it('advantages and token weights of the user replace ours; nonsense is named', async () => {
  const seen: number[] = [];
  const mine: GrpoFunctions = {
    advantage: (groups) => {
      seen.push(groups.length);
      return groups.map((traces) => traces.map((_, i) => (i === 0 ? 1 : 0)));
    },
    tokenWeight: (_, { mask }) => mask.map((isOwn, i) => (isOwn && mask.indexOf(1) === i ? 2 : 0)),
  };
  const run = await start([], () => 0.5, mine);
  const before = await run.policy.snapshot();
  const { report, groups } = await grpoStep(run.policy, run.env, { step: 1, config: run.config, functions: mine });
  expect(seen).toEqual([4]);
  expect(report).toMatchObject({ groupsWithSignal: 4 });
  expect(groups[0]!.traces.map(({ advantage }) => advantage)).toEqual([1, 0, 0, 0]);
  expect((await run.policy.snapshot()).arrays.parameters).not.toEqual(before.arrays.parameters);

  const attempt = (functions: GrpoFunctions) =>
    grpoStep(run.policy, run.env, { step: 1, config: run.config, functions });
  await expect(attempt({ advantage: () => [[1]] })).rejects.toThrow(CustomFunctionError);
  await expect(attempt({ advantage: () => [[1]] })).rejects.toThrow('advantage gave [1] for group 0 of 4 rollouts');
  await expect(attempt({ ...mine, tokenWeight: () => [NaN, NaN, NaN, NaN, NaN, NaN, NaN, NaN] })).rejects.toThrow(
    'tokenWeight gave no finite number for every token of example 0',
  );
  run.destroy();
});

it('a token weight of 0 leaves a token without gradient: two runs that differ there only are equal', async () => {
  const hash = async (factor: number) => {
    const functions: GrpoFunctions = { tokenWeight: (_, { mask }) => mask.map(() => factor) };
    const run = await start([{ grpo: { loss: 'dapo' } }], undefined, functions);
    await grpoStep(run.policy, run.env, { step: 1, config: run.config, functions });
    const weights = await run.policy.hash();
    run.destroy();
    return weights;
  };
  const untouched = await start([]);
  expect(await hash(0)).toBe(await untouched.policy.hash());
  expect(await hash(1)).not.toBe(await untouched.policy.hash());
  untouched.destroy();
});

it('a KL to the start holds the policy back', async () => {
  const kl = async (beta: number) => {
    const late: RewardFunction = ({ response }) => [...response].reduce((sum, c) => sum + c.charCodeAt(0), 0) / 600;
    const run = await start([{ grpo: { beta, lr: 0.001, steps: 10 } }], late);
    const events = await finish(run);
    return stepsOf(events).map((step) => step.update!.referenceKl);
  };
  const [weak, strong] = [await kl(1e-6), await kl(1)];
  expect(weak[0]).toBeLessThan(1e-6);
  expect(weak.at(-1)).toBeGreaterThan(1e-3);
  expect(strong.at(-1)!).toBeLessThan(weak.at(-1)! / 2);
});

it('learns from a teacher without any reward: its own best, or another model', async () => {
  const gpu = await testGpu();
  // A teacher that has learned to write long words, and a pupil that has not.
  const teacher = await start([{ grpo: { steps: 12, lr: 0.01 } }]);
  for await (const event of teacher.events()) void event;
  const files = await teacher.policy.export();
  const folder = { name: 'teacher', read: (name: string) => Promise.resolve(files.get(name)) };
  teacher.destroy();
  const sources: ModelSources = {
    starter: () => Promise.resolve(undefined),
    folder: () => Promise.resolve(folder as never),
  };
  const settings = config({ grpo: { loss: 'distill', reference: 'teacher', group_size: 1, steps: 12, lr: 0.01 } });
  const run = await Run.create(
    gpu,
    settings,
    sources,
    environment(() => 0),
  );
  const steps = stepsOf(await finish(run));
  expect(steps.every(({ update }) => update !== null)).toBe(true);
  const [first, last] = [steps[0]!.update!, steps.at(-1)!.update!];
  expect(last.referenceKl).toBeLessThan(first.referenceKl / 2);
  expect(steps.at(-1)!.completionLength).toBeGreaterThan(steps[0]!.completionLength);
});

it('refuses a teacher that speaks of other tokens', async () => {
  const other = await start([{ model: { alphabet: 'abcdefgh012345678X' } }]);
  const files = await other.policy.export();
  other.destroy();
  const sources: ModelSources = {
    starter: () => Promise.resolve(undefined),
    folder: () =>
      Promise.resolve({ name: 'foreign', read: (name: string) => Promise.resolve(files.get(name)) } as never),
  };
  const gpu = await testGpu();
  const live = gpu.liveBytes;
  const attempt = start([{ grpo: { loss: 'distill', reference: 'foreign' } }], undefined, undefined, sources);
  await expect(attempt).rejects.toThrow(UnfitConfigError);
  expect(gpu.liveBytes).toBe(live);
});

it('one step ahead: batches are sampled with the weights before the last update, whatever finishes first', async () => {
  const slow: RewardFunction = async ({ response, state }) => {
    await new Promise((resolve) => setTimeout(resolve, (state.rollout * 7) % 11));
    return lettersOf(response);
  };
  const ahead = { grpo: { async_level: 1, lr: 0.01 } };
  const first = await finish(await start([ahead], slow));
  const second = await finish(await start([ahead]));
  expect(hashOf(second)).toBe(hashOf(first));
  expect(stepsOf(first).map(({ staleness }) => staleness)).toEqual([0, 1, 1, 1]);
  // Step 2 was sampled by the policy that step 1 has changed since: the ratio says so.
  const ratios = stepsOf(first).map(({ update }) => update!.maxLogRatio);
  expect(ratios[0]).toBeLessThan(1e-4);
  expect(Math.min(...ratios.slice(1))).toBeGreaterThan(1e-3);
  expect(hashOf(first)).not.toBe(hashOf(await finish(await start([{ grpo: { lr: 0.01 } }]))));
});

it.each<[string, ConfigLayer]>([
  ['one step ahead', { grpo: { async_level: 1 } }],
  ['with a reference that moves on', { grpo: { beta: 0.1, reference_sync_interval: 2, lr: 0.01 } }],
  ['with the best as reference', { grpo: { beta: 0.1, reference: 'best', lr: 0.01 }, eval: { interval: 1 } }],
  ['with replacements', { grpo: { replacement_rounds: 1, async_level: 1 } }],
])('resumed from any of its snapshots, a run %s ends with the same bits', async (_, layer) => {
  const settings = [layer, { checkpoint: { interval: 1 } }];
  const reward: RewardFunction = ({ response, answer }) => (Number(answer) % 3 === 0 ? 0 : lettersOf(response));
  const snapshots: RunSnapshot[] = [];
  const whole = await finish(await start(settings, reward), {
    onSnapshot: (snapshot) => void snapshots.push(structuredClone(snapshot)),
  });
  expect(snapshots.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
  for (const snapshot of snapshots) {
    const resume = { ...snapshot, state: JSON.parse(JSON.stringify(snapshot.state)) as RunSnapshot['state'] };
    const events = await finish(await start(settings, reward), { resume });
    expect(hashOf(events)).toBe(hashOf(whole));
    expect(stepsOf(events).map(({ step }) => step)).toEqual([1, 2, 3, 4].slice(snapshot.step));
  }
});

it('a snapshot before the batch under way was resumed is the same snapshot', async () => {
  const run = await start([{ grpo: { async_level: 1 } }]);
  const rollouts = await RolloutPipeline.create(run.policy, run.env, run.config);
  await rollouts.take(1);
  const taken = await rollouts.snapshot();
  expect(taken.state.ahead).toMatchObject({ step: 2, staleness: 1 });
  const other = await RolloutPipeline.create(run.policy, run.env, run.config);
  other.restore(taken.state, taken.behind);
  expect(await other.snapshot()).toEqual(taken);
  rollouts.destroy();
  other.destroy();
  run.destroy();
});

it('stopped while batches are under way: they are given up, and everything is freed', async () => {
  const gpu = await testGpu();
  const live = gpu.liveBytes;
  const run = await start([{ grpo: { async_level: 1, steps: 50 } }]);
  for await (const event of run.events()) if (event.event === 'step') break;
  run.destroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(gpu.liveBytes).toBe(live);
});

it('a curriculum decides which environments of a group a step trains on', async () => {
  const settings = resolveConfig({
    env: 'reverse-text+letter-sort',
    start: 'scratch',
    grpo: { steps: 2, warmup_steps: 0, batch_size: 16, group_size: 4 },
    eval: { interval: 0, examples: 4 },
    curriculum: [
      { from_step: 1, weights: { 'reverse-text': 1 } },
      { from_step: 2, weights: { 'letter-sort': 1 } },
    ],
  });
  const steps = stepsOf(await finish(await Run.create(await testGpu(), settings)));
  const tasks = steps.map(({ groups_detail: groups }) => [
    ...new Set(groups.flatMap(({ traces }) => traces.map(({ task }) => task))),
  ]);
  expect(tasks).toEqual([['reverse-text'], ['letter-sort']]);
});
