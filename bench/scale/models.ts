/** @file The models that people start from, as their config.json says. */
import type { ModelConfig } from '../../src/model';

export interface NamedModel {
  name: string;
  config: ModelConfig;
}

export const MODELS: readonly NamedModel[] = [
  {
    name: 'SmolLM2-135M',
    config: {
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
    },
  },
  {
    name: 'Qwen2.5-0.5B',
    config: {
      family: 'qwen2',
      vocabSize: 151_936,
      hiddenSize: 896,
      layers: 24,
      heads: 14,
      kvHeads: 2,
      headDim: 64,
      intermediateSize: 4864,
      rmsNormEps: 1e-6,
      ropeTheta: 1_000_000,
      maxPositions: 32_768,
      tiedEmbeddings: true,
      qkvBias: true,
      qkNorm: false,
    },
  },
  {
    name: 'Qwen3-0.6B',
    config: {
      family: 'qwen3',
      vocabSize: 151_936,
      hiddenSize: 1024,
      layers: 28,
      heads: 16,
      kvHeads: 8,
      headDim: 128,
      intermediateSize: 3072,
      rmsNormEps: 1e-6,
      ropeTheta: 1_000_000,
      maxPositions: 40_960,
      tiedEmbeddings: true,
      qkvBias: false,
      qkNorm: true,
    },
  },
];

/** @throws Error for a model that is not in the list */
export function configOf(wanted: string): ModelConfig {
  const model = MODELS.find(({ name }) => name === wanted);
  if (!model) throw new Error(`no shape of ${wanted}; there are ${MODELS.map(({ name }) => name).join(', ')}`);
  return model.config;
}
