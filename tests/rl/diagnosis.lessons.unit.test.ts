/**
 * @file Whole runs, recorded by scripts/record_runs.mjs: what is made to fail is found, for its own reason, and the usual
 * settings of every trainable environment are left in peace.
 */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { libraryEntry } from '../../src/envs';
import { FINDING_KINDS, PRESETS, configFields, nest, resolveConfig, valueAt } from '../../src/rl';
import type { ConfigLayer, Diagnosis, FindingKind, Observed, TrainConfig, Diagnostician } from '../../src/rl';
import { diagnosticianFor } from './observe';

const FIXTURES = new URL('fixtures/', import.meta.url).pathname;
const LESSONS = new URL('../../configs/lessons/', import.meta.url).pathname;
const LARGEST_FIXTURE = 60_000;

interface Expectation {
  kind: FindingKind;
  /** The setting that its first advice changes. */
  key: string;
  /** What else may be found: consequences, or the same thing seen from another side. */
  besides?: FindingKind[];
}

const EXPECTED: Record<string, Expectation> = {
  'learning-rate': { kind: 'reward-collapse', key: 'grpo.lr' },
  'too-hard': { kind: 'too-hard', key: 'env_args.min_length' },
  'too-easy': { kind: 'too-easy', key: 'sampling.temperature' },
  truncation: { kind: 'truncation', key: 'sampling.max_tokens' },
  length: { kind: 'length', key: 'length_penalty.output_tokens', besides: ['misleading-reward'] },
  'misleading-reward': { kind: 'misleading-reward', key: 'env_args.reward' },
  'reward-errors': { kind: 'reward-errors', key: 'env_args.reward_failures' },
  'too-many-updates': { kind: 'mismatch', key: 'grpo.updates_per_batch' },
  'gradient-spikes': { kind: 'gradient-spikes', key: 'optimizer.max_norm' },
  'entropy-bonus': { kind: 'entropy-bonus', key: 'grpo.entropy_coefficient' },
  'entropy-collapse': { kind: 'entropy-collapse', key: 'grpo.entropy_coefficient' },
  memorisation: { kind: 'memorisation', key: 'env_args.training_tasks' },
};

/** Its run ends in its first step: tests/rl/diagnosis.gpu.test.ts plays it. */
const PLAYED = ['not-finite'];

function lessonLayer(name: string): ConfigLayer {
  return parse(readFileSync(join(LESSONS, `${name}.toml`), 'utf8'));
}

function record(name: string): Observed[] {
  const [note, ...events] = readFileSync(join(FIXTURES, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Observed);
  expect(note).toMatchObject({ event: 'note', note: expect.stringContaining(`record_runs.mjs ${name}`) as string });
  return events;
}

/** What was told over a whole run, and what is open at its end. */
function replay(name: string, config: TrainConfig): { told: Diagnosis[]; diagnostician: Diagnostician } {
  const diagnostician = diagnosticianFor(config);
  const told = record(name).flatMap((event) => diagnostician.observe(event));
  return { told, diagnostician };
}

describe.each(Object.entries(EXPECTED))('lesson %s', (name, { kind, key, besides = [] }) => {
  const layer = lessonLayer(name);
  const config = resolveConfig(layer);

  it('is found, as the first cause, and nothing unrelated', () => {
    const { told, diagnostician } = replay(name, config);
    expect(diagnostician.findings[0]).toMatchObject({ kind });
    for (const { kind: other } of told) expect([kind, ...besides]).toContain(other);
    expect(told.filter((each) => each.kind === kind && each.state === 'found')).toHaveLength(1);
  });

  it('names the setting that makes it fail, and to what to set it', () => {
    const [finding] = replay(name, config).diagnostician.findings;
    const [advice] = finding!.settings;
    expect(advice!.key).toBe(key);
    expect(valueAt(config, key) ?? null).toEqual(advice!.now);
    expect(advice!.to).not.toEqual(advice!.now);
    const known = configFields().map((field) => field.key);
    for (const setting of finding!.settings) {
      expect(setting.key.startsWith('env_args.') || known.includes(setting.key), setting.key).toBe(true);
    }
    // All of it together is a run that can be started.
    const changed = finding!.settings
      .filter(({ to }) => to !== null)
      .map((setting) => nest(setting.key, setting.to))
      .reduce<TrainConfig>((all, change) => resolveConfig(all, change), config);
    expect(changed).not.toEqual(config);
    const args = { ...changed.env_args };
    for (const { key: removed } of finding!.settings.filter(({ to }) => to === null)) {
      delete args[removed.replace('env_args.', '')];
    }
    expect(() => libraryEntry(changed.env).load(args)).not.toThrow();
  });
});

it.each(Object.keys(PRESETS))('%s with its usual settings: nothing to say', (env) => {
  const { told } = replay(env, resolveConfig({ env }));
  expect(told).toEqual([]);
});

it('every lesson is played or recorded, explains itself on top, and is small', () => {
  const names = readdirSync(LESSONS).map((file) => file.replace('.toml', ''));
  expect(names.sort()).toEqual([...Object.keys(EXPECTED), ...PLAYED].sort());
  for (const name of names) {
    expect(readFileSync(join(LESSONS, `${name}.toml`), 'utf8'), name).toMatch(/^# [A-Z].*\n# [A-Z].*\n(# .*\n)+[a-z]/);
    expect(() => resolveConfig(lessonLayer(name))).not.toThrow();
  }
  for (const file of readdirSync(FIXTURES)) {
    expect(statSync(join(FIXTURES, file)).size, file).toBeLessThan(LARGEST_FIXTURE);
  }
  for (const env of Object.keys(PRESETS)) expect(existsSync(join(FIXTURES, `${env}.jsonl`)), env).toBe(true);
});

it('kinds are looked for in lessons or tested by themselves', () => {
  const inLessons = Object.values(EXPECTED).map(({ kind }) => kind);
  const elsewhere: FindingKind[] = ['not-finite', 'model-failed', 'reference-kl', 'too-alike'];
  expect([...inLessons, ...elsewhere].sort()).toEqual([...FINDING_KINDS].sort());
});
