/**
 * @file A GRPO step in its parts, with few groups and with many, and the memory of the run against its plan. The page's own
 * model on reverse-text, from random weights: with a reward for likeness every group has a signal from the first step on.
 */
import { completionTokens } from '../../src/envs';
import { Run, resolveConfig } from '../../src/rl';
import type { RunEvent } from '../../src/rl';
import type { Bench } from '../measure';
import { covered } from './covered';
import { makeGrpoReport } from './report';
import type { GrpoReport, GrpoSeries, StepTime } from './report';

export { formatGrpo } from './report';
export type { GrpoReport } from './report';

const GROUP_SIZE = 8;
const GROUPS = [8, 64];
const QUICK_GROUPS = [1, 2];

/** One to compile and to settle. */
const UNMEASURED_STEPS = 1;

export async function benchGrpo(bench: Bench): Promise<GrpoReport> {
  const { quick, rounds = quick ? 1 : 3, steps = quick ? 1 : 3 } = bench.options;
  const series: GrpoSeries[] = (quick ? QUICK_GROUPS : GROUPS).map((groups) => ({
    groups,
    rollouts: groups * GROUP_SIZE,
    steps: [],
    plannedBytes: 0,
    peakBytes: 0,
  }));
  for (let round = 0; round < rounds; round++) {
    for (const each of series) {
      await run(bench, each, UNMEASURED_STEPS + steps);
      const { tokens, seconds: total } = each.steps.at(-1)!;
      bench.say(`grpo, ${each.groups} groups: round ${round + 1}, ${(tokens / total).toFixed(0)} tokens/s`);
    }
  }
  return makeGrpoReport(series);
}

/** A run from its start, its steps added to what was measured before. */
async function run({ gpu, counters }: Bench, series: GrpoSeries, steps: number): Promise<void> {
  counters.takePeak();
  const before = gpu.liveBytes;
  const config = resolveConfig({
    env: 'reverse-text',
    env_args: { reward: 'similarity', minLength: 16, maxLength: 24 },
    start: 'scratch',
    model: { context: 96 },
    sft: { steps: 0, careless_steps: 0 },
    grpo: { steps, batch_size: series.rollouts, group_size: GROUP_SIZE, warmup_steps: 0 },
    eval: { interval: 0, examples: 1 },
    checkpoint: { interval: 1 },
  });
  const training = await Run.create(gpu, config);
  for await (const event of training.events({ onSnapshot: () => undefined })) {
    if (event.event === 'step' && event.step > UNMEASURED_STEPS) series.steps.push(timeOf(event));
  }
  // Later runs find buffers of earlier ones to be used again: the first has the whole peak.
  if (series.plannedBytes === 0) {
    series.plannedBytes = training.memory.bytes;
    series.peakBytes = counters.takePeak() - before;
  }
  training.destroy();
}

function timeOf(step: RunEvent & { event: 'step' }): StepTime {
  const traces = step.groups_detail.flatMap((group) => group.traces);
  const reward = covered(traces.map(({ timing }) => timing.scoring));
  const total = step.rolloutSeconds + step.updateSeconds;
  return {
    rollout: step.rolloutSeconds - reward,
    reward,
    update: step.updateSeconds,
    idle: step.idleSeconds,
    seconds: total,
    tokens: step.tokensPerSecond * total,
    sampledTokens: traces.reduce((sum, trace) => sum + completionTokens(trace), 0),
  };
}
