/**
 * @file A run between two events, on the host: numbers by name and plain JSON. Whoever keeps both can go on from there, bit
 * for bit, after a lost device, a closed page or a killed process.
 */
import type { PipelineState } from './pipeline';
import type { EvalResult } from './rollouts';

/** How far the supervised warm-up has come. */
export interface WarmUpPosition {
  phase: 'skill' | 'careless';
  /** Steps of the phase that are done. */
  step: number;
  /** Demonstrations used so far, both phases together. */
  first: number;
}

/** All of a run's position that is not numbers of the model. */
export interface RunState {
  /** Null once the warm-up is over, or where there was none. */
  warmUp: WarmUpPosition | null;
  /** Updates behind the moments: the t of AdamW's bias corrections. */
  optimizerStep: number;
  evalBefore: EvalResult | null;
  /** The newest eval: that of these weights, or of earlier ones. */
  evalLast: EvalResult | null;
  /** Step and share solved at temperature 1 of the best eval so far. */
  best: { step: number; t1: number } | null;
  rollouts: PipelineState;
  /** With an adapter: fingerprint of the weights below it, which are not in the snapshot. */
  base?: string | undefined;
  /** Seconds of work so far, pauses left out. */
  seconds: number;
}

export interface RunSnapshot {
  /** GRPO steps done. */
  step: number;
  /**
   * Vectors in the layout of what is trained, the weights or an adapter: `parameters`, the moments `exp_avg` and
   * `exp_avg_sq`, after the warm-up `start` (what GRPO started from); where there is one that moves, the `reference`; one
   * step ahead, `behind` (what the batch under way is sampled with).
   */
  arrays: Record<string, Float32Array<ArrayBuffer>>;
  state: RunState;
}
