/**
 * @file Which setting of ours is which of prime-rl's. A rule per key says where its value goes, or why it has no place.
 * The names and what they do are those of prime-rl's main branch in August 2026, after 0.8.0.
 */
import type { TrainConfig } from '../../src/rl';

/** What the mapping needs to know beside the settings. */
export interface MappingContext {
  /** Longest reply, where the settings name none: the environment's own. */
  maxTokens: number | undefined;
  /** Longest sequence that the model was made for. */
  maxPositions: number | undefined;
}

export type Mapped =
  /** Values by dotted path in rl.toml; an empty one says that prime-rl's default is what ours means. */
  | { set: Readonly<Record<string, unknown>> }
  /** Why there is no counterpart. */
  | { none: string };

type Rule = (value: never, config: TrainConfig, context: MappingContext) => Mapped;

const to =
  (path: string): Rule =>
  (value: unknown) => ({ set: value === undefined ? {} : { [path]: value } });
const none =
  (why: string): Rule =>
  () => ({ none: why });
/** Has no counterpart unless it is off. */
const offAt =
  (off: unknown, why: string): Rule =>
  (value: unknown) =>
    value === off || value === undefined ? { set: {} } : { none: why };

/** Of the adapter, where one is trained. */
const ofLora =
  (name: string): Rule =>
  (value: unknown, { method }) => ({ set: method === 'lora' ? { [`trainer.model.lora.${name}`]: value } : {} });

const MODEL = 'the shape of a model that is made here: --model is there already';
const SFT = 'a warm-up is a run of its own there (uv run sft)';
const PAGE_MEMORY = 'of how this trainer uses its memory';

/** prime-rl's loss that is ours, and what its settings are called there. */
const LOSSES: Partial<Record<TrainConfig['grpo']['loss'], { type: string; mask: readonly [string, string] }>> = {
  prime: { type: 'default', mask: ['dppo_mask_low', 'dppo_mask_high'] },
  ipo: { type: 'ipo', mask: ['ipo_threshold', 'ipo_threshold'] },
};
const ALGORITHMS: Partial<Record<TrainConfig['grpo']['advantage'], string>> = { none: 'grpo', max_rl: 'max_rl' };

const TRAIN = 'orchestrator.train';
const SAMPLER = `${TRAIN}.curriculum.sampler`;
const ALGO = 'orchestrator.algo';
const LOSS = 'trainer.loss';
const OPTIM = 'trainer.optim';
const SCHEDULER = 'trainer.scheduler';

function maskRule(end: 0 | 1): Rule {
  return (value: number | undefined, { grpo }) => {
    if (value === undefined) return { set: {} };
    const loss = LOSSES[grpo.loss];
    if (!loss) return { none: `of grpo.loss, and "${grpo.loss}" has no counterpart` };
    if (loss.type === 'ipo' && grpo.mask_low !== grpo.mask_high) return { none: 'its ipo loss has one threshold' };
    return { set: { [`${LOSS}.${loss.mask[end]}`]: value } };
  };
}

function lengthPenaltyRule(name: string): Rule {
  return (value: number, { length_penalty: all, grpo }) => {
    if (Object.values(all).every((each) => each === 0)) return { set: {} };
    if (grpo.advantage !== 'none')
      return { none: `its ${ALGORITHMS[grpo.advantage] ?? 'algorithm'} has no length penalty` };
    return { set: { [`${ALGO}.length_penalty.type`]: 'linear', [`${ALGO}.length_penalty.${name}`]: value } };
  };
}

/** Pools are told apart by the highest reward in each; a task that was never asked has weight 1, as here. */
function poolRule(
  name: string,
  of: 'threshold' | 'weight',
  threshold: (value: number) => number = (value) => value,
): Rule {
  return (value: number, { difficulty: { easy_weight, normal_weight, hard_weight } }) => {
    const off = [easy_weight, normal_weight, hard_weight].every((weight) => weight === 1);
    if (off) return { set: {} };
    const path = `${SAMPLER}.pools.${name}.${of}`;
    return { set: { [`${SAMPLER}.type`]: 'difficulty_pool', [path]: of === 'threshold' ? threshold(value) : value } };
  };
}

