/** @file What is decoded: shapes, prompts and lengths. Weights are random, since only the work counts. */
import type { ModelConfig } from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import { configOf } from '../scale/models';
import { CONFIGS as TRAIN_CONFIGS } from '../train/configs';

export interface DecodeConfig {
  name: string;
  model: ModelConfig;
  promptTokens: number;
  newTokens: number;
  /** Rollouts of one prompt. */
  rollouts: number;
  rounds: number;
}

/** As published, but for its context, which decides the size of rotary tables alone. */
const SMOLLM2: ModelConfig = { ...configOf('SmolLM2-135M'), maxPositions: 256 };

export const DECODE_CONFIGS: Readonly<Record<string, DecodeConfig>> = {
  XS: { name: 'XS', model: TRAIN_CONFIGS.S!.model, promptTokens: 8, newTokens: 6, rollouts: 4, rounds: 1 },
  M: { name: 'M', model: TRAIN_CONFIGS.M!.model, promptTokens: 32, newTokens: 64, rollouts: 32, rounds: 5 },
  'SmolLM2-135M': {
    name: 'SmolLM2-135M',
    model: SMOLLM2,
    promptTokens: 8,
    newTokens: 8,
    rollouts: 32,
    rounds: 3,
  },
};

export function promptOf({ model, promptTokens }: DecodeConfig): number[] {
  const random = new Random(deriveKey(11));
  return Array.from({ length: promptTokens }, () => random.below(model.vocabSize));
}
