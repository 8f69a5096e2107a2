/**
 * @file The models of a run: read from their sources, then made on a device - first on one that only takes notes, to find out
 * how a step fits its memory, and then on the real one, by the same function.
 */
import type { Environment } from '../envs';
import { allOrNothing } from '../kernels';
import type { DeviceLimits, Gpu } from '../kernels';
import { TinyTokenizer, tinyText } from '../model';
import type { FileSource, GeneratorOptions, ModelConfig, ModelText } from '../model';
import type { TrainConfig } from './config';
import { NoStarterError, UnfitConfigError } from './errors';
import { planMemory } from './memory';
import type { MemoryPlan, StepCut } from './memory';
import { RolloutPipeline } from './pipeline';
import { Policy, loadModel } from './policy';
import type { LoadedModel } from './policy';
import { Reference, checkSameTokens } from './reference';

/** Where starting weights come from. */
export interface ModelSources {
  /** The shipped starter of an environment, or undefined where there is none. */
  starter(env: string): Promise<FileSource | undefined>;
  /** A checkpoint folder by path or, after `hf:`, a model of the hub by its name. */
  folder(path: string): Promise<FileSource>;
}

export const NO_SOURCES: ModelSources = {
  starter: () => Promise.resolve(undefined),
  folder: (path) => Promise.reject(new NoStarterError(`nobody said how to read ${path}: give Run.create its sources`)),
};

/** What a run's models are, on the host. */
export interface RunModels {
  config: ModelConfig;
  text: ModelText;
  /** Undefined: random weights. */
  start: LoadedModel | undefined;
  /** A reference or teacher from a folder. */
  teacher: LoadedModel | undefined;
}

/** What a run holds on its device. */
export interface Reserved {
  policy: Policy;
  /** What a KL or a distillation is measured against, where there is one. */
  reference: Reference | undefined;
  rollouts: RolloutPipeline;
}

/** What a caller reserves on the run's device for itself. */
export type Alongside = (gpu: Gpu, model: ModelConfig) => Promise<unknown>;

/**
 * Reads what the settings name.
 * @throws CheckpointError, NoStarterError; UnfitConfigError for a teacher that does not fit its pupil
 */
export async function readModels(settings: TrainConfig, sources: ModelSources): Promise<RunModels> {
  let start: LoadedModel | undefined;
  if (settings.start === 'starter') {
    const folder = await sources.starter(settings.env);
    if (!folder) throw new NoStarterError(`${settings.env} has no starter checkpoint: set start to "scratch"`);
    start = await loadModel(folder);
  } else if (settings.start !== 'scratch') start = await loadModel(await sources.folder(settings.start));
  const { config, text } = start ?? scratchModel(settings);
  let teacher: LoadedModel | undefined;
  if (needsReference(settings) && namesFolder(settings.grpo.reference)) {
    teacher = await loadModel(await sources.folder(settings.grpo.reference));
    checkTeacher(teacher, config, text);
  }
  return { config, text, start, teacher };
}

/** Whether a setting of the reference is a checkpoint folder, and not a word. */
export function namesFolder(reference: string): boolean {
  return reference !== 'start' && reference !== 'best';
}

function needsReference({ grpo }: TrainConfig): boolean {
  return grpo.beta !== 0 || grpo.loss === 'distill';
}

/** @throws UnfitConfigError */
function checkTeacher({ config, text, source }: LoadedModel, pupil: ModelConfig, own: ModelText): void {
  checkSameTokens(own.tokenizer.tokens, text.tokenizer.tokens, source);
  if (config.maxPositions < pupil.maxPositions) {
    throw new UnfitConfigError(
      `grpo.reference ${source}: its context of ${config.maxPositions} is shorter than the policy's of ${pupil.maxPositions}`,
    );
  }
}

/**
 * Makes everything that a run holds on a device, with weights of zero.
 * @throws UnfitConfigError when the dataset cannot serve the settings; GpuLimitError, GpuMemoryError
 */
export function reserve(
  gpu: Gpu,
  settings: TrainConfig,
  env: Environment,
  { config, text, teacher }: RunModels,
  cut: StepCut,
): Promise<Reserved> {
  const { optimizer } = settings;
  return allOrNothing(async (own) => {
    const policy = own(
      await Policy.create(gpu, config, text, {
        ...cut,
        optimizer: {
          beta1: optimizer.beta1,
          beta2: optimizer.beta2,
          epsilon: optimizer.epsilon,
          weightDecay: optimizer.weight_decay,
          maxNorm: optimizer.max_norm,
        },
        generator: generatorOptions(settings),
      }),
    );
    const { tokens } = policy.trainProgram.options;
    const reference = needsReference(settings)
      ? own(await Reference.create(gpu, teacher?.config ?? config, tokens))
      : undefined;
    const rollouts = await RolloutPipeline.create(policy, env, settings, generatorOptions(settings));
    return { policy, reference, rollouts };
  });
}

function generatorOptions({ memory }: TrainConfig): GeneratorOptions {
  return { slots: memory.slots, cacheBytes: memory.cache_mb * 2 ** 20 };
}

/**
 * Finds out, without reserving anything, how a step fits a device with these limits.
 * @throws UnfitConfigError when it does not
 */
export function planRun(
  limits: DeviceLimits,
  settings: TrainConfig,
  env: Environment,
  models: RunModels,
  alongside?: Alongside,
): Promise<MemoryPlan> {
  const { optimizer, memory } = settings;
  const wanted = {
    microBatchTokens: optimizer.micro_batch_tokens,
    recompute: memory.recompute,
    budgetBytes: memory.budget_mb === undefined ? undefined : memory.budget_mb * 2 ** 20,
  };
  return planMemory(limits, wanted, models.config.maxPositions, async (gpu, cut) => {
    await reserve(gpu, settings, env, models, cut);
    await alongside?.(gpu, models.config);
  });
}

/** The model that the settings describe: Qwen3's architecture, small, with tied embeddings. */
function scratchModel({ model }: TrainConfig): { config: ModelConfig; text: ModelText } {
  const tokenizer = new TinyTokenizer(model.vocabulary ?? [...model.alphabet]);
  const config: ModelConfig = {
    family: 'qwen3',
    vocabSize: tokenizer.vocabSize,
    hiddenSize: model.hidden_size,
    layers: model.layers,
    heads: model.heads,
    kvHeads: model.kv_heads,
    headDim: model.head_dim,
    intermediateSize: model.intermediate_size,
    rmsNormEps: 1e-6,
    ropeTheta: model.rope_theta,
    maxPositions: model.context,
    tiedEmbeddings: true,
    qkvBias: false,
    qkNorm: true,
    bosTokenId: tokenizer.id('<bos>'),
    eosTokenId: tokenizer.id('<eos>'),
  };
  return { config, text: tinyText(tokenizer, config) };
}
