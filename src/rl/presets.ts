/**
 * @file What each environment's run looks like unless told otherwise. Shapes and rates were found by experiment on models
 * of this size; nothing here is picked on the eval.
 */
import { libraryEntry } from '../envs';
import type { ConfigLayer } from './config';

/** A careless demonstrator leaves a model that has the skill (greedy about 0.9) and mostly does not show it. */
const CARELESS = { steps: 2000, target: 0.95, careless: 0.4, careless_steps: 80 };

const GRPO = { steps: 24, lr: 1e-3 };

/** A model that can spell an environment's texts. Its context has room for whole replies after the longest prompts. */
function tinyModel(name: string, more: ConfigLayer = {}): ConfigLayer {
  const { alphabet, vocabulary } = libraryEntry(name).tiny!;
  const words = vocabulary ? { vocabulary: [...vocabulary] } : { alphabet };
  return { ...words, ...more };
}

export const PRESETS: Readonly<Record<string, ConfigLayer>> = {
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
  'letter-sort': {
    start: 'starter',
    model: tinyModel('letter-sort'),
    sft: CARELESS,
    grpo: { steps: 40, lr: 5e-4 },
  },
  'arithmetic-mini': {
    start: 'starter',
    model: tinyModel('arithmetic-mini'),
    sft: { ...CARELESS, careless: 0.5 },
    grpo: { steps: 60, batch_size: 256, lr: 5e-4 },
  },
  'alphabet-sort-mini': { start: 'starter', model: tinyModel('alphabet-sort-mini'), sft: CARELESS, grpo: GRPO },
  'tool-test-mini': {
    start: 'starter',
    model: tinyModel('tool-test-mini'),
    sft: CARELESS,
    grpo: { ...GRPO, lr: 5e-4 },
  },
  // One bad habit, answering without looking it up, about half the time: greedy is no better, and the policy itself changes.
  'wiki-search-mini': {
    start: 'starter',
    model: tinyModel('wiki-search-mini', { kv_heads: 4, context: 72 }),
    sft: {
      steps: 1500,
      target: 0.95,
      batch_size: 32,
      lr: 2e-3,
      eval_interval: 50,
      careless: 0.42,
      careless_steps: 100,
    },
    grpo: { steps: 32, lr: 3e-4 },
  },
  // The same habit: answering without running any code.
  'code-math-mini': {
    start: 'starter',
    model: tinyModel('code-math-mini'),
    sft: { ...CARELESS, careless: 0.5 },
    grpo: { ...GRPO, lr: 5e-4 },
  },
  'wordle-mini': {
    start: 'starter',
    model: tinyModel('wordle-mini', { context: 32 }),
    sft: { ...CARELESS, eval_interval: 100 },
    grpo: GRPO,
  },
  // Knows the rules and plays nearly at random. Entropy keeps both moves in play, without which self-play soon always bets.
  'kuhn-poker': {
    start: 'starter',
    model: tinyModel('kuhn-poker', { hidden_size: 48, head_dim: 12, context: 32 }),
    sft: { steps: 150, target: 1, careless: 0.7, careless_steps: 60 },
    grpo: { steps: 40, batch_size: 384, group_size: 16, lr: 5e-4, entropy_coefficient: 0.3 },
  },
};
