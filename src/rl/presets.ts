/**
 * @file What each environment's run looks like unless told otherwise. Shapes and rates were found by experiment on models
 * of this size; nothing here is picked on the eval.
 */

export const PRESETS: Readonly<Record<string, Record<string, unknown>>> = {
  // A careless demonstrator leaves a model that can reverse (greedy about 0.9) and mostly does not (T=1 about 0.3).
  'reverse-text': {
    start: 'starter',
    sft: { steps: 1500, target: 0.97, careless: 0.4, careless_steps: 80 },
    grpo: { steps: 30 },
  },
  // From random weights: no demonstrations, an alphabet of which 5 of 18 characters are what is wanted.
  'even-digits': {
    start: 'scratch',
    model: { hidden_size: 48, head_dim: 12, context: 32, alphabet: 'abcdefgh0123456789' },
    grpo: { steps: 30, batch_size: 64, group_size: 16, lr: 1.5e-3, warmup_steps: 0 },
  },
};
