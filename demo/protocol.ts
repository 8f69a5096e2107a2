/** @file What page and trainer worker say to each other. Every message is plain data. */
import type { EvalProgress, Summary, Trace } from '../src/envs';
import type { EnvironmentNews, EnvironmentRequest } from './environments_protocol';
import type { ModelsNews, ModelsRequest } from './models_protocol';
import type { PlaygroundNews, PlaygroundRequest } from './playground_protocol';
import type { ProfileNews, ProfileRequest } from './profile_protocol';
import type {
  Finding,
  MemoryPlan,
  Metric,
  Progress,
  RunEvent,
  RunSummary,
  TrainConfig,
  TrainingComparison,
} from '../src/rl';

/** From the page. */
export type Command =
  /** Prepare a run: device, weights, pipelines. Replaces the run there was. Numbers are never used twice. */
  | { type: 'open'; run: number; config: TrainConfig }
  /** The same with a run that was kept, where it was left. */
  | { type: 'resume'; run: number; id: string }
  /** Go on until told otherwise. */
  | { type: 'play' }
  /** Stop after the event in progress. */
  | { type: 'pause' }
  /** Go on for one GRPO step, then pause. */
  | { type: 'step' }
  /** End the run now; its weights stay. */
  | { type: 'stop' }
  /** A conversation, after what is in progress. */
  | { type: 'playground'; request: PlaygroundRequest }
  /** Evaluate on held-out tasks, after what is in progress. */
  | { type: 'evaluate'; settings: EvalSettings }
  | { type: 'cancel-eval' }
  /** An evaluation in any environment of the library. */
  | { type: 'environment'; request: EnvironmentRequest }
  /** `merged`: the model with its adapter in it. */
  | { type: 'export'; what: 'model' | 'merged' | 'rollouts' }
  /** Something about the models of this browser; answered at once, whatever the run in progress does. */
  | { type: 'models'; request: ModelsRequest }
  /** Something about the runs that are kept; answered at once, whatever the run in progress does. */
  | { type: 'runs'; request: RunsRequest }
  /** A profile of the device, between what is in progress and what comes next. */
  | { type: 'profile'; request: ProfileRequest }
  /** Destroys the device, as a driver reset would: the page's own fire drill. */
  | { type: 'lose-device' };

/**
 * `opening`: device and weights are being prepared. `ready`: nothing has happened yet. `running`, `paused`. `stopped`: by
 * the user or an error; the weights are still there. `done`.
 */
export type Status = 'opening' | 'ready' | 'running' | 'paused' | 'stopped' | 'done' | 'unavailable';

export type RunsRequest =
  | { what: 'list' }
  | { what: 'compare'; ids: string[] }
  /** A new run from the last checkpoint of another or from that of a step; settings as `key=value`. */
  | { what: 'fork'; id: string; step: number | null; settings: string[] }
  | { what: 'delete'; id: string }
  | { what: 'export'; id: string }
  | { what: 'import'; name: string; bytes: Uint8Array<ArrayBuffer> };

/** A run that is kept. */
export interface ShownRun extends RunSummary {
  /** In this tab or in another one. */
  inUse: boolean;
}

/** What an evaluation plays. */
export interface EvalSettings {
  /** The weights as they are, or those the run started from. */
  which: 'current' | 'start';
  examples: number;
  rollouts: number;
  /** 0 = greedy. */
  temperature: number;
}

/** A finished evaluation. */
export interface ShownEvaluation {
  settings: EvalSettings;
  /** GRPO steps that the weights had seen. */
  step: number;
  summary: Summary;
  traces: Trace[];
  /** results.jsonl and metadata.json as a .zip. */
  files: { name: string; bytes: Uint8Array<ArrayBuffer> };
}

/** How the shipped starting model was made: starter.json. */
export interface StarterInfo {
  story: string;
  eval: { t1: number; greedy: number };
}

/** A group of rollouts as the page shows it. */
export interface ShownGroup {
  exampleId: number;
  traces: Trace[];
}

/** RunEvent without the rollouts, which travel apart. */
export type ShownEvent =
  Exclude<RunEvent, { event: 'step' }> | Omit<Extract<RunEvent, { event: 'step' }>, 'groups_detail'>;

/** To the page. */
export type Notice =
  | { type: 'status'; status: Status }
  /** A run is open: what it runs on, its vocabulary by id, and what it takes of the device's memory. */
  | {
      type: 'opened';
      adapter: string;
      parameters: number;
      tokens: readonly string[];
      starter: StarterInfo | null;
      memory: MemoryPlan;
    }
  | { type: 'event'; event: ShownEvent }
  | { type: 'groups'; step: number; groups: ShownGroup[] }
  /** What keeps the run from learning now, the likeliest cause first. */
  | { type: 'findings'; findings: Finding[] }
  | { type: 'progress'; progress: Progress | null }
  | { type: 'playground'; news: PlaygroundNews }
  | { type: 'models'; news: ModelsNews }
  | { type: 'profile'; news: ProfileNews }
  | { type: 'eval-progress'; progress: EvalProgress }
  | { type: 'evaluated'; evaluation: ShownEvaluation }
  /** Cancelled (no message), or failed. */
  | { type: 'eval-ended'; message: string | null }
  | { type: 'environment'; news: EnvironmentNews }
  /** A file to take home; `note` says what is special about it. */
  | { type: 'exported'; name: string; bytes: Uint8Array<ArrayBuffer> | Blob; note: string }
  /** The device was lost and the run went back to this step by itself; null: to its very start. */
  | { type: 'recovered'; step: number | null; message: string }
  /** The run is now kept under this name. */
  | { type: 'kept'; id: string }
  /** The run that was asked for is there again: what happened in it so far, and what of it was damaged. */
  | { type: 'restored'; id: string; metrics: Metric[]; problems: string[] }
  /** The runs that are kept, the newest first. `lasts`: they are there after a reload as well. */
  | { type: 'runs'; runs: ShownRun[]; lasts: boolean }
  | { type: 'compared'; comparison: TrainingComparison }
  /** What became of a request; `failed` says that it came to nothing. */
  | { type: 'runs-said'; message: string; failed: boolean }
  /** No WebGPU here. */
  | { type: 'unavailable'; message: string }
  | { type: 'failed'; name: string; message: string };

/** A notice as it travels: the page no longer listens to a run that it has left. */
export type RunNotice = Notice & { run: number };
