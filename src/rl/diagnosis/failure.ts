/** @file Errors that end a run and are the run's own doing. */
import type { TrainConfig } from '../config';
import { NonFiniteUpdateError } from '../errors';
import { ModelFailedError } from '../rollouts';
import type { FindingKind, SettingAdvice, Symptom } from './finding';
import { round } from './history';
import { slower } from './policy';

/** Weights of further terms of the loss that are far from usual: each is a few hundredths where it is used at all. */
const LARGEST_WEIGHT = 1;

/** The symptom that an error stands for; undefined for errors that say all there is to say by themselves. */
export function failureSymptom(error: Error, config: TrainConfig): { kind: FindingKind; symptom: Symptom } | undefined {
  if (error instanceof NonFiniteUpdateError) {
    return {
      kind: 'not-finite',
      symptom: {
        message: `${error.message.split(/(?<=\.)\s/)[0]} Nothing was changed: the model is that of the last good state.`,
        settings: [...excessive(config), ...slower(config)],
        evidence: { lr: config.grpo.lr, maxNorm: config.optimizer.max_norm },
      },
    };
  }
  if (error instanceof ModelFailedError) {
    return {
      kind: 'model-failed',
      symptom: {
        message: `${error.message}. An update left weights that give no probabilities any more.`,
        settings: [...excessive(config), ...slower(config)],
        remedy: 'Start again, or from a checkpoint before this one.',
        evidence: { lr: config.grpo.lr, maxNorm: config.optimizer.max_norm },
      },
    };
  }
  return undefined;
}

/** Terms of the loss whose weight no gradient survives. */
function excessive({ grpo }: TrainConfig): SettingAdvice[] {
  const { entropy_coefficient: entropy, beta } = grpo;
  return [
    ...(Math.abs(entropy) > LARGEST_WEIGHT ? [{ key: 'grpo.entropy_coefficient', now: entropy, to: 0.01 }] : []),
    ...(beta > LARGEST_WEIGHT ? [{ key: 'grpo.beta', now: beta, to: round(0.04) }] : []),
  ];
}
