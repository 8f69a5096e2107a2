/** @file Into which units the benchmark is cut. Each runs in a process of its own: first steps are cold ones then. */
import { DECODE_CONFIGS } from './decode/models';
import { UsageError } from './options';
import type { BenchOptions, Part } from './options';
import { CONFIGS as TRAIN_CONFIGS } from './train/configs';

export interface Unit {
  part: Part;
  /** Of those parts that have several models. */
  config?: string;
}

const MODELS: Partial<Record<Part, { known: Readonly<Record<string, object>>; usual: string[]; quick: string[] }>> = {
  train: { known: TRAIN_CONFIGS, usual: ['S', 'M'], quick: ['XS'] },
  decode: { known: DECODE_CONFIGS, usual: ['M', 'SmolLM2-135M'], quick: ['XS'] },
};

/** @throws UsageError for a model that no chosen part knows */
export function unitsOf({ parts, configs, quick }: Pick<BenchOptions, 'parts' | 'configs' | 'quick'>): Unit[] {
  const known = parts.flatMap((part) => Object.keys(MODELS[part]?.known ?? {}));
  const unknown = configs?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const names = [...new Set(known)].join(', ');
    throw new UsageError(
      `--config ${unknown}: ${names ? `there are ${names}` : 'these parts have no models to choose'}`,
    );
  }
  return parts.flatMap((part): Unit[] => {
    const models = MODELS[part];
    if (!models) return [{ part }];
    const wanted = configs?.filter((name) => name in models.known) ?? (quick ? models.quick : models.usual);
    return wanted.map((config) => ({ part, config }));
  });
}

/** The command line of one unit. */
export function argumentsOf({ part, config }: Unit, options: BenchOptions): string[] {
  const { adapter, peers, quick, tunerMs, rounds, steps, json } = options;
  return [
    ...['--only', part, '--adapter', adapter, '--peers', peers.length > 0 ? peers.join() : 'none'],
    ...(config === undefined ? [] : ['--config', config]),
    ...(quick ? ['--quick'] : []),
    ...(tunerMs === undefined ? [] : ['--tuner', `${tunerMs}`]),
    ...(rounds === undefined ? [] : ['--rounds', `${rounds}`]),
    ...(steps === undefined ? [] : ['--steps', `${steps}`]),
    ...(json === undefined ? [] : ['--json', json]),
  ];
}
