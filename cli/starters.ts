/**
 * @file `terrarium starters`: trains the checkpoints that the page starts from, by the same trainer, on demonstrations that
 * the environments write themselves. Every shipped starter was made by this command.
 */
import { parseArgs } from 'node:util';
import { LIBRARY, libraryEntry } from '../src/envs';
import type { Gpu } from '../src/kernels';
import { encodeJson } from '../src/model';
import { ConfigError, PRESETS, Run, parseAssignment, resolveConfig } from '../src/rl';
import type { EvalResult, RunEvent, TrainConfig } from '../src/rl';
import { starterPath } from './files';
import { OutputFolder } from './output';
import { ProgressLine } from './progress';
import { acquireTunedGpu } from './tuned_gpu';

export const STARTERS_USAGE = `terrarium starters [environment ...] [--seed N] [--set KEY=VALUE] [--out DIR]

  Trains the starting checkpoints (all, or those named) and writes them to starters/<environment>, or one of them to --out,
  a new or empty folder.
`;

/** What a starter's folder holds: made again, it replaces these and touches nothing else. */
const STARTER_FILES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'starter.json'];

/** How a starter was made and how good it is: starter.json beside the model. */
export interface StarterCard {
  env: string;
  /** One paragraph for the page. */
  story: string;
  seed: number;
  sft_steps: number;
  careless: number;
  careless_steps: number;
  parameters: number;
  /** Before the careless phase. */
  eval_skilled: EvalResult | null;
  /** As shipped. */
  eval: EvalResult;
  weights_sha256: string;
  adapter: string;
}

export async function startersCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: '1' },
      set: { type: 'string', multiple: true, default: [] },
      out: { type: 'string' },
    },
  });
  const all = LIBRARY.map((entry) => entry.name).filter((env) => PRESETS[env]?.start === 'starter');
  const wanted = positionals.length > 0 ? positionals : all;
  if (values.out !== undefined && wanted.length > 1) throw new ConfigError('--out takes one environment at a time');
  const assignments = [...values.set, `seed=${values.seed}`, 'start=scratch', 'grpo.steps=0', 'grpo.warmup_steps=0'];
  const gpu = await acquireTunedGpu();
  for (const env of wanted) {
    const config = resolveConfig({ env: libraryEntry(env).name }, ...assignments.map(parseAssignment));
    const output = OutputFolder.take(values.out ?? starterPath(env), {
      replaces: values.out === undefined ? STARTER_FILES : [],
    });
    try {
      output.write(await makeStarter(gpu, config));
    } finally {
      output.release();
    }
  }
  gpu.destroy();
}

/** Trains a starter: the files of its folder. */
async function makeStarter(gpu: Gpu, config: TrainConfig): Promise<Map<string, Uint8Array>> {
  const run = await Run.create(gpu, config, {
    starter: () => Promise.resolve(undefined),
    folder: () => Promise.reject(new Error('a starter starts from scratch')),
  });
  const progress = new ProgressLine();
  let skilled: EvalResult | null = null;
  let sftSteps = 0;
  let last: Extract<RunEvent, { event: 'done' }> | undefined;
  for await (const event of run.events()) {
    progress.show(event, 0);
    if (event.event === 'sft' && event.phase === 'skill') {
      sftSteps = event.step;
      const { steps, target } = config.sft;
      if (event.t1 !== null && (event.t1 >= target || event.step === steps)) skilled = await run.evaluate();
    }
    if (event.event === 'done') last = event;
  }
  const { careless, careless_steps: carelessSteps } = config.sft;
  const percent = (share: number) => `${Math.round(100 * share)}%`;
  const card: StarterCard = {
    env: config.env,
    story:
      `Trained by this page's own trainer from random weights: ${sftSteps} supervised steps on correct demonstrations` +
      (skilled ? ` (then ${percent(skilled.t1)} solved at temperature 1)` : '') +
      (carelessSteps > 0
        ? `, then ${carelessSteps} steps with a deliberately careless demonstrator who is wrong ${percent(careless)} of ` +
          `the time. So it can do the task (${percent(last!.eval_after.greedy)} greedy) and mostly does not ` +
          `(${percent(last!.eval_after.t1)} at temperature 1). That is what reinforcement learning repairs.`
        : '.'),
    seed: config.seed,
    sft_steps: sftSteps,
    careless,
    careless_steps: carelessSteps,
    parameters: run.policy.weights.parameterCount,
    eval_skilled: skilled,
    eval: last!.eval_after,
    weights_sha256: last!.weights_sha256,
    adapter: gpu.adapterName,
  };
  const files = await run.policy.export();
  files.set('starter.json', encodeJson(card));
  run.destroy();
  return files;
}
