/**
 * @file Supervised fine-tuning on demonstrations that the environment writes itself: cross entropy on the assistant's
 * tokens.
 */
import type { Environment, Message } from '../envs';
import type { TrainingSequence } from '../model';
import { PURPOSE, Random, deriveKey } from '../random';
import { NonFiniteUpdateError } from './errors';
import { lossSettings } from './losses';
import type { Policy, UpdateResult } from './policy';

/** An environment that was asked for demonstrations and has none. */
export class NoDemonstrationsError extends Error {
  override name = 'NoDemonstrationsError';
}

/** The conversation of demonstration `index`: prompt and replies. */
export async function demonstration(
  env: Environment,
  index: number,
  options: { seed: number; careless: number },
): Promise<Message[]> {
  if (!env.demonstrate) throw new NoDemonstrationsError(`${env.name} makes no demonstrations: set sft.steps to 0`);
  const length = env.dataset.length;
  const example = await env.example(length === Infinity ? index : index % length);
  const random = new Random(deriveKey(options.seed, PURPOSE.demonstration, index));
  return [...env.promptFor(example), ...(await env.demonstrate(example, random, { careless: options.careless }))];
}

/**
 * One supervised step on demonstrations `first` to `first + batchSize - 1`.
 * @throws NonFiniteUpdateError when the gradient is not finite; the weights are those of the step before
 */
export async function sftStep(
  policy: Policy,
  env: Environment,
  options: { first: number; batchSize: number; seed: number; careless: number; lr: number; dropout?: number },
): Promise<UpdateResult> {
  const { first, batchSize, lr, seed, dropout: rate = 0 } = options;
  const sequences: TrainingSequence[] = [];
  const tools = env.toolSchemas();
  for (let i = 0; i < batchSize; i++) {
    sequences.push(policy.text.chat.renderForTraining(await demonstration(env, first + i, options), { tools }));
  }
  const objective = { settings: lossSettings('sft'), temperature: 1, sequences: batchSize, maxCompletionLength: 1 };
  // A function of where the step's demonstrations begin: no two steps leave out the same, and a resumed run what it would have.
  const dropout = rate > 0 ? { rate, key: deriveKey(seed, PURPOSE.dropout, first) } : undefined;
  const update = await policy.update(sequences, { loss: 'sft', dropout, ...objective }, lr);
  if (!update.finite) {
    throw new NonFiniteUpdateError('supervised step: the gradient is not finite. A lower sft.lr may help.');
  }
  return update;
}
