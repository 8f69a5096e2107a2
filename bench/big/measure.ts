/** @file One large model through everything: planned, loaded, sampled from, trained by an adapter and whole. */
import type { Gpu } from '../../src/kernels';
import { CharTokenizer, openCheckpoint, tinyText } from '../../src/model';
import type { GeneratedTokens, ModelConfig, TrainingSequence } from '../../src/model';
import { PURPOSE, Random, deriveKey } from '../../src/random';
import { Policy, lossSettings, planMemory, reservePolicy } from '../../src/rl';
import type { PolicyOptions } from '../../src/rl';
import { madeUpCheckpoint } from './made_up';
import type { BigModel } from './models';

/** Longest sequence of the benchmark's runs. */
const CONTEXT = 256;
const PROMPT = 32;

export interface BigResult {
  model: string;
  method: 'lora' | 'full';
  parameters: number;
  trained: number;
  loadSeconds: number;
  loadBytes: number;
  generateSeconds: number | null;
  generatedTokens: number | null;
  stepSeconds: number;
  stepTokens: number;
  gradNorm: number;
  loss: number;
  plannedBytes: number;
  peakBytes: number;
}

export interface BigOptions {
  /** Tokens of the training step. */
  stepTokens: number;
  /** Tokens that each rollout generates; 0 = no generation. */
  generate: number;
  say: (line: string) => void;
}

/** @throws Error when a figure that must be finite is not, or memory differs from the plan by more than a tenth */
export async function measureBig(
  gpu: Gpu,
  { name, config, rollouts }: BigModel,
  method: 'lora' | 'full',
  { stepTokens, generate, say }: BigOptions,
): Promise<BigResult> {
  const options: PolicyOptions = {
    optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0, maxNorm: 1 },
    microBatchTokens: Math.max(CONTEXT, Math.min(stepTokens, 1024)),
    recompute: true,
    context: CONTEXT,
    generator: { slots: rollouts, prefillRows: 128, cacheBytes: 256 * 2 ** 20 },
    ...(method === 'lora' && { storage: 'bf16', lora: LORA }),
  };
  const settings = { microBatchTokens: options.microBatchTokens, recompute: 'on', budgetBytes: Infinity } as const;
  const plan = await planMemory(gpu.device.limits, settings, CONTEXT, (device, cut) =>
    reservePolicy(device, config, { ...options, ...cut }),
  );
  const before = gpu.liveBytes;
  let peak = 0;
  const look = () => (peak = Math.max(peak, gpu.liveBytes - before));

  // Token ids are all that is asked of this model: no text belongs to random weights.
  const policy = await Policy.create(gpu, config, tinyText(new CharTokenizer('a'), config), options);
  look();
  try {
    const checkpoint = await openCheckpoint(madeUpCheckpoint(config, policy.weights.named));
    const loadSeconds = await timed(async () => {
      await checkpoint.writeTo(policy.weights, { onProgress: look });
      await gpu.idle();
    });
    say(`${name}: ${(checkpoint.bytes / 1e6).toFixed(0)} MB loaded in ${loadSeconds.toFixed(1)} s`);
    if (policy.adapter) fillAdapter(policy);

    const random = new Random(deriveKey(1));
    const promptIds = Array.from({ length: PROMPT }, () => random.below(config.vocabSize));
    let replies: GeneratedTokens[] = [];
    let generateSeconds: number | null = null;
    if (generate > 0) {
      generateSeconds = await timed(async () => {
        replies = await Promise.all(
          Array.from({ length: rollouts }, (_, i) =>
            policy.generator.generate({
              promptIds,
              key: deriveKey(1, PURPOSE.sampling, i),
              sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: generate, stopTokens: [] },
            }),
          ),
        );
      });
      look();
      const tokens = rollouts * generate;
      say(`${name}: ${tokens} tokens of ${rollouts} rollouts in ${generateSeconds.toFixed(1)} s`);
    }

    const sequences = sequencesOf(config, promptIds, replies, stepTokens);
    const lengths = sequences.map(({ ids }) => ids.length);
    let update: Awaited<ReturnType<Policy['update']>> | undefined;
    const stepSeconds = await timed(async () => {
      update = await policy.update(
        sequences,
        {
          loss: 'grpo',
          settings: lossSettings('grpo'),
          temperature: 1,
          sequences: sequences.length,
          maxCompletionLength: generate || CONTEXT,
        },
        1e-5,
      );
    });
    look();
    const { gradNorm, loss, finite, tokens } = update!;
    say(`${name}, ${method}: a step of ${tokens} tokens in ${stepSeconds.toFixed(1)} s, gradient norm ${gradNorm}`);
    if (!finite || !(gradNorm > 0)) throw new Error(`${name}, ${method}: gradient norm ${gradNorm}, finite ${finite}`);
    const planned = plan.bytes - plan.parts.readback; // nothing is snapshotted here
    if (Math.abs(peak / planned - 1) > 0.1) {
      throw new Error(`${name}, ${method}: ${peak} bytes at the peak, planned were ${planned}`);
    }
    return {
      model: name,
      method,
      parameters: policy.weights.parameterCount,
      trained: policy.trainable.parameterCount,
      loadSeconds,
      loadBytes: checkpoint.bytes,
      generateSeconds,
      generatedTokens: generate > 0 ? rollouts * generate : null,
      stepSeconds,
      stepTokens: lengths.reduce((sum, length) => sum + length, 0),
      gradNorm,
      loss,
      plannedBytes: planned,
      peakBytes: peak,
    };
  } finally {
    policy.destroy();
  }
}

const LORA = {
  rank: 16,
  alpha: 32,
  dropout: 0,
  rslora: false,
  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  baseModel: null,
} as const;

/** B of a new adapter is 0, and with it the gradient of A: give both numbers, as after some steps. */
function fillAdapter({ adapter }: Policy): void {
  const random = new Random(deriveKey(2));
  const values = new Map(
    adapter!.named.map(({ name, shape }) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return [name, { shape, values: Float32Array.from({ length }, () => 0.01 * random.normal()) }] as const;
    }),
  );
  adapter!.write(values, 'made up');
}

/** The rollouts as sequences, as many as the step takes; without rollouts, made-up ones. Advantages alternate. */
function sequencesOf(
  { vocabSize }: ModelConfig,
  promptIds: readonly number[],
  replies: readonly GeneratedTokens[],
  stepTokens: number,
): TrainingSequence[] {
  const random = new Random(deriveKey(3));
  const sequences: TrainingSequence[] = [];
  for (let left = stepTokens, i = 0; left > PROMPT; i++) {
    const reply = replies[i];
    const room = Math.min(left, CONTEXT) - promptIds.length;
    const ids = reply?.ids.slice(0, room) ?? Array.from({ length: Math.min(room, 32) }, () => random.below(vocabSize));
    if (ids.length === 0) break;
    sequences.push({
      ids: [...promptIds, ...ids],
      mask: [...promptIds.map(() => 0), ...ids.map(() => 1)],
      oldLogprobs: [...promptIds.map(() => 0), ...(reply?.logprobs.slice(0, ids.length) ?? ids.map(() => -10.8))],
      advantage: i % 2 === 0 ? 1 : -1,
    });
    left -= promptIds.length + ids.length;
  }
  return sequences;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
