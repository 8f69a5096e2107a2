/** @file Settings of a run that starts from a model of this browser, in place of one of ours. */
import { LORA_DEFAULTS, resolveConfig } from '../src/rl';
import type { ConfigLayer, TrainConfig } from '../src/rl';

/** Whether `start` names a model that was downloaded, or a folder. */
export function isModel(start: string): boolean {
  return start !== 'starter' && start !== 'scratch';
}

/** Bytes of files from which on an adapter is trained unless somebody says otherwise: about ten million weights. */
const LARGE_BYTES = 20e6;

/**
 * What a pretrained model begins with: an adapter, at a rate ten times that of full training; small batches, since a step of
 * such a model takes a while; and sequences of a length that most environments keep to.
 */
const LARGE: ConfigLayer = {
  method: 'lora',
  seq_len: 1024,
  grpo: { steps: 20, batch_size: 32, group_size: 8, lr: 5e-5 },
  eval: { examples: 40, interval: 5 },
};

/** The settings with another start: what does not depend on it stays. */
export function withStart(config: TrainConfig, start: string, bytes: number): TrainConfig {
  const { env, seed } = config;
  if (!isModel(start)) return isModel(config.start) ? resolveConfig({ env, seed, start }) : { ...config, start };
  return resolveConfig({ env, seed }, bytes > LARGE_BYTES ? LARGE : {}, { start });
}

/** The settings in another environment. A model of one's own stays, and how it is trained. */
export function withEnvironment(config: TrainConfig, env: string): TrainConfig {
  const { seed, start, base, seq_len, method, lora, grpo, eval: evals, memory } = config;
  if (!isModel(start)) return resolveConfig({ env, seed });
  return resolveConfig({ env, seed, start, base, seq_len, method, lora, grpo, eval: evals, memory });
}

/** The settings with another method; without an adapter there is nothing to say of one. */
export function withMethod(config: TrainConfig, method: TrainConfig['method']): TrainConfig {
  return resolveConfig({ ...config, method, lora: method === 'lora' ? config.lora : LORA_DEFAULTS });
}
