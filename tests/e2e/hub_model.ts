/** @file A model for the tests' hub, as one finds it there: a real tokenizer with its chat template, and random weights. */
import { readFileSync, readdirSync } from 'node:fs';
import { DEFAULT_LIMITS, measureAllocations } from '../../src/kernels';
import { Weights, formatCheckpoint, initialValues } from '../../src/model';
import type { ModelConfig, ModelFamily } from '../../src/model';
import type { ServedModel } from '../hub_server';

const TOKENIZERS = new URL('../oracle/tokenizers/', import.meta.url);

export interface HubModelOptions {
  family?: ModelFamily;
  tokenizer?: 'qwen-like' | 'smollm-like' | 'llama3-like';
  seed?: number;
  /** Changes of its shape. */
  shape?: Partial<ModelConfig>;
}

/** A model's folder, file by file, made by our own exporter. */
export async function hubModelFiles({
  family = 'qwen3',
  tokenizer = 'qwen-like',
  seed = 1,
  shape = {},
}: HubModelOptions = {}): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const folder = new URL(`${tokenizer}/`, TOKENIZERS);
  const text = readdirSync(folder).map((file) => [file, new Uint8Array(readFileSync(new URL(file, folder)))] as const);
  const config: ModelConfig = {
    family,
    vocabSize: 768,
    hiddenSize: 64,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    intermediateSize: 128,
    rmsNormEps: 1e-6,
    ropeTheta: 10_000,
    maxPositions: 512,
    tiedEmbeddings: true,
    qkvBias: family === 'qwen2',
    qkNorm: family === 'qwen3',
    ...shape,
  };
  let files = new Map<string, Uint8Array<ArrayBuffer>>();
  // What only takes notes is enough of a device to lay out weights on.
  await measureAllocations(DEFAULT_LIMITS, async (gpu) => {
    files = formatCheckpoint(config, initialValues(await Weights.create(gpu, config), seed));
  });
  return new Map([...files, ...text]);
}

export async function hubModel(id: string, options: HubModelOptions & Partial<ServedModel> = {}): Promise<ServedModel> {
  return { ...options, id, files: await hubModelFiles(options) };
}
