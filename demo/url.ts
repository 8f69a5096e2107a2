/**
 * @file Settings in the URL's hash, as differences from the environment's defaults: `#env=reverse-text&seed=3&grpo.lr=0.001`.
 * A link is a run: whoever opens it sees the same numbers on the same adapter.
 */
import { libraryEntry } from '../src/envs';
import { configFields, parseAssignment, resolveConfig, valueAt } from '../src/rl';
import type { TrainConfig } from '../src/rl';

/** What an empty hash means. */
export const DEFAULT_ENV = 'reverse-text';

/**
 * Reads a location hash.
 * @throws ConfigError naming the key that is unknown or the value that is impossible, UnknownEnvironmentError
 */
export function configFromHash(hash: string): TrainConfig {
  const pairs = [...new URLSearchParams(hash.replace(/^#/, ''))];
  const config = resolveConfig(
    { env: DEFAULT_ENV },
    ...pairs.map(([key, value]) => parseAssignment(`${key}=${value}`)),
  );
  libraryEntry(config.env);
  return config;
}

/** The shortest hash that `configFromHash` reads back as this config. */
export function hashFromConfig(config: TrainConfig): string {
  const params = new URLSearchParams({ env: config.env });
  for (const [key, value] of changedSettings(config))
    params.set(key, typeof value === 'string' ? value : JSON.stringify(value));
  return `#${params.toString()}`;
}

/** Settings that differ from the environment's defaults. */
export function changedSettings(config: TrainConfig): [key: string, value: unknown][] {
  const defaults = resolveConfig({ env: config.env });
  return configFields()
    .map((field): [string, unknown] => [field.key, valueAt(config, field.key)])
    .filter(([key, value]) => key !== 'env' && value !== undefined && !same(value, valueAt(defaults, key)));
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
