/** @file Groups of rollouts: which tasks, which random keys, and everything in flight at once. */
import { bySeat } from '../envs';
import type { ChatModel, Environment, SamplingArgs, Trace } from '../envs';
import { PURPOSE, deriveKey } from '../random';
import type { Task } from './tasks';
import { taskAt } from './tasks';

/** The rollouts of one prompt; in a game of several seats those of one seat, which are compared with each other alone. */
export interface Group {
  exampleId: number;
  /** How often the example was used before. */
  draw: number;
  traces: Trace[];
}

export interface RolloutPlan {
  split: 'train' | 'eval';
  tasks: readonly Task[];
  groupSize: number;
  seed: number;
  /** PURPOSE.sampling or PURPOSE.evaluation: evals draw other numbers than training. */
  purpose: number;
  sampling: SamplingArgs;
  signal?: AbortSignal | undefined;
  /** Called as each rollout is scored. */
  onTrace?: ((trace: Trace) => void) | undefined;
}

/**
 * Rolls out every task `groupSize` times. All are in flight together; the model batches them. The result is a
 * function of the plan and the weights, not of what finished first.
 */
export async function rolloutGroups(env: Environment, model: ChatModel, plan: RolloutPlan): Promise<Group[]> {
  const { tasks } = plan;
  const examples = await Promise.all(tasks.map(({ exampleId }) => env.example(exampleId, plan.split)));
  const groups = tasks.map(async ({ exampleId, draw }, i): Promise<Group[]> => {
    const { sampling, signal } = plan;
    const rollouts = Array.from({ length: plan.groupSize }, (_, rollout) => {
      const key = deriveKey(plan.seed, plan.purpose, draw, exampleId, rollout, 0);
      return { draw, rollout, key, sampling, signal };
    });
    const traces = await env.rolloutGroup(examples[i]!, model, rollouts, plan.onTrace);
    return bySeat(traces, ({ seat }) => seat).map((ofSeat) => ({ exampleId, draw, traces: ofSeat }));
  });
  return (await Promise.all(groups)).flat();
}

/** Not one rollout could be played: the model is broken, and rewards of 0 would hide it. */
export class ModelFailedError extends Error {
  override name = 'ModelFailedError';
}

/**
 * A rollout that the model failed is marked and left out; where it failed all of them there is nothing to go on with.
 * @throws ModelFailedError with the first one's reason
 */
export function requireModel(traces: readonly Trace[]): void {
  const [first] = traces;
  if (first?.error && traces.every(({ error }) => error?.source === 'model')) {
    throw new ModelFailedError(
      `the model failed all ${traces.length} rollouts: ${first.error.name}: ${first.error.message}`,
    );
  }
}

/** Results on held-out tasks. */
export interface EvalResult {
  /** Share of tasks solved (reward at least the environment's passThreshold) by one sample at temperature 1. */
  t1: number;
  /** Share of tasks solved by the likeliest reply. */
  greedy: number;
  examples: number;
  /** Mean of each metric at temperature 1. */
  metrics: Record<string, number>;
  /** Rollouts at temperature 1 that failed with an error; they count as unsolved. */
  errors: number;
}

export interface EvalOptions {
  /** Held-out tasks. */
  examples: number;
  seed: number;
  /** Over the environment's own; the temperature is the eval's. */
  sampling?: SamplingArgs;
  signal?: AbortSignal | undefined;
  /** Rollouts finished, of `total` (both temperatures together). */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Shares of tasks solved: plays the first `examples` held-out tasks at temperature 1 and greedily. A task is solved when its reward reaches
 * the environment's passThreshold.
 */
export async function solveRates(env: Environment, model: ChatModel, options: EvalOptions): Promise<EvalResult> {
  const { examples, seed, signal, onProgress } = options;
  let done = 0;
  const onTrace = () => onProgress?.(++done, 2 * examples);
  const run = async (temperature: number) => {
    const tasks = Array.from({ length: examples }, (_, i) => taskAt(i, env.evalDataset.length));
    const plan = { split: 'eval' as const, tasks, groupSize: 1, seed, signal, onTrace };
    const sampling = { ...options.sampling, temperature };
    const groups = await rolloutGroups(env, model, { ...plan, purpose: PURPOSE.evaluation, sampling });
    const traces = groups.flatMap((group) => group.traces);
    requireModel(traces);
    return traces;
  };
  const sampled = await run(1);
  const greedy = await run(0);
  const solved = ({ reward }: Trace) => reward !== null && reward >= env.passThreshold;
  const share = (traces: readonly Trace[]) => traces.filter(solved).length / traces.length;
  const average = (name: string) =>
    sampled.reduce((sum, { metrics }) => sum + (metrics[name] ?? 0), 0) / sampled.length;
  return {
    t1: share(sampled),
    greedy: share(greedy),
    examples,
    metrics: Object.fromEntries(env.rubric.names.map((name) => [name, average(name)])),
    errors: sampled.filter((trace) => trace.error).length,
  };
}
