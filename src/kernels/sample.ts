/** @file Sampling on the GPU, and the bookkeeping of a decode step: who runs, who stopped, which pages are copied. */
import advanceSource from './advance.wgsl?raw';
import copyPagesSource from './copy_pages.wgsl?raw';
import { kernel } from './kernel';
import type { Recorder, Value } from './program';
import { grid1d, tiles, valueOf } from './program';
import randomSource from './random.wgsl?raw';
import sampleSource from './sample.wgsl?raw';
import { bytesOf } from './tensor';
import type { Tensor } from './tensor';

const sampleKernel = kernel('sample', randomSource, sampleSource);
const advanceKernel = kernel('advance', advanceSource);
const copyPagesKernel = kernel('copy_pages', copyPagesSource);

/** 32-bit words per slot in `settings`, per slot in `state`, per entry in `entries`, per result in `results`. */
export const SETTINGS_WORDS = 11;
export const STATE_WORDS = 3;
export const ENTRY_WORDS = 3;
export const RESULT_WORDS = 2;

/** Marks an unused stop token, and in a result: logits that were not finite. */
export const NO_TOKEN = 0xffffffff;

/** How one sequence is sampled. */
export interface SlotSettings {
  key: readonly [number, number];
  /** 0 = greedy. */
  temperature: number;
  /** 0 = off. */
  topK: number;
  /** 1 = off. */
  topP: number;
  /** 0 = off. */
  minP: number;
  /** At most four. */
  stopTokens: readonly number[];
  /** Position of the last token that may be generated. */
  lastPosition: number;
}

/** Stop tokens that one sequence may have. */
export const MAX_STOP_TOKENS = 4;

/** Packs settings as sample.wgsl reads them. */
export function packSettings(settings: SlotSettings): Uint32Array<ArrayBuffer> {
  const { key, temperature, topK, topP, minP, stopTokens, lastPosition } = settings;
  if (stopTokens.length > MAX_STOP_TOKENS) throw new RangeError(`at most ${MAX_STOP_TOKENS} stop tokens`);
  const words = new Uint32Array(SETTINGS_WORDS);
  const floats = new Float32Array(words.buffer);
  words.set(key, 0);
  floats[2] = temperature;
  words[3] = topK;
  floats[4] = topP;
  floats[5] = minP;
  for (let i = 0; i < MAX_STOP_TOKENS; i++) words[6 + i] = stopTokens[i] ?? NO_TOKEN;
  words[10] = lastPosition;
  return words;
}

export interface SampleOptions {
  /** [*, vocabulary] */
  logits: Tensor;
  /** [entries, ENTRY_WORDS]: row of the logits, slot, position of the token whose logits they are. */
  entries: Tensor;
  live: Tensor;
  /** [slots, SETTINGS_WORDS] */
  settings: Tensor;
  /** [slots, STATE_WORDS]: next token, its position, running. */
  state: Tensor;
  /** [steps, slots, RESULT_WORDS]: token and log-probability. */
  results: Tensor;
  /** [2]: index of the step, row-steps so far. */
  control: Tensor;
  count: Value;
  vocabulary: number;
  slots: number;
}

/** Samples one token per entry and moves its slot on. */
export function sample(record: Recorder, { count, vocabulary, slots, ...bindings }: SampleOptions): void {
  record.dispatch(sampleKernel, {
    bindings,
    params: { entries: count, vocabulary, slots },
    constants: { THREADS: vocabulary <= 1024 ? 64 : 256 },
    workgroups: () => [valueOf(count)],
  });
}

export interface AdvanceOptions {
  state: Tensor;
  /** [rows] */
  ids: Tensor;
  /** [rows, 2]: slot, position. */
  rowPlace: Tensor;
  entries: Tensor;
  live: Tensor;
  control: Tensor;
  slots: number;
}

/** Packs the running slots into the rows of the next decode step. */
export function advance(record: Recorder, { slots, rowPlace, ...bindings }: AdvanceOptions): void {
  record.dispatch(advanceKernel, {
    bindings: { ...bindings, row_place: rowPlace },
    params: { slots },
    workgroups: () => [1],
  });
}

export interface CopyPagesOptions {
  /** [pairs, 2]: from, to. */
  pairs: Tensor;
  cache: Tensor;
  count: Value;
  pageElements: number;
}

/** Copies whole pages inside a cache. */
export function copyPages(record: Recorder, { pairs, cache, count, pageElements }: CopyPagesOptions): void {
  const words = bytesOf(pageElements, cache.dtype) / 4;
  record.dispatch(copyPagesKernel, {
    bindings: { pairs, cache },
    params: { pairs: count, page_words: words },
    workgroups: () => grid1d(tiles(valueOf(count) * words, 64)),
  });
}
