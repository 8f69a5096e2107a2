/**
 * @file What is trained: Llama-style models (no q/k norm, untied head) at several sizes, in f32, on a fixed batch
 * shape. XS is for tests, S and M fit software adapters, L is for GPUs.
 */
import { countParameters } from '../../src/model';
import type { ModelConfig } from '../../src/model';

export interface BenchConfig {
  name: string;
  model: ModelConfig;
  /** Sequences per step. */
  batch: number;
  /** Tokens per sequence; every one of them carries loss. */
  length: number;
  /** Rounds of the interleaving, each `settle` unmeasured and `steps` measured steps per trainer. */
  rounds: number;
  settle: number;
  steps: number;
}

/** AdamW as both trainers run it: matrices decay, norms do not, gradients are not clipped. */
export const ADAMW = { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 } as const;

interface Sizes {
  vocabulary: number;
  dim: number;
  layers: number;
  heads: number;
  ffn: number;
  length: number;
}

function llama({ vocabulary, dim, layers, heads, ffn, length }: Sizes): ModelConfig {
  return {
    family: 'llama',
    vocabSize: vocabulary,
    hiddenSize: dim,
    layers,
    heads,
    kvHeads: heads,
    headDim: dim / heads,
    intermediateSize: ffn,
    rmsNormEps: 1e-6,
    ropeTheta: 10_000,
    maxPositions: length,
    tiedEmbeddings: false,
    qkvBias: false,
    qkNorm: false,
  };
}

const XS: Sizes = { vocabulary: 16, dim: 16, layers: 1, heads: 2, ffn: 32, length: 8 };
const S: Sizes = { vocabulary: 64, dim: 64, layers: 2, heads: 4, ffn: 192, length: 64 };
const M: Sizes = { vocabulary: 512, dim: 128, layers: 4, heads: 4, ffn: 384, length: 128 };
const L: Sizes = { vocabulary: 4096, dim: 384, layers: 6, heads: 6, ffn: 1024, length: 256 };

export const CONFIGS: Readonly<Record<string, BenchConfig>> = {
  XS: { name: 'XS', model: llama(XS), length: XS.length, batch: 2, rounds: 1, settle: 0, steps: 2 },
  S: { name: 'S', model: llama(S), length: S.length, batch: 32, rounds: 3, settle: 1, steps: 4 },
  M: { name: 'M', model: llama(M), length: M.length, batch: 16, rounds: 3, settle: 1, steps: 2 },
  L: { name: 'L', model: llama(L), length: L.length, batch: 8, rounds: 3, settle: 2, steps: 10 },
};

export function tokensPerStep({ batch, length }: BenchConfig): number {
  return batch * length;
}

/** Multiply-adds of forward and backward, twice each: 6 per weight and token, 12 per layer, width and attended pair. */
export function flopsPerStep(config: BenchConfig): number {
  const { model, batch, length } = config;
  const { hiddenSize, layers, vocabSize } = model;
  const norms = (2 * layers + 1) * hiddenSize;
  const matrices = countParameters(model) - vocabSize * hiddenSize - norms; // looking a row up is no arithmetic
  return 6 * matrices * batch * length + 12 * layers * hiddenSize * batch * length ** 2;
}
