/** @file Which real models are run, and what is asked of them. */
import type { ModelConfig } from '../../src/model';
import { configOf } from '../scale/models';

export interface BigModel {
  name: string;
  config: ModelConfig;
  /** Rollouts of one prompt, and tokens that each generates. */
  rollouts: number;
  tokens: number;
  /** Whether everything is trained as well, not only an adapter. */
  full: boolean;
}

export const BIG_MODELS: Record<string, BigModel> = {
  smollm2: { name: 'SmolLM2-135M', config: configOf('SmolLM2-135M'), rollouts: 16, tokens: 32, full: true },
  qwen3: { name: 'Qwen3-0.6B', config: configOf('Qwen3-0.6B'), rollouts: 4, tokens: 8, full: false },
};
