/** @file What page and worker say about evaluations in the library's environments. */
import type { EvalProgress, RolloutPhase, SamplingArgs, Summary, Trace } from '../src/envs';
import type { OnnxDtype } from '../src/model';

/** Who plays. */
export type EvalModel =
  /** The weights of the run that is open, or those it started from. */
  | { kind: 'current' | 'start' }
  /** The key is kept in memory only. `tokenIds`: ask for tokens and log-probabilities, as vLLM offers them. */
  /** An ONNX model, run by transformers.js: the hub's `owner/name`, or a folder's path on the page's server. */
  | { kind: 'onnx'; source: string; device: 'webgpu' | 'wasm'; dtype: OnnxDtype }
  | { kind: 'endpoint'; baseUrl: string; name: string; apiKey: string; tokenIds: boolean };

export interface EnvironmentEval {
  /** Never used twice. */
  id: number;
  /** Name in the library, and its options where they are not the defaults. */
  env: string;
  options: Record<string, unknown>;
  model: EvalModel;
  examples: number;
  rollouts: number;
  /** 0 = greedy. */
  temperature: number;
  /** All of how to sample, where more than the temperature is said. */
  sampling?: SamplingArgs;
  /** Rollouts in flight. */
  atOnce: number;
  seed: number;
}

export type EnvironmentRequest = ({ what: 'evaluate' } & EnvironmentEval) | { what: 'cancel'; id: number };

/** A rollout that has come to a phase. */
export interface PhaseNews {
  exampleId: number;
  rollout: number;
  phase: RolloutPhase;
}

export type EnvironmentNews =
  /** How much of a model's file has come; `total` is 0 while nobody knows. */
  | { what: 'loading'; id: number; file: string; loaded: number; total: number }
  | {
      what: 'begun';
      id: number;
      model: string;
      /** GRPO steps that the weights had seen; null behind an endpoint. */
      step: number | null;
      /** The model's vocabulary by id, where it is known. */
      tokens: readonly string[];
      passThreshold: number;
    }
  /** What has happened since the last of these. */
  | { what: 'played'; id: number; phases: PhaseNews[]; traces: Trace[]; progress: EvalProgress | null }
  | {
      what: 'done';
      id: number;
      summary: Summary;
      /** results.jsonl and metadata.json as a .zip. */
      files: { name: string; bytes: Uint8Array<ArrayBuffer> };
    }
  /** Cancelled (no message), or failed. */
  | { what: 'ended'; id: number; message: string | null }
  /** The worker is no more, and every evaluation with it. */
  | { what: 'gone' };