/** The largest double below a positive number: a pool's threshold is still in it, ours of "easy" is not. */
function justBelow(value: number): number {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  bits.setBigUint64(0, bits.getBigUint64(0) + (value > 0 ? -1n : 1n));
  return value === 0 ? -Number.MIN_VALUE : bits.getFloat64(0);
}

/** Its schedule that is ours: `constant` for none but a warm-up; undefined where it has no such thing. */
function scheduleOf({ grpo: { schedule: kind, steps, warmup_steps: warmup, decay_steps: decay } }: TrainConfig) {
  return kind === 'constant' || ((decay === 0 || decay === steps - warmup) && steps > warmup) ? kind : undefined;
}

const schedule: Rule = (_, config) => {
  const { steps, warmup_steps: warmup } = config.grpo;
  const kind = scheduleOf(config);
  if (kind === undefined) return { none: 'its rate comes down at the end of the run; ours at once, and then it stays' };
  if (kind === 'constant') return { set: {} };
  const decay = kind === 'linear' ? { [`${SCHEDULER}.decay_steps`]: steps - warmup } : {};
  return { set: { [`${SCHEDULER}.type`]: kind, ...decay } };
};

/** A warm-up alone is a linear schedule there that never comes down. */
const warmUp: Rule = (warmup: number, config) => {
  const alone = (scheduleOf(config) ?? 'constant') === 'constant';
  if (alone && warmup === 0) return { set: {} };
  const linear = { [`${SCHEDULER}.type`]: 'linear', [`${SCHEDULER}.decay_steps`]: 0 };
  return { set: { ...(alone && linear), [`${SCHEDULER}.warmup_steps`]: warmup } };
};

const seqLen = (value: number | undefined, { maxPositions = 2048 }: MappingContext) =>
  value ?? Math.min(maxPositions, 2048);

