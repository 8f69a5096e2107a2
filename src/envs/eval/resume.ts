/**
 * @file Going on with a run: what its folder holds and may stay. Rollouts that are missing or failed are played again;
 * lines that cannot be read, come twice or are not part of the run are dropped, so that none is in the file twice.
 */
import { contentKey } from '../key';
import { ResultsError, parseMetadata, readLines } from './read_results';
import type { ResultMetadata } from './results';
import type { ResultStore } from './store';
import { rewardOf } from './summary';
import type { SavedTrace } from './usage';

/** How a resumed run begins. */
export interface ResumeReport {
  /** Rollouts taken over. */
  kept: number;
  /** Rollouts that had failed and are played again. */
  failed: number;
  /** Lines torn, broken, double or of other rollouts: dropped. */
  dropped: number;
}

export interface KeptRollout {
  text: string;
  trace: SavedTrace;
}

export interface ResumedRun {
  report: ResumeReport;
  /** By `exampleId/rollout`. */
  kept: Map<string, KeptRollout>;
  /** Seconds of work before. */
  seconds: number;
}

/** Name of a rollout within a run. */
export function rolloutId(exampleId: number, rollout: number): string {
  return `${exampleId}/${rollout}`;
}

/**
 * Reads what a store holds of a run.
 * @param wanted the run as it is asked for now
 * @param examples all examples of the run as it is asked for now
 * @throws ResultsError naming each setting that differs
 */
export async function resumeRun(
  store: ResultStore,
  wanted: ResultMetadata,
  examples: ReadonlySet<number>,
): Promise<ResumedRun> {
  const text = await store.readMetadata();
  const saved = parseMetadata(text);
  if (text !== undefined) checkSameRun(saved, wanted, store.name);
  const report: ResumeReport = { kept: 0, failed: 0, dropped: 0 };
  const kept = new Map<string, KeptRollout>();
  for await (const line of readLines(store, wanted.env_id)) {
    const trace = 'trace' in line ? line.trace : undefined;
    const id = trace && rolloutId(trace.exampleId, trace.rollout);
    if (!trace || !examples.has(trace.exampleId) || trace.rollout >= wanted.rollouts_per_example || kept.has(id!)) {
      report.dropped++;
    } else if (rewardOf(trace) === null) report.failed++;
    else kept.set(id!, { text: line.text, trace });
  }
  report.kept = kept.size;
  return { report, kept, seconds: saved.time };
}

function checkSameRun(saved: ResultMetadata, wanted: ResultMetadata, name: string): void {
  const differences: string[] = [];
  const same = (what: string, a: unknown, b: unknown) => {
    if (contentKey(a) !== contentKey(b)) differences.push(`${what} was ${JSON.stringify(a)}, now ${JSON.stringify(b)}`);
  };
  same('env_id', saved.env_id, wanted.env_id);
  same('model', saved.model, wanted.model);
  same('rollouts_per_example', saved.rollouts_per_example, wanted.rollouts_per_example);
  same('shuffle', saved.shuffle, wanted.shuffle);
  if (saved.num_examples > wanted.num_examples) {
    differences.push(`num_examples was ${saved.num_examples}, now ${wanted.num_examples}: it may only grow`);
  }
  if (saved.terrarium) {
    same('seed', saved.terrarium.seed, wanted.terrarium!.seed);
    same('split', saved.terrarium.split, wanted.terrarium!.split);
    same('shuffle_seed', saved.shuffle_seed, wanted.shuffle_seed);
    same('env_args', saved.env_args, wanted.env_args);
    same('sampling_args', saved.sampling_args, wanted.sampling_args);
  } else if (saved.shuffle) {
    differences.push('it was shuffled by another program, whose order is not known');
  }
  if (differences.length > 0) {
    throw new ResultsError(`${name} cannot be resumed: ${differences.join('; ')}`);
  }
}
