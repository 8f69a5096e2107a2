/**
 * @file How a run lies in its folder.
 *
 *     run.json                      what it is: settings, versions, adapter, parent (about.ts)
 *     metrics.jsonl                 one event per line, every step once (metrics.ts)
 *     traces/step-000001.jsonl      the rollouts of a step, one per line
 *     evals/step-000005.json        the result of an eval
 *     checkpoints/step-000005/      a Hugging Face model folder, the trainer's state, and manifest.json, written last
 *     config.json, model.safetensors, tokenizer.json, ...    the model as it was when the run ended
 *
 * A run with LoRA has PEFT's folders in their place: adapter_config.json, adapter_model.safetensors, and the tokenizer.
 */
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from '../../model';

/** Version of Terrarium: package.json's. */
export const VERSION = '0.1.0';

/** Number of this layout. A run of another number is not read. */
export const RUN_FORMAT = 1;

export const ABOUT = 'run.json';
export const METRICS = 'metrics.jsonl';
export const MANIFEST = 'manifest.json';
export const CHECKPOINTS = 'checkpoints';
export const TRACES = 'traces';
export const EVALS = 'evals';

/** Trainer's state beside the model's files in a checkpoint. */
export const STATE_ARRAYS = 'trainer_state.safetensors';
export const STATE_JSON = 'trainer_state.json';

/** Files of a model folder, and of an adapter's: its configuration makes it one and is written last. */
export const MODEL_CONFIGS = ['config.json', ADAPTER_CONFIG];
export const MODEL_WEIGHTS = ['model.safetensors', ADAPTER_WEIGHTS];

/** `step-000005` */
export function stepName(step: number): string {
  return `step-${String(step).padStart(6, '0')}`;
}

export const tracesPath = (step: number) => `${TRACES}/${stepName(step)}.jsonl`;
export const evalPath = (step: number) => `${EVALS}/${stepName(step)}.json`;

const STEP_FILE = /^(?:traces\/step-(\d{6,})\.jsonl|evals\/step-(\d{6,})\.json)$/;

/** Step that a file of traces or of an eval belongs to; undefined for any other file. */
export function stepOfFile(path: string): number | undefined {
  const match = STEP_FILE.exec(path);
  return match ? Number(match[1] ?? match[2]) : undefined;
}

/**
 * Name of a checkpoint. A step that is saved again (the warm-up's step 0, above all) gets a revision, so that what was there
 * stays until the new one is whole.
 */
export interface CheckpointName {
  step: number;
  revision: number;
}

const CHECKPOINT = /^step-(\d{6,})(?:\.(\d+))?$/;

/** `step-000005`, later `step-000005.1` */
export function checkpointName({ step, revision }: CheckpointName): string {
  return revision === 0 ? stepName(step) : `${stepName(step)}.${revision}`;
}

/** The reverse; undefined for any other name. */
export function parseCheckpointName(name: string): CheckpointName | undefined {
  const match = CHECKPOINT.exec(name);
  return match ? { step: Number(match[1]), revision: Number(match[2] ?? 0) } : undefined;
}

/** Of the run's own folder; run.json looks the same. */
const MODEL_FILE = /^\w[\w-]*(\.\w+)*\.(json|jinja|safetensors)$/;

/** Whether a run has a file of this path. */
export function belongsToRun(path: string): boolean {
  if (path === METRICS || stepOfFile(path) !== undefined || MODEL_FILE.test(path)) return true;
  const [folder, name, file, ...deeper] = path.split('/');
  if (folder !== CHECKPOINTS || !name || !file || deeper.length > 0) return false;
  return parseCheckpointName(name) !== undefined && isPlainName(file);
}

/** A file's name without any path in it. */
export function isPlainName(name: string): boolean {
  return /^\w[\w.-]*$/.test(name);
}

export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** @throws TypeError when the bytes are not UTF-8 */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}