/** By key, as `configFields` has them. */
export const RULES: Readonly<Record<string, Rule>> = {
  env: none('the package is the environment'),
  env_args: none('part of the package, as they decide its tasks (data/manifest.json)'),
  seed: to('inference.vllm.seed'),
  start: none('--model is where it starts'),
  seq_len: (value: number | undefined, _, context) => ({ set: { seq_len: seqLen(value, context) } }),
  'grpo.steps': to('max_steps'),
  'grpo.batch_size': to('orchestrator.batch_size'),
  'grpo.group_size': to('orchestrator.group_size'),
  'grpo.lr': (lr: number) => ({ set: { [`${OPTIM}.type`]: 'adamw', [`${OPTIM}.lr`]: lr } }),
  'grpo.schedule': schedule,
  'grpo.warmup_steps': warmUp,
  'grpo.decay_steps': () => ({ set: {} }), // by the schedule
  'grpo.min_lr_ratio': (value: number, config) =>
    (scheduleOf(config) ?? 'constant') === 'constant'
      ? { set: {} }
      : { set: { [`${SCHEDULER}.min_lr`]: config.grpo.lr * value } },
  'grpo.loss': (loss: TrainConfig['grpo']['loss']) =>
    LOSSES[loss]
      ? { set: { [`${LOSS}.type`]: LOSSES[loss].type } }
      : { none: 'it has the losses of "prime" and "ipo"' },
  'grpo.advantage': (name: TrainConfig['grpo']['advantage']) =>
    ALGORITHMS[name] ? { set: { [`${ALGO}.type`]: ALGORITHMS[name] } } : { none: 'it has "none" (grpo) and "max_rl"' },
  'grpo.updates_per_batch': offAt(1, 'it makes one optimizer step of a batch'),
  'grpo.filter_zero_advantages': (value: boolean) => ({
    set: value ? {} : { [`${TRAIN}.filter_zero_advantages`]: false },
  }),
  'grpo.replacement_rounds': offAt(0, 'it does not ask others in their place'),
  'grpo.async_level': to('orchestrator.max_off_policy_steps'),
  'grpo.mask_truncated': offAt(false, 'rollouts that were cut off carry loss there'),
  'grpo.max_epochs': offAt(0, 'it goes on until max_steps'),
  'grpo.reference': offAt('start', 'it has no reference model'),
  'grpo.reference_sync_interval': offAt(0, 'it has no reference model'),
  'grpo.beta': offAt(0, 'it has no KL to a reference model'),
  'grpo.delta': offAt(0, 'its loss has no upper bound of the ratio'),
  'grpo.mask_low': maskRule(0),
  'grpo.mask_high': maskRule(1),
  'grpo.kl_tau': (value: number | undefined, { grpo }) =>
    value === undefined
      ? { set: {} }
      : LOSSES[grpo.loss]
        ? { set: { [`${LOSS}.kl_tau`]: value } }
        : { none: `of grpo.loss, and "${grpo.loss}" has no counterpart` },
  'grpo.epsilon_low': offAt(undefined, 'its losses have no clip'),
  'grpo.epsilon_high': offAt(undefined, 'its losses have no clip'),
  'grpo.entropy_coefficient': offAt(0, 'it has no entropy bonus'),
  'length_penalty.output_tokens': lengthPenaltyRule('num_output_tokens_weight'),
  'length_penalty.input_tokens': lengthPenaltyRule('num_input_tokens_weight'),
  'length_penalty.turns': lengthPenaltyRule('num_turns_weight'),
  'difficulty.easy_threshold': poolRule('normal', 'threshold', justBelow),
  'difficulty.hard_threshold': poolRule('hard', 'threshold'),
  'difficulty.easy_weight': poolRule('easy', 'weight'),
  'difficulty.normal_weight': poolRule('normal', 'weight'),
  'difficulty.hard_weight': poolRule('hard', 'weight'),
  curriculum: (stages: readonly unknown[]) =>
    stages.length === 0 ? { set: {} } : { none: 'its shares of environments do not change during a run' },
  'sampling.temperature': to(`${TRAIN}.sampling.temperature`),
  'sampling.max_tokens': (value: number | undefined, _, { maxTokens }) => ({
    set: (value ?? maxTokens) === undefined ? {} : { [`${TRAIN}.sampling.max_completion_tokens`]: value ?? maxTokens },
  }),
  'optimizer.beta1': to(`${OPTIM}.betas1`),
  'optimizer.beta2': to(`${OPTIM}.betas2`),
  'optimizer.epsilon': offAt(1e-8, "its AdamW has PyTorch's epsilon, 1e-8"),
  'optimizer.weight_decay': to(`${OPTIM}.weight_decay`),
  'optimizer.max_norm': (value: number) => ({ set: { [`${OPTIM}.max_norm`]: value === 0 ? 'None' : value } }),
  'optimizer.micro_batch_tokens': none(PAGE_MEMORY),
  'eval.interval': (value: number, { grpo }) => ({
    set: { 'orchestrator.eval.interval': value || Math.max(1, grpo.steps) },
  }),
  'eval.examples': to('orchestrator.eval.num_examples'),
  'checkpoint.interval': (value: number) => ({ set: value > 0 ? { 'ckpt.interval': value } : {} }),
  'checkpoint.keep_last': to('ckpt.keep_last'),
  'checkpoint.keep_best': none('it keeps the newest checkpoints, and those of an interval'),
  method: () => ({ set: {} }), // what lora.* say
  'lora.rank': ofLora('rank'),
  'lora.alpha': ofLora('alpha'),
  'lora.dropout': ofLora('dropout'),
  'lora.target_modules': ofLora('target_modules'),
  'lora.use_rslora': offAt(false, 'its adapters scale by alpha / rank'),
  base: offAt(undefined, 'of an adapter that a run goes on with: --model is there already'),
};

/** Why whole sections of ours have no counterpart. */
export const SECTIONS: Readonly<Record<string, string>> = {
  model: MODEL,
  sft: SFT,
  memory: PAGE_MEMORY,
};
