/**
 * @file Random initialisation of small models.
 *
 * Linear layers: normal with variance 1 / fan-in, the two that write into the residual stream scaled by
 * 1 / sqrt(2 layers) (GPT-2). Embeddings: standard deviation 0.15, not 0.02, since tiny tied models learn the faster for
 * it; and one random vector added to every row, which tied logits do not feel but which lets previous-token heads form
 * at once (measured: reverse-text to 95% in 425 SFT steps with it, 625 without).
 */
import { PURPOSE, Random, deriveKey } from '../random';
import type { TensorValues } from './parameters';
import type { Weights } from './weights';

const EMBEDDING_STD = 0.15;

/** Values for every tensor of `weights`, a function of the seed alone. */
export function initialValues(weights: Weights, seed: number): TensorValues {
  const { config } = weights;
  const values: TensorValues = new Map();
  weights.named.forEach(({ name, shape }, index) => {
    const random = new Random(deriveKey(seed, PURPOSE.initialization, index));
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    if (name.endsWith('norm.weight')) data.fill(1);
    else if (name === 'model.embed_tokens.weight') {
      const shared = Array.from({ length: config.hiddenSize }, () => random.normal() * EMBEDDING_STD);
      for (let i = 0; i < data.length; i++) data[i] = random.normal() * EMBEDDING_STD + shared[i % config.hiddenSize]!;
    } else if (name.endsWith('.weight')) {
      const residual = name.endsWith('o_proj.weight') || name.endsWith('down_proj.weight');
      const std = Math.sqrt(1 / shape[1]!) * (residual ? Math.sqrt(1 / (2 * config.layers)) : 1);
      for (let i = 0; i < data.length; i++) data[i] = random.normal() * std;
    }
    values.set(name, { shape, values: data });
  });
  return values;
}
