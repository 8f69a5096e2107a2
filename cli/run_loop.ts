/**
 * @file A run brought to its end, whatever happens on the way. A lost device is replaced and the run goes on from its last
 * snapshot; any other error ends it, and what it had learned by then is kept.
 */
import type { Environment } from '../src/envs';
import { DeviceLostError } from '../src/kernels';
import type { Gpu } from '../src/kernels';
import { formatCheckpoint } from '../src/model';
import { Diagnostician, Run } from '../src/rl';
import type { Diagnosis, ModelSources, RunEvent, RunSnapshot, TrainConfig } from '../src/rl';

/** Times a lost device is replaced before giving up. */
const MAX_RECOVERIES = 3;

type StepEvent = Extract<RunEvent, { event: 'step' }>;

/** One line of the metrics: an event without its rollouts, or the note that steps were taken back. */
export type Metric =
  | Exclude<RunEvent, StepEvent>
  | Omit<StepEvent, 'groups_detail'>
  /** Why it does not learn, and when that is over. */
  | Diagnosis
  /** The device was lost: the run went on from this step, and what came after it comes again. */
  | { event: 'recovered'; step: number; message: string };

export interface RunLoopOptions {
  config: TrainConfig;
  /** Called for the first device, and again for every one that is lost. */
  acquire: () => Promise<Gpu>;
  sources: ModelSources;
  /** One of your own; by default the library's that config.env names. */
  environment?: Environment | undefined;
  /** Ends the run now; what it threw on the way becomes the outcome's error. */
  signal?: AbortSignal | undefined;
  onMetric?: ((metric: Metric) => void) | undefined;
}

export interface Outcome {
  /** What ended the run before its end, if anything did. */
  error: Error | undefined;
  /** GRPO steps that the model has behind it. */
  step: number;
  /** The model as a Hugging Face folder; undefined when the device took with it all there was. */
  model: Map<string, Uint8Array<ArrayBuffer>> | undefined;
  /** What happened up to that step: each step once, though it may have been computed twice. */
  metrics: Metric[];
}

/**
 * Runs to the end, to the first error that no new device mends, or to the signal.
 * @throws only what stands in the way of a start: no adapter, no checkpoint, no memory
 */
export async function runToEnd(options: RunLoopOptions): Promise<Outcome> {
  const { config, acquire, sources, environment, signal, onMetric } = options;
  let gpu = await acquire();
  let run = await Run.create(gpu, config, sources, environment);
  const kept = await run.policy.export(); // all but the weights stays as it is: of use when the device is gone
  let snapshot: RunSnapshot | undefined;
  let metrics: Metric[] = [];
  const diagnostician = new Diagnostician(config, { metrics: run.env.rubric.metricNames });
  const record = (metric: Metric) => {
    metrics.push(metric);
    onMetric?.(metric);
    diagnostician.observe(metric).forEach(record);
  };
  /** Forgets what came after the snapshot; without one, everything. */
  const goBack = () => {
    const last = snapshot?.step ?? -1;
    metrics = metrics.filter((metric) => !undoneAfter(metric, last));
    diagnostician.goBack(last);
  };

  let error: Error | undefined;
  for (let losses = 1; ; losses++) {
    let lost: DeviceLostError;
    try {
      const onSnapshot = (latest: RunSnapshot) => void (snapshot = latest);
      for await (const event of run.events({ signal, resume: snapshot, onSnapshot })) {
        gpu.check(); // what a lost device had a part in did not happen
        if (event.event === 'start' && losses > 1) continue;
        record(event.event === 'step' ? withoutRollouts(event) : event);
      }
      break;
    } catch (caught) {
      error = errorOf(caught);
      if (!(caught instanceof DeviceLostError) || signal?.aborted || losses > MAX_RECOVERIES) break;
      lost = caught;
    }
    gpu.destroy();
    try {
      gpu = await acquire();
      run = await Run.create(gpu, config, sources, environment);
    } catch (cause) {
      lost.message += `; no other could be had: ${errorOf(cause).message}`;
      break;
    }
    error = undefined;
    goBack();
    record({ event: 'recovered', step: snapshot?.step ?? 0, message: lost.message });
  }

  if (error) diagnostician.fail(error).forEach(record);

  let model: Outcome['model'];
  try {
    model = await run.policy.export();
  } catch {
    // The device is gone for good, and with it what came after the snapshot.
    goBack();
    const { policy } = run;
    const tensors = snapshot && policy.weights.split(snapshot.arrays.parameters!);
    if (tensors) model = new Map([...kept, ...formatCheckpoint(policy.config, tensors)]);
  }
  const step = metrics.reduce((last, metric) => (metric.event === 'step' ? metric.step : last), 0);
  run.destroy();
  gpu.destroy();
  return { error, step, model, metrics };
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Rollouts are not part of the metrics. */
function withoutRollouts({ groups_detail: _, ...step }: StepEvent): Metric {
  return step;
}

/** Whether the metric is of a time after that step; -1 stands for the start of the run, warm-up included. */
function undoneAfter(metric: Metric, last: number): boolean {
  if (metric.event === 'step' || metric.event === 'eval' || metric.event === 'diagnosis') return metric.step > last;
  return last < 0 && metric.event === 'sft';
}
