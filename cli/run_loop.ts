/**
 * @file A run brought to its end, whatever happens on the way. A lost device is replaced and the run goes on from its last
 * snapshot; any other error ends it, and what it had learned by then is kept.
 */
import type { Environment } from '../src/envs';
import { DeviceLostError } from '../src/kernels';
import type { Gpu } from '../src/kernels';
import { StorageFullError } from '../src/model';
import { Diagnostician, Run, metricOf, modelFolderOf } from '../src/rl';
import type {
  Diagnosis,
  Metric,
  ModelSources,
  Recovered,
  RunEvent,
  RunSnapshot,
  RunStore,
  TrainConfig,
} from '../src/rl';

/** Times a lost device is replaced before giving up. */
const MAX_RECOVERIES = 3;

export interface RunLoopOptions {
  config: TrainConfig;
  /** Called for the first device, and again for every one that is lost. */
  acquire: () => Promise<Gpu>;
  sources: ModelSources;
  /** One of your own; by default the library's that config.env names. */
  environment?: Environment | undefined;
  /** Where the run is kept; without one it lives in memory. */
  store?: RunStore | undefined;
  /** Go on from here: what the store was opened at. */
  resume?: RunSnapshot | undefined;
  /** What happened up to `resume`, for the diagnosis. */
  earlier?: readonly Metric[] | undefined;
  /** Ends the run now; what it threw on the way becomes the outcome's error. */
  signal?: AbortSignal | undefined;
  onMetric?: ((metric: Metric) => void) | undefined;
  /** Called once the run is over, while its device is still there. */
  onDone?: ((gpu: Gpu) => Promise<void>) | undefined;
}

export interface Outcome {
  /** What ended the run before its end, if anything did. */
  error: Error | undefined;
  /** GRPO steps that the model has behind it. */
  step: number;
  /** The model as a Hugging Face folder; undefined when the device took with it all there was. */
  model: Map<string, Uint8Array<ArrayBuffer>> | undefined;
  /** What happened up to that step, from the resume on: each step once, though it may have been computed twice. */
  metrics: Metric[];
}

/**
 * Runs to the end, to the first error that no new device mends, or to the signal.
 * @throws only what stands in the way of a start: no adapter, no checkpoint, no memory, no room for checkpoints
 */
export async function runToEnd(options: RunLoopOptions): Promise<Outcome> {
  const { config, acquire, sources, environment, store, signal, onMetric } = options;
  let gpu = await acquire();
  let run = await Run.create(gpu, config, sources, environment);
  await store?.requireSpace(run.policy.trainable.parameterCount);
  const modelAt = modelFolderOf(run.policy);
  let snapshot = options.resume;
  let metrics: Metric[] = [];
  const diagnostician = new Diagnostician(config, { metrics: run.env.rubric.metricNames });
  options.earlier?.forEach((metric) => diagnostician.observe(metric));
  /** How many of them the snapshot knows of; at first, the start. */
  let known = 1;
  const record = async (event: RunEvent | Recovered | Diagnosis) => {
    await store?.record(event);
    const metric = metricOf(event);
    metrics.push(metric);
    onMetric?.(metric);
    for (const diagnosis of diagnostician.observe(metric)) await record(diagnosis);
  };
  /** Forgets what came after the snapshot; without one, everything. */
  const goBack = async () => {
    metrics = metrics.slice(0, known);
    diagnostician.goBack(snapshot?.step ?? -1);
    await store?.goBack();
  };
  const onSnapshot = async (latest: RunSnapshot) => {
    gpu.check(); // what a lost device had a part in did not happen
    await store?.checkpoint(latest, modelAt(latest));
    snapshot = latest;
    known = metrics.length;
  };

  let error: Error | undefined;
  for (let losses = 1; ; losses++) {
    let lost: DeviceLostError;
    try {
      for await (const event of run.events({ signal, resume: snapshot, onSnapshot })) {
        gpu.check();
        if (event.event === 'start' && losses > 1) continue;
        await record(event);
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
    await goBack();
    await record({ event: 'recovered', step: snapshot?.step ?? 0, message: lost.message });
  }

  if (error) for (const diagnosis of diagnostician.fail(error)) await record(diagnosis);

  let model: Outcome['model'];
  try {
    model = await run.policy.export();
  } catch {
    // The device is gone for good, and with it what came after the snapshot.
    await goBack();
    model = snapshot && modelAt(snapshot);
  }
  const first = options.resume?.step ?? 0;
  const step = metrics.reduce((last, metric) => (metric.event === 'step' ? metric.step : last), first);
  await options.onDone?.(gpu).catch((caught: unknown) => (error ??= errorOf(caught)));
  run.destroy();
  gpu.destroy();
  if (model && !(error instanceof StorageFullError)) {
    await store?.finish(model).catch((caught: unknown) => (error ??= errorOf(caught)));
  }
  return { error, step, model, metrics };
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
