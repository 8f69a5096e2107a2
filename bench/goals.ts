/** @file What the benchmark is to show, as far as a file of results can tell. Nothing here fails a run. */
import { isSoftware } from '../src/kernels';
import type { Entry } from './entry';
import type { TrainReport } from './train/report';

export interface Goal {
  what: string;
  wanted: string;
  measured: number;
  met: boolean;
}

type Bound = 'at least' | 'at most';

function goal(what: string, measured: number, bound: Bound, limit: number): Goal {
  const met = bound === 'at least' ? measured >= limit : measured <= limit;
  return { what, wanted: `${bound} ${limit}`, measured, met };
}

/** Those that this entry has figures for. */
export function goalsOf(entry: Entry): Goal[] {
  const software = isSoftware(entry.machine.adapter);
  switch (entry.part) {
    case 'train':
      return trainGoals(entry.report, software);
    case 'matmul': {
      const { 'jax-js': jax, plain } = entry.report.summary;
      return [
        ...(jax
          ? [
              goal('matmul over jax-js, geometric mean', jax.wall.mean, 'at least', 1.7),
              goal('matmul over jax-js, worst shape', jax.wall.worst, 'at least', 1.3),
            ]
          : []),
        ...(plain ? [goal('matmul over the plain kernel, worst shape', plain.wall.worst, 'at least', 0.97)] : []),
      ];
    }
    case 'decode': {
      const { config, ratios } = entry.report;
      const find = (name: string) => ratios.find((ratio) => ratio.name.startsWith(name))?.wall.ofMedians;
      const [one, many] = [find('one stream over'), find('rollouts in sum over one stream of')];
      if (one === undefined || many === undefined) return [];
      return [
        goal(`decode ${config}: one stream over transformers.js`, one, 'at least', 1.6),
        goal(`decode ${config}: rollouts in sum over its one stream`, many, 'at least', software ? 4 : 10),
      ];
    }
    case 'grpo': {
      const { series, scaling } = entry.report;
      const off = Math.max(...series.map(({ peakBytes, plannedBytes }) => Math.abs(peakBytes / plannedBytes - 1)));
      return [
        goal('GRPO tokens/s, 64 groups over 8', scaling, 'at least', 0.9),
        goal('GRPO peak of live GPU bytes, share off the plan', off, 'at most', 0.1),
      ];
    }
    case 'steady': {
      const { submits, created, hostShare } = entry.report;
      return [
        goal('submits per optimizer step', submits, 'at most', 1),
        goal('objects created in the steady state', created, 'at most', 0),
        ...(software ? [] : [goal("host's share of a step", hostShare, 'at most', 0.2)]),
      ];
    }
  }
}

/** Most of its time on a CPU adapter is arithmetic, on a GPU the host's: what can be asked of a ratio differs. */
const CPU_SHARE: Record<string, number> = { S: 0.65, M: 0.68 };
const DISPATCHES: Record<string, number> = { S: 75, M: 135 };
const GPU_OVER_JAX: Record<string, number> = { S: 8, M: 3, L: 3 };

function trainGoals({ config, trainers, comparisons }: TrainReport, software: boolean): Goal[] {
  const ours = trainers[0]!;
  const over = (peer: string) => comparisons.find((each) => each.peer === peer);
  const [jax, tfjs] = [over('jax-js'), over('tfjs')];
  const goals: Goal[] = [];
  const add = (what: string, measured: number | undefined, bound: Bound, limit: number | undefined) => {
    if (measured !== undefined && limit !== undefined)
      goals.push(goal(`train ${config}: ${what}`, measured, bound, limit));
  };
  if (software) {
    add('CPU ms per step over those of jax-js', jax && 1 / jax.cpu.ofMedians, 'at most', CPU_SHARE[config]);
    add('wall time over that of tfjs', tfjs && 1 / tfjs.wall.ofMedians, 'at most', 0.5);
  } else {
    add('tokens/s over jax-js', jax?.wall.ofMedians, 'at least', GPU_OVER_JAX[config]);
    add('tokens/s over tfjs', tfjs?.wall.ofMedians, 'at least', 4);
  }
  add('dispatches', ours.perStep.dispatches, 'at most', DISPATCHES[config]);
  add("pipelines without the tuner's", ours.start.pipelines - ours.tuning.pipelines, 'at most', 30);
  add('first step, time over that of tfjs', tfjs?.start.wall, 'at most', 0.5);
  return goals;
}
