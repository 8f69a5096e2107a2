/** @file Sampling settings as settings files and command lines have them: `max_tokens`, `top_p`, and what only endpoints know. */
import type { SamplingArgs } from '../types';

const NAMES: Readonly<Record<string, keyof SamplingArgs>> = {
  max_tokens: 'maxTokens',
  temperature: 'temperature',
  top_p: 'topP',
  top_k: 'topK',
  min_p: 'minP',
};

/**
 * Takes the settings that every model knows from those that only an endpoint may know. Null means the default.
 * @throws TypeError naming a setting of ours that is no number
 */
export function parseSamplingArgs(given: Readonly<Record<string, unknown>>): {
  sampling: SamplingArgs;
  others: Record<string, unknown>;
} {
  const sampling: SamplingArgs = {};
  const others: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const known = NAMES[name];
    if (value === null) continue;
    if (known === undefined) others[name] = value;
    else if (typeof value === 'number') sampling[known] = value;
    else throw new TypeError(`${name} is no number`);
  }
  return { sampling, others };
}
