/** @file What a run's folder tells without opening the run: one line of a list, and runs beside each other. */
import { configFields, valueAt } from '../config';
import type { RunEvent } from '../run';
import type { EvalResult } from '../rollouts';
import { readAbout } from './about';
import type { RunAbout } from './about';
import { listCheckpoints } from './checkpoints';
import { MODEL_CONFIGS, MODEL_WEIGHTS } from './layout';
import { readMetrics } from './metrics';
import type { Metric } from './metrics';
import { DamagedRunError, RunFolderError } from './storage';
import type { RunStorage } from './storage';

/** A run in a list. */
export interface RunSummary {
  /** What it is called where it is kept. */
  id: string;
  bytes: number;
  /** Undefined: the folder is no run that can be read; `problem` says why. */
  about: RunAbout | undefined;
  problem: string | undefined;
  /** GRPO steps done, and what the newest eval says. */
  step: number;
  newest: EvalResult | undefined;
  /** Nothing is left to do. */
  finished: boolean;
  checkpoints: string[];
}

export interface RunRecord extends RunSummary {
  about: RunAbout;
  metrics: Metric[];
}

/** Reads a run as it is, while it is being written to as well. */
export async function readRunRecord(storage: RunStorage, id: string): Promise<RunRecord> {
  const about = await readAbout(storage);
  const [metrics, files, checkpoints] = [
    await readMetrics(storage),
    await storage.files(),
    await listCheckpoints(storage),
  ];
  const evals = metrics.filter((metric) => metric.event === 'eval');
  const steps = metrics.filter((metric) => metric.event === 'step');
  return {
    id,
    about,
    metrics,
    checkpoints,
    problem: undefined,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    step: steps.at(-1)?.step ?? 0,
    newest: evals.at(-1)?.result,
    finished:
      metrics.at(-1)?.event === 'done' &&
      [MODEL_CONFIGS, MODEL_WEIGHTS].every((either) => files.some(({ path }) => either.includes(path))),
  };
}

/** The same for a list: a folder that is no run is listed with its problem. */
export async function summarizeRun(storage: RunStorage, id: string): Promise<RunSummary> {
  try {
    return withoutMetrics(await readRunRecord(storage, id));
  } catch (error) {
    if (!(error instanceof RunFolderError) && !(error instanceof DamagedRunError)) throw error;
    const bytes = (await storage.files()).reduce((sum, file) => sum + file.bytes, 0);
    const none = { about: undefined, step: 0, newest: undefined, finished: false, checkpoints: [] };
    return { id, bytes, problem: error.message, ...none };
  }
}

function withoutMetrics({ metrics: _, ...summary }: RunRecord): RunSummary {
  return summary;
}

/** Runs beside each other. Values stand in the order of the runs; undefined where one has none. */
export interface TrainingComparison {
  ids: string[];
  /** Settings that are not the same in all. */
  settings: { key: string; values: unknown[] }[];
  /** GRPO steps done. */
  steps: number[];
  /** The newest evals. */
  evals: { t1: (number | undefined)[]; greedy: (number | undefined)[] };
  /** Mean reward by step, from step 1 on. */
  rewards: (number | undefined)[][];
  /** Evals at temperature 1 by step. */
  scores: Map<number, number>[];
  /** SHA-256 of the weights at the end. */
  hashes: (string | undefined)[];
}

export function compareTraining(runs: readonly RunRecord[]): TrainingComparison {
  const valuesOf = (key: string) => runs.map(({ about }) => valueAt(about.config, key));
  const keys = ['env', 'env_args', 'seed', 'start', ...configFields().map(({ key }) => key)];
  const settings = [...new Set(keys)]
    .map((key) => ({ key, values: valuesOf(key) }))
    .filter(({ values }) => new Set(values.map((value) => JSON.stringify(value))).size > 1);
  const eventsOf = <T extends RunEvent['event']>({ metrics }: RunRecord, event: T) =>
    metrics.filter((metric): metric is Extract<Metric, { event: T }> => metric.event === event);
  return {
    ids: runs.map(({ id }) => id),
    settings,
    steps: runs.map(({ step }) => step),
    evals: { t1: runs.map(({ newest }) => newest?.t1), greedy: runs.map(({ newest }) => newest?.greedy) },
    rewards: runs.map((run) => eventsOf(run, 'step').map(({ reward }) => reward.mean)),
    scores: runs.map((run) => new Map(eventsOf(run, 'eval').map(({ step, result }) => [step, result.t1]))),
    hashes: runs.map((run) => eventsOf(run, 'done').at(-1)?.weights_sha256),
  };
}
