/**
 * @file The models of a run: read from their sources, then made on a device - first on one that only takes notes, to find out
 * how a step fits its memory, and then on the real one, by the same function.
 */
import type { Environment } from '../envs';
import { allOrNothing } from '../kernels';
import type { DeviceLimits, Gpu } from '../kernels';
import { TinyTokenizer, Weights, inLayerOrder, initialValues, isAdapter, loraCode, tinyText } from '../model';
import type { GeneratorOptions, LoraConfig, ModelConfig, ModelText } from '../model';
import { LORA_DEFAULTS } from './config';
import type { TrainConfig } from './config';
import { NoStarterError, UnfitConfigError } from './errors';
import { baseOf, findBase, openModel, peftBaseName } from './load_model';
import type { ModelSources, OpenedModel } from './load_model';
import { planMemory } from './memory';
import type { MemoryPlan, StepCut } from './memory';
import { RolloutPipeline } from './pipeline';
import { Policy } from './policy';
import { Reference, checkSameTokens } from './reference';

export const NO_SOURCES: ModelSources = {
  starter: () => Promise.resolve(undefined),
  folder: (path) => Promise.reject(new NoStarterError(`nobody said how to read ${path}: give Run.create its sources`)),
};

/** Longest sequence of a run unless it asks for more: models claim contexts that no run of ours fills. */
const LONGEST = 2048;

/** What a run's models are, on the host. */
export interface RunModels {
  /** The model's own. */
  config: ModelConfig;
  /** Longest sequence of the run, in tokens. */
  context: number;
  text: ModelText;
  /** Undefined: random weights. */
  start: OpenedModel | undefined;
  /** The adapter that is trained, where it is one. */
  lora: LoraConfig | undefined;
  /** A reference or teacher from a folder. */
  teacher: OpenedModel | undefined;
}

/** What a run holds on its device. */
export interface Reserved {
  policy: Policy;
  /** What a KL or a distillation is measured against, where there is one. */
  reference: Reference | undefined;
  rollouts: RolloutPipeline;
}

/** What a caller reserves on the run's device for itself. */
export type Alongside = (policy: Policy) => Promise<unknown>;

/**
 * Reads what the settings name: configurations and headers, no weights yet.
 * @throws CheckpointError, NoStarterError; UnfitConfigError for an adapter or a teacher that does not fit the settings
 */
export async function readModels(settings: TrainConfig, sources: ModelSources): Promise<RunModels> {
  const start = await openStart(settings, sources);
  const { config, text } = start ?? scratchModel(settings);
  const context = contextOf(settings, config);
  const lora = adapterOf(settings, start);
  let teacher: OpenedModel | undefined;
  if (needsReference(settings) && namesFolder(settings.grpo.reference)) {
    const folder = await sources.folder(settings.grpo.reference);
    if (await isAdapter(folder)) {
      throw new UnfitConfigError(`grpo.reference ${folder.name} is an adapter; a teacher must be a whole model`);
    }
    teacher = await openModel(folder);
    checkTeacher(teacher, context, text);
  }
  return { config, context, text, start, lora, teacher };
}

async function openStart(settings: TrainConfig, sources: ModelSources): Promise<OpenedModel | undefined> {
  const { start, env, base } = settings;
  if (start === 'scratch') return undefined;
  const folder = start === 'starter' ? await sources.starter(env) : await sources.folder(start);
  if (!folder) throw new NoStarterError(`${env} has no starter checkpoint: set start to "scratch"`);
  const opened = await openModel(folder, { find: findBase(sources), base });
  if (base !== undefined && !opened.adapter) {
    throw new UnfitConfigError(`base ${base}: ${opened.source} is a whole model and has no base; leave base out`);
  }
  return opened;
}

/** @throws UnfitConfigError for more than the model's own */
function contextOf({ seq_len: wanted }: TrainConfig, { maxPositions }: ModelConfig): number {
  if (wanted === undefined) return Math.min(maxPositions, LONGEST);
  if (wanted <= maxPositions) return wanted;
  throw new UnfitConfigError(`seq_len ${wanted}: the model's own context is ${maxPositions}`);
}

/**
 * The adapter of a run. One that is given goes on with the rank, alpha and targets it has.
 * @throws UnfitConfigError
 */
