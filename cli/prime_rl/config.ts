/** @file A run's settings as prime-rl's rl.toml. Every setting either has a place in it or is listed with the reason. */
import { stringify } from 'smol-toml';
import { configFields, nest, valueAt } from '../../src/rl';
import type { ConfigLayer, TrainConfig } from '../../src/rl';
import { RULES, SECTIONS } from './config_rules';
import type { MappingContext } from './config_rules';
import type { NamedModel } from './model_folder';

/** A setting of ours that prime-rl does not have. */
export interface Unmapped {
  key: string;
  value: unknown;
  why: string;
}

export interface MappedConfig {
  /** rl.toml as an object, without model and environment. */
  settings: ConfigLayer;
  /** Where each of our settings went: paths in rl.toml; none where prime-rl's default is what ours means. */
  mapped: Map<string, string[]>;
  unmapped: Unmapped[];
}

/** Finds each setting's place. */
export function mapConfig(config: TrainConfig, context: MappingContext): MappedConfig {
  const layer: ConfigLayer = config;
  const keys = new Set([...configFields().map(({ key }) => key), 'seq_len', ...leaves(layer.lora, 'lora')]);
  let settings: ConfigLayer = {};
  const mapped = new Map<string, string[]>();
  const unmapped: Unmapped[] = [];
  for (const key of keys) {
    const value = valueAt(layer, key);
    const rule = RULES[key];
    const result = rule
      ? rule(value as never, config, context)
      : { none: SECTIONS[key.split('.')[0]!] ?? 'nothing there is known to mean it' };
    if ('none' in result) unmapped.push({ key, value, why: result.none });
    else {
      const entries = Object.entries(result.set);
      mapped.set(
        key,
        entries.map(([path]) => path),
      );
      for (const [path, set] of entries) settings = merge(settings, nest(path, set));
    }
  }
  return { settings, mapped, unmapped };
}

/** Keys below a section, `lora.rank`; none where there is no such section. */
function leaves(section: unknown, path: string): string[] {
  if (typeof section !== 'object' || section === null) return [];
  return Object.keys(section).map((key) => `${path}.${key}`);
}

function merge(base: ConfigLayer, over: ConfigLayer): ConfigLayer {
  const isLayer = (value: unknown): value is ConfigLayer =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isLayer(below) && isLayer(value) ? merge(below, value) : value;
  }
  return merged;
}

export interface RlTomlOptions {
  mapping: MappedConfig;
  model: NamedModel;
  /** The package's id, as verifiers finds it. */
  id: string;
  hasTools: boolean;
}

/** Families whose tool calls are JSON between <tool_call> tags. */
const HERMES = ['qwen2', 'qwen3'];

/** The text of rl.toml. */
export function formatRlToml({ mapping, model, id, hasTools }: RlTomlOptions): string {
  const { settings } = mapping;
  const curriculum = valueAt(settings, 'orchestrator.train.curriculum') as ConfigLayer | undefined;
  const source = (split: 'train' | 'eval') => ({
    name: split === 'train' ? id : `${id}-eval`,
    ...(split === 'train' && curriculum && { curriculum: complete(curriculum) }),
    env: {
      taskset: { id, split },
      agent: { harness: { id }, runtime: { type: 'subprocess' } },
    },
  });
  const hermes = hasTools && HERMES.includes(model.modelType ?? '');
  const whole = merge(settings, {
    model: { name: model.name },
    orchestrator: {
      // A folder's name says nothing of its family: its own chat template is used.
      ...(model.modelType !== undefined && { renderer: { name: 'default', ...(hermes && { tool_parser: 'qwen3' }) } }),
      train: { curriculum: undefined, source: [source('train')] },
      eval: { source: [source('eval')] },
    },
    ...(hermes && { inference: { vllm: { tool_call_parser: 'hermes' } } }),
  });
  return `${heading(mapping, model, id, hasTools && !hermes)}\n${stringify(inOrder(whole))}`;
}

/** The pool of the easy tasks holds whatever is above the others. */
function complete(curriculum: ConfigLayer): ConfigLayer {
  return merge(curriculum, nest('sampler.pools.easy.threshold', Number.MAX_VALUE));
}

/** Plain values before tables, as TOML wants them, and nothing that is not set. */
function inOrder(layer: ConfigLayer): ConfigLayer {
  const entries = Object.entries(layer).filter(([, value]) => value !== undefined);
  const isTable = ([, value]: [string, unknown]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const tables = entries.filter(isTable).map(([key, value]) => [key, inOrder(value as ConfigLayer)] as const);
  return Object.fromEntries([...entries.filter((entry) => !isTable(entry)), ...tables]);
}

function heading({ unmapped }: MappedConfig, model: NamedModel, id: string, needsParser: boolean): string {
  return [
    `# Trains ${id} with prime-rl: uv run rl @ rl.toml`,
    '# Written by terrarium export prime-rl, for prime-rl newer than 0.8.0 (its main branch of August 2026).',
    ...(model.modelType === undefined
      ? ['# The renderer is found by the name of the model; set orchestrator.renderer where it is not.']
      : []),
    ...(needsParser
      ? [
          '# The environment has tools: set orchestrator.renderer.tool_parser and inference.vllm.tool_call_parser',
          '# to what the model writes calls in.',
        ]
      : []),
    '#',
    '# Settings of Terrarium that have no counterpart here:',
    ...formatUnmapped(unmapped).map((line) => `#   ${line}`),
    '',
  ].join('\n');
}

/** Longest line of a list of settings. */
const LINE = 116;

/** Lines that say why settings have no counterpart, those of one reason together: `it has no KL: grpo.beta = 0.1, ...`. */
export function formatUnmapped(unmapped: readonly Unmapped[]): string[] {
  const reasons = new Map<string, string[]>();
  for (const { key, value, why } of unmapped) {
    const text = value === undefined ? 'unset' : JSON.stringify(value);
    const shown = `${key} = ${text.length > 60 ? `${text.slice(0, 60)}...` : text}`;
    reasons.set(why, [...(reasons.get(why) ?? []), shown]);
  }
  return [...reasons].flatMap(([why, settings]) => {
    const lines = [`${why}:`];
    let line = '';
    for (const setting of settings) {
      if (line !== '' && line.length + setting.length > LINE) {
        lines.push(`${line},`);
        line = '';
      }
      line += line === '' ? `    ${setting}` : `, ${setting}`;
    }
    return [...lines, line];
  });
}
