/** @file Shapes of real models, and what is asked of them. Sources: their config.json on the Hugging Face Hub. */
import type { ModelConfig } from '../../src/model';

export const SMOLLM2_135M: ModelConfig = {
  family: 'llama',
  vocabSize: 49_152,
  hiddenSize: 576,
  layers: 30,
  heads: 9,
  kvHeads: 3,
  headDim: 64,
  intermediateSize: 1536,
  rmsNormEps: 1e-5,
  ropeTheta: 100_000,
  maxPositions: 8192,
  tiedEmbeddings: true,
  qkvBias: false,
  qkNorm: false,
};

export const QWEN3_0_6B: ModelConfig = {
  family: 'qwen3',
  vocabSize: 151_936,
  hiddenSize: 1024,
  layers: 28,
  heads: 16,
  kvHeads: 8,
  headDim: 128,
  intermediateSize: 3072,
  rmsNormEps: 1e-6,
  ropeTheta: 1e6,
  maxPositions: 40_960,
  tiedEmbeddings: true,
  qkvBias: false,
  qkNorm: true,
};

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
  smollm2: { name: 'SmolLM2-135M', config: SMOLLM2_135M, rollouts: 16, tokens: 32, full: true },
  qwen3: { name: 'Qwen3-0.6B', config: QWEN3_0_6B, rollouts: 4, tokens: 8, full: false },
};