function adapterOf(settings: TrainConfig, start: OpenedModel | undefined): LoraConfig | undefined {
  const { method, lora } = settings;
  const given = start?.adapter?.lora;
  if (method === 'full') {
    if (!given) return undefined;
    throw new UnfitConfigError(
      `start ${start.source} is an adapter, and method is "full": set method to "lora", or merge it first ` +
        '(terrarium runs export --merge)',
    );
  }
  const { rank, alpha, dropout, target_modules: targets, use_rslora: rslora } = lora;
  if (!given) {
    const baseModel = peftBaseName(baseOf(settings));
    return { rank, alpha, dropout, rslora, targets: inLayerOrder(targets), baseModel };
  }
  const kept = [
    ['rank', given.rank],
    ['alpha', given.alpha],
    ['target_modules', [...given.targets]],
    ['use_rslora', given.rslora],
  ] as const;
  for (const [key, value] of kept) {
    const [wanted, standard, has] = [lora[key], LORA_DEFAULTS[key], value].map((each) =>
      JSON.stringify(Array.isArray(each) ? inLayerOrder(each) : each),
    );
    if (wanted === standard || wanted === has) continue;
    throw new UnfitConfigError(
      `lora.${key} ${wanted}: the adapter in ${start.source} has ${has}; leave lora.${key} out`,
    );
  }
  return { ...given, dropout, baseModel: settings.base ? peftBaseName(settings.base) : given.baseModel };
}

/** Whether a setting of the reference is a checkpoint folder, and not a word. */
export function namesFolder(reference: string): boolean {
  return reference !== 'start' && reference !== 'best';
}

function needsReference({ grpo }: TrainConfig): boolean {
  return grpo.beta !== 0 || grpo.loss === 'distill';
}

/** @throws UnfitConfigError */
function checkTeacher({ config, text, source }: OpenedModel, context: number, own: ModelText): void {
  checkSameTokens(own.tokenizer.tokens, text.tokenizer.tokens, source);
  if (config.maxPositions < context) {
    throw new UnfitConfigError(
      `grpo.reference ${source}: its context of ${config.maxPositions} is shorter than the policy's of ${context}`,
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
  models: RunModels,
  cut: StepCut,
): Promise<Reserved> {
  const { config, context, text, lora, teacher } = models;
  const { optimizer, memory } = settings;
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
        lora,
        storage: memory.base_storage === 'auto' ? models.start?.checkpoint.storage : memory.base_storage,
        context,
      }),
    );
    let reference: Reference | undefined;
    if (teacher) {
      const { tokens } = policy.trainProgram.options;
      const { storage } = teacher.checkpoint;
      const computed = { ...teacher.config, maxPositions: context };
      reference = own(await Reference.teacher(gpu, computed, { tokens, storage }));
    } else if (needsReference(settings)) reference = own(await Reference.beside(policy));
    const rollouts = await RolloutPipeline.create(policy, env, settings, generatorOptions(settings));
    return { policy, reference, rollouts };
  });
}

/**
 * Gives what was reserved its weights: those of the start, an adapter's first values, a teacher's.
 * @throws CheckpointError naming the tensor
 */
export async function fill(
  { policy, reference }: Reserved,
  { config, start, lora, teacher }: RunModels,
  seed: number,
): Promise<void> {
  if (start) await start.checkpoint.writeTo(policy.weights);
  else policy.setWeights(initialValues(policy.weights, seed), 'initialisation');
  if (lora) {
    const { tensors, source } = start?.adapter ?? {
      tensors: (await loraCode()).initialAdapter(config, lora, seed),
      source: 'a new adapter',
    };
    policy.setAdapter(tensors, source);
  }
  if (teacher && reference?.values instanceof Weights) await teacher.checkpoint.writeTo(reference.values);
}

function generatorOptions({ memory }: TrainConfig): GeneratorOptions {
  return { slots: memory.slots, cacheBytes: memory.cache_mb * 2 ** 20, cacheStorage: memory.cache_type };
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
  return planMemory(limits, wanted, models.context, async (gpu, cut) => {
    const { policy } = await reserve(gpu, settings, env, models, cut);
    await alongside?.(policy);
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
