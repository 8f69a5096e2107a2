/**
 * @file `overlap.mjs`: how much of the time that an environment makes the trainer wait is hidden by sampling one step ahead.
 * wiki-search-mini with tools that take 200 ms: the same run at async level 0 and 1, with and without that latency, taken in
 * turns so that a busy machine disturbs all four alike.
 * Usage: node overlap.mjs [--starter starters/wiki-search-mini] [--steps 24] [--seeds 1,2,3] [--latency 200]
 */
import { parseArgs } from 'node:util';
import { acquireNodeGpu } from '../cli/dawn';
import { diskFolder } from '../cli/files';
import { Run, resolveConfig } from '../src/rl';

const { values } = parseArgs({
  options: {
    starter: { type: 'string', default: 'starters/wiki-search-mini' },
    steps: { type: 'string', default: '24' },
    seeds: { type: 'string', default: '1,2,3' },
    latency: { type: 'string', default: '200' },
  },
});
const steps = Number(values.steps);
const latency = Number(values.latency);
const gpu = await acquireNodeGpu();

/** Seconds per step, the GPU's idle seconds in them, and the final eval. */
async function measure(seed: number, level: number, latencyMs: number) {
  const config = resolveConfig({
    env: 'wiki-search-mini',
    start: values.starter,
    seed,
    env_args: { latency_ms: latencyMs },
    grpo: { steps, async_level: level },
    eval: { interval: 0, examples: level === 0 && latencyMs === 0 ? 1 : 400 },
  });
  const run = await Run.create(gpu, config, {
    starter: () => Promise.resolve(undefined),
    folder: (path) => Promise.resolve(diskFolder(path)),
  });
  let seconds = 0;
  let idle = 0;
  let t1 = 0;
  for await (const event of run.events()) {
    if (event.event === 'step') {
      seconds += event.rolloutSeconds + event.updateSeconds;
      idle += event.idleSeconds;
    }
    if (event.event === 'done') t1 = event.eval_after.t1;
  }
  run.destroy();
  return { seconds: seconds / steps, idle: idle / steps, t1 };
}

await measure(0, 1, 0); // compiles
interface Measured {
  seconds: number;
  idle: number;
  t1: number;
}
const results: { seed: number; fast0: Measured; slow0: Measured; slow1: Measured }[] = [];
for (const seed of values.seeds.split(',').map(Number)) {
  const [fast0, slow0, slow1] = [
    await measure(seed, 0, 0),
    await measure(seed, 0, latency),
    await measure(seed, 1, latency),
  ];
  results.push({ seed, fast0, slow0, slow1 });
  const waiting = slow0.seconds - fast0.seconds;
  const hidden = (slow0.seconds - slow1.seconds) / waiting;
  process.stdout.write(
    `seed ${seed}: level 0 ${slow0.seconds.toFixed(2)} s/step (${waiting.toFixed(2)} s of it waiting for tools, GPU idle ` +
      `${slow0.idle.toFixed(2)} s), level 1 ${slow1.seconds.toFixed(2)} s/step (idle ${slow1.idle.toFixed(2)} s): ` +
      `${(100 * hidden).toFixed(0)}% hidden; T=1 after ${slow0.t1} and ${slow1.t1}\n`,
  );
}
const mean = (pick: (result: (typeof results)[number]) => number) =>
  results.reduce((sum, result) => sum + pick(result), 0) / results.length;
const [waiting, saved] = [
  mean(({ slow0, fast0 }) => slow0.seconds - fast0.seconds),
  mean(({ slow0, slow1 }) => slow0.seconds - slow1.seconds),
];
/** Standard error of the difference of two means over the seeds, from the spread of each. */
const spread = (pick: (result: (typeof results)[number]) => number) => {
  const centre = mean(pick);
  return results.reduce((sum, result) => sum + (pick(result) - centre) ** 2, 0) / Math.max(1, results.length - 1);
};
const error = Math.sqrt((spread(({ slow0 }) => slow0.t1) + spread(({ slow1 }) => slow1.t1)) / results.length);
process.stdout.write(
  `${gpu.adapterName}\n` +
    `hidden: ${((100 * saved) / waiting).toFixed(0)}% of ${waiting.toFixed(2)} s a step\n` +
    `T=1 after: level 0 ${mean(({ slow0 }) => slow0.t1).toFixed(4)}, level 1 ${mean(({ slow1 }) => slow1.t1).toFixed(4)}, ` +
    `two standard errors of the difference ${(2 * error).toFixed(4)}\n`,
);
process.exit(0);
