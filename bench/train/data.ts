/**
 * @file The data both trainers see: a noisy chain of tokens that a model can learn, so that losses move and a trainer
 * that computes something else is found out.
 */
import { Random, deriveKey } from '../../src/random';
import { tokensPerStep } from './configs';
import type { BenchConfig } from './configs';

export interface Batch {
  /** [batch, length] */
  inputs: Int32Array<ArrayBuffer>;
  /** [batch, length]: the token after each input. */
  targets: Int32Array<ArrayBuffer>;
}

/** How often the chain jumps to any token at all. */
const NOISE = 0.2;

/** The batch of a step, a function of the step alone. */
export function batchOf(config: BenchConfig, step: number): Batch {
  const { batch, length, model } = config;
  const random = new Random(deriveKey(2026, step));
  const inputs = new Int32Array(tokensPerStep(config));
  const targets = new Int32Array(tokensPerStep(config));
  for (let b = 0; b < batch; b++) {
    let token = random.below(model.vocabSize);
    for (let t = 0; t < length; t++) {
      inputs[b * length + t] = token;
      token = random.next() < NOISE ? random.below(model.vocabSize) : (5 * token + 7) % model.vocabSize;
      targets[b * length + t] = token;
    }
  }
  return { inputs, targets };
}
