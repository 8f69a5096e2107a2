/** @file An evaluation for the page: the model in the run's environment, with results as verifiers stores them. */
import { strToU8, zipSync } from 'fflate';
import { MemoryStore, evaluate } from '../../src/envs';
import type { ChatModel, EvalProgress } from '../../src/envs';
import type { Run } from '../../src/rl';
import type { EvalSettings, ShownEvaluation } from '../protocol';

/**
 * Evaluates on held-out tasks. Random numbers depend on the run's seed alone: the same weights get the same result.
 * @throws EvaluationError, the signal's reason, DeviceLostError
 */
export async function evaluateFor(
  { config, env }: Pick<Run, 'config' | 'env'>,
  model: ChatModel,
  settings: EvalSettings,
  signal: AbortSignal,
  onProgress: (progress: EvalProgress) => void,
): Promise<Omit<ShownEvaluation, 'step'>> {
  const store = new MemoryStore();
  const { traces, summary } = await evaluate(env, model, {
    numExamples: Math.min(settings.examples, env.evalDataset.length),
    rolloutsPerExample: settings.rollouts,
    maxConcurrent: 64,
    seed: config.seed,
    sampling: { temperature: settings.temperature },
    maxRetries: 0, // what our own model cannot do once it cannot do twice
    signal,
    onProgress,
    store,
    labels: { envArgs: config.env_args },
  });
  const folder = `${config.env}-${settings.which}-seed${config.seed}`;
  const bytes = zipSync({
    [`${folder}/results.jsonl`]: strToU8(store.results),
    [`${folder}/metadata.json`]: strToU8(store.metadata ?? '{}'),
  });
  return { settings, summary, traces, files: { name: `${folder}-eval.zip`, bytes } };
}
