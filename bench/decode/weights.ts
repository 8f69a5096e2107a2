/**
 * @file Weights at random and soon: 135 million draws would take a minute. Few are drawn, and every tensor goes through
 * them from a place of its own; their number is prime, so that no two rows are alike.
 */
import type { TensorValues, Weights } from '../../src/model';
import { Random, deriveKey } from '../../src/random';

const DRAWS = 65_537;
const STRIDE = 7919;

/** Norms of 1, embeddings of standard deviation 0.15, matrices of variance 1 / inputs; for every tensor of a model. */
export function quickWeights({ named }: Weights, seed: number): TensorValues {
  const random = new Random(deriveKey(seed));
  const draws = Float32Array.from({ length: DRAWS }, () => random.normal());
  return new Map(
    named.map(({ name, shape }, index) => {
      const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
      if (shape.length === 1) values.fill(1);
      else {
        const std = name === 'model.embed_tokens.weight' ? 0.15 : Math.sqrt(1 / shape[1]!);
        for (let i = 0, at = (index * STRIDE) % DRAWS; i < values.length; i++, at = at + 1 < DRAWS ? at + 1 : 0) {
          values[i] = std * draws[at]!;
        }
      }
      return [name, { shape, values }];
    }),
  );
}
