/** @file A run that computes nothing: events and snapshots as a trainer would hand them to the store. */
import type { EvalResult, Files, Group, RunEvent, RunSnapshot } from '../../../src/rl';
import { MemoryStorage, RunStore, resolveConfig } from '../../../src/rl';

export const CONFIG = resolveConfig({ env: 'even-digits', grpo: { steps: 4 }, checkpoint: { interval: 1 } });

const bytes = (content: string) => new TextEncoder().encode(content);

/** Not a model, but files of one. */
export const MODEL: Files = new Map([
  ['config.json', bytes('{"model_type": "qwen3"}\n')],
  ['model.safetensors', bytes('weights')],
  ['tokenizer.json', bytes('{}\n')],
  ['chat_template.jinja', bytes('{{ messages }}')],
]);

export function started(): RunEvent {
  const run = { env: 'even-digits', seed: 1, adapter: 'a GPU', parameters: 4, start: 'scratch' };
  return { event: 'start', ...run } as RunEvent;
}

export function evaluated(step: number, t1: number): RunEvent {
  const result: EvalResult = { t1, greedy: 1, examples: 4, metrics: {}, errors: 0 };
  return { event: 'eval', when: step === 0 ? 'before' : 'during', step, result };
}

export function stepped(step: number): RunEvent {
  const traces = [{ rollout: 0 }, { rollout: 1 }] as Group['traces'];
  const groups = [{ exampleId: 0, draw: 0, traces }];
  const reward = { mean: step / 10, std: 0, min: 0, max: 1 };
  return { event: 'step', step, reward, groups_detail: groups } as unknown as RunEvent;
}

export function ended(): RunEvent {
  const { result } = evaluated(4, 1) as { result: EvalResult };
  return {
    event: 'done',
    weights_sha256: 'ab'.repeat(32),
    eval_before: result,
    eval_after: result,
    steps: 4,
    seconds: 1,
  };
}

/** Values that a careless writer would change: NaN with a payload, -0, the smallest number. */
export function snapshot(step: number): RunSnapshot {
  const parameters = new Float32Array(new Uint32Array([0x7fc00123, 0x80000000, 1, 0x3f800000 + step]).buffer);
  const state = {
    warmUp: null,
    optimizerStep: step,
    evalBefore: null,
    evalLast: null,
    seconds: step / 3,
  } as RunSnapshot['state'];
  return { step, arrays: { parameters, exp_avg: Float32Array.of(step, 2) }, state };
}

interface Play {
  steps: number;
  /** Evals at temperature 1; by default 0.5 at every second step. */
  scores?: Record<number, number>;
  keep_last?: number;
  keep_best?: boolean;
  checkpoints?: boolean;
  storage?: MemoryStorage;
}

/** Plays a run up to a step, with a checkpoint at every step. */
export async function play({
  steps,
  scores = { 0: 0.5, 2: 0.5, 4: 0.5 },
  keep_last = 2,
  keep_best = true,
  checkpoints = true,
  storage = new MemoryStorage(),
}: Play): Promise<{ storage: MemoryStorage; store: RunStore }> {
  const config = { ...CONFIG, checkpoint: { ...CONFIG.checkpoint, keep_last, keep_best } };
  const store = await RunStore.create(storage, config);
  await store.record(started());
  for (let step = 0; step <= steps; step++) {
    if (step > 0) await store.record(stepped(step));
    const score = scores[step];
    if (score !== undefined) await store.record(evaluated(step, score));
    if (checkpoints) await store.checkpoint(snapshot(step), MODEL);
  }
  return { storage, store };
}

/** A file's text. */
export async function text(storage: MemoryStorage, path: string): Promise<string> {
  return new TextDecoder().decode(await storage.read(path));
}
