/**
 * @file A fork: a new run that goes on from a checkpoint of another, with other settings. It has the metrics of its parent up
 * to there; the rollouts stay with the parent.
 */
import { ConfigError, resolveConfig } from '../config';
import type { ConfigLayer } from '../config';
import { newAbout, readAbout, writeAbout } from './about';
import type { RunAbout } from './about';
import { lastGoodCheckpoint, listCheckpoints, loadCheckpointOf, writeFiles } from './checkpoints';
import { MANIFEST, METRICS, evalPath, parseCheckpointName, stepName } from './layout';
import { checkSteps, readMetrics } from './metrics';
import { DamagedRunError } from './storage';
import type { RunStorage } from './storage';

/** Settings that a checkpoint has behind it: another value could have no effect, or none that makes sense. */
const SETTLED = ['env', 'start', 'method', 'lora', 'model', 'sft'];

/**
 * @param source the parent; it is only read
 * @param target an empty place
 * @param options.parentName what the child calls its parent
 * @param options.step of the checkpoint; by default the newest one that is whole
 * @param options.layers settings over the parent's
 * @throws ConfigError, RunFolderError, DamagedRunError
 */
export async function forkRun(
  source: RunStorage,
  target: RunStorage,
  { parentName, step, layers }: { parentName: string; step?: number | undefined; layers: readonly ConfigLayer[] },
): Promise<RunAbout> {
  const parent = await readAbout(source);
  const settled = layers.flatMap((layer) => SETTLED.filter((key) => key in layer));
  if (settled.length > 0) {
    throw new ConfigError(
      `${settled.join(', ')}: a fork goes on with what its parent has learned and cannot change this`,
    );
  }
  const config = resolveConfig(parent.config, ...layers);
  const checkpoint = await chooseCheckpoint(source, step);
  const { snapshot, metricsBytes } = checkpoint;
  if (snapshot.step >= config.grpo.steps) {
    throw new ConfigError(
      `grpo.steps ${config.grpo.steps}: the checkpoint is of step ${snapshot.step} already; set more steps`,
    );
  }
  const metrics = await readMetrics(source, metricsBytes);
  checkSteps(metrics, snapshot.step, source.name);

  const unlock = await target.lock();
  try {
    const written = (await source.read(METRICS))!.slice(0, metricsBytes);
    await target.write(METRICS, written);
    for (const metric of metrics) {
      if (metric.event !== 'eval') continue;
      const bytes = await source.read(evalPath(metric.step));
      if (bytes) await target.write(evalPath(metric.step), bytes);
    }
    const files = new Map(checkpoint.files);
    files.delete(MANIFEST);
    await writeFiles(target, stepName(snapshot.step), files);
    const { adapter } = parent;
    const about = newAbout(config, { adapter, parent: { run: parentName, step: snapshot.step } });
    about.environment = parent.environment;
    await writeAbout(target, about); // last: from now on it is a run
    return about;
  } catch (error) {
    await target.remove('');
    throw error;
  } finally {
    await unlock();
  }
}

async function chooseCheckpoint(source: RunStorage, step: number | undefined) {
  const names = await listCheckpoints(source);
  const steps = [...new Set(names.map((name) => parseCheckpointName(name)!.step))];
  if (step !== undefined) {
    const name = names.findLast((each) => parseCheckpointName(each)!.step === step);
    if (name) return loadCheckpointOf(source, name);
    throw new DamagedRunError(
      `${source.name} has no checkpoint of step ${step}; it has ${steps.length > 0 ? steps.join(', ') : 'none'}`,
    );
  }
  const { checkpoint } = await lastGoodCheckpoint(source);
  if (checkpoint) return checkpoint;
  throw new DamagedRunError(`${source.name} has no checkpoint yet: there is nothing to fork from`);
}
