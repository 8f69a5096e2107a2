/**
 * @file `steady.mjs`: whether a long run stays as it began. The same optimizer step a thousand times, at learning rate 0 on
 * fixed sequences; CPU time of the whole process per step, the JavaScript heap, and what lives on the GPU. Prints JSON.
 * Usage: node steady.mjs [--steps 1000] [--sequences 24] [--tokens 24]
 */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { acquireNodeGpu } from '../../cli/dawn';
import type { TrainingSequence } from '../../src/model';
import { Random, deriveKey } from '../../src/random';
import { Run, lossSettings, resolveConfig } from '../../src/rl';

/** Steps that a median is taken over. */
const WINDOW = 100;

/** Steps before the first that counts: by then everything is made, and the code is compiled. */
const WARM_UP = 50;

/** How far the end's CPU time may be from the beginning's. */
const TOLERANCE = 0.02;

/** More than the compiler's own notes take while it still optimises; less than anything that a step could leave behind. */
const HEAP_BYTES_PER_STEP = 1024;

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '1000' },
    sequences: { type: 'string', default: '24' },
    tokens: { type: 'string', default: '24' },
  },
});
const steps = Number(values.steps);
if (!(steps >= 2 * WINDOW)) throw new RangeError(`--steps ${values.steps}: at least ${2 * WINDOW}`);

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

const gpu = await acquireNodeGpu();
const { policy, memory } = await Run.create(gpu, resolveConfig({ env: 'reverse-text', start: 'scratch' }));
const sequences = fixedSequences(Number(values.sequences), Number(values.tokens), policy.config.vocabSize);
const objective = {
  loss: 'prime' as const,
  settings: lossSettings('prime'),
  temperature: 1,
  sequences: sequences.length,
  maxCompletionLength: 16,
};

/** What must not grow, after a garbage collection. */
function holdings() {
  collect();
  const { buffers, bindGroups, pipelines } = gpu.stats;
  return { heapBytes: process.memoryUsage().heapUsed, gpuBytes: gpu.liveBytes, buffers, bindGroups, pipelines };
}

for (let step = 0; step < WARM_UP; step++) await policy.update(sequences, objective, 0);
const weights = await policy.hash();
const cpu: number[] = [];
const wall: number[] = [];
const before = holdings();
const heap = [before.heapBytes];
for (let step = 0; step < steps; step++) {
  const [cpuBegin, wallBegin] = [process.cpuUsage(), performance.now()];
  await policy.update(sequences, objective, 0);
  const { user, system } = process.cpuUsage(cpuBegin);
  cpu.push((user + system) / 1000);
  wall.push(performance.now() - wallBegin);
  if ((step + 1) % WINDOW === 0) heap.push(holdings().heapBytes);
}
const after = holdings();

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2;
}

/** Medians of the first and the last hundred. */
function ends(numbers: readonly number[]) {
  const [first, last] = [median(numbers.slice(0, WINDOW)), median(numbers.slice(-WINDOW))];
  return { first, last, change: last / first - 1 };
}

const cpuMs = ends(cpu);
const unchanged = (await policy.hash()) === weights;
const heapPerStep = (after.heapBytes - before.heapBytes) / steps;
const made = after.buffers + after.bindGroups + after.pipelines - before.buffers - before.bindGroups - before.pipelines;
const checks = {
  'CPU time within 2%': Math.abs(cpuMs.change) <= TOLERANCE,
  'less than 1 KiB of heap a step': heapPerStep < HEAP_BYTES_PER_STEP,
  'no byte more on the GPU': after.gpuBytes === before.gpuBytes,
  'no object made': made === 0,
  'weights unchanged at rate 0': unchanged,
};
const tokens = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
const report = {
  adapter: gpu.adapterName,
  steps,
  tokens,
  cpuMs,
  wallMs: ends(wall),
  heap,
  heapPerStep,
  before,
  after,
  memory,
  checks,
};
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
process.exit(Object.values(checks).every(Boolean) ? 0 : 1);

function fixedSequences(count: number, length: number, vocabulary: number): TrainingSequence[] {
  const random = new Random(deriveKey(1));
  return Array.from({ length: count }, () => ({
    ids: Array.from({ length }, () => random.below(vocabulary)),
    mask: Array.from({ length }, (_, i) => Number(i > length / 2)),
    oldLogprobs: Array.from({ length }, () => -4 - random.next()),
    advantage: random.normal(),
  }));
}
