/**
 * @file Takes a profile: every dispatch gets a pass of its own with a timestamp at its begin and its end. The passes cost a
 * few microseconds each, and browsers round timestamps to some 65 or 100 microseconds: times of short kernels are right
 * only in the mean over many dispatches.
 */
import type { Gpu } from './gpu';
import { BASE_MATMUL } from './matmul';
import { MatmulTrial } from './matmul_trial';
import type { Ceilings, DispatchInfo, DispatchWatcher, KernelProfile, Profile, RunningProfile } from './profile';

/** What WebGPU allows in one set; two for each dispatch. */
const QUERIES = 4096;
const QUERY_BYTES = 8;
const RESOLVE_USAGE = 0x200 | 0x4; // QUERY_RESOLVE | COPY_SRC
const STAGING_USAGE = 0x1 | 0x8; // MAP_READ | COPY_DST
const COPY_USAGE = 0x4 | 0x8; // COPY_SRC | COPY_DST
const NANOSECOND = 1e-9;

/** The timestamps of up to QUERIES / 2 dispatches, and where they are read. */
interface Times {
  set: GPUQuerySet;
  resolved: GPUBuffer;
  staging: GPUBuffer;
}

export class Profiler implements DispatchWatcher, RunningProfile {
  readonly #kernels = new Map<string, KernelProfile>();
  readonly #timed: boolean;
  readonly #started = performance.now();
  readonly #clock: ReturnType<Gpu['clock']>;
  readonly #submitsBefore: number;
  #encodeMs = 0;
  /** What is encoded and not submitted yet: the kernels of its dispatches, and their times. */
  readonly #open = new Map<GPUCommandEncoder, { kernels: KernelProfile[]; times: Times[] }>();
  readonly #free: Times[] = [];
  readonly #all: Times[] = [];
  readonly #reading = new Set<Promise<void>>();

  private constructor(private readonly gpu: Gpu) {
    this.#timed = gpu.device.features.has('timestamp-query');
    this.#clock = gpu.clock();
    this.#submitsBefore = gpu.stats.submits;
  }

  /** @throws Error when a profile of this device is being taken already */
  static start(gpu: Gpu): Profiler {
    if (gpu.profiler) throw new Error('a profile of this device is being taken already');
    const profiler = new Profiler(gpu);
    gpu.profiler = profiler;
    return profiler;
  }

  dispatch(
    encoder: GPUCommandEncoder,
    { name, bytes, flops }: DispatchInfo,
  ): GPUComputePassTimestampWrites | undefined {
    let kernel = this.#kernels.get(name);
    if (!kernel) {
      kernel = { name, dispatches: 0, bytes: 0, flops: 0, seconds: this.#timed ? 0 : undefined };
      this.#kernels.set(name, kernel);
    }
    kernel.dispatches++;
    kernel.bytes += bytes;
    kernel.flops += flops;
    if (!this.#timed) return undefined;
    let open = this.#open.get(encoder);
    if (!open) this.#open.set(encoder, (open = { kernels: [], times: [] }));
    const index = (2 * open.kernels.length) % QUERIES;
    if (index === 0) open.times.push(this.#take());
    open.kernels.push(kernel);
    return {
      querySet: open.times.at(-1)!.set,
      beginningOfPassWriteIndex: index,
      endOfPassWriteIndex: index + 1,
    };
  }

  finish(encoder: GPUCommandEncoder): () => void {
    const open = this.#open.get(encoder);
    this.#open.delete(encoder);
    if (!open) return () => undefined;
    const parts = open.times.map((times, i) => {
      const kernels = open.kernels.slice((i * QUERIES) / 2, ((i + 1) * QUERIES) / 2);
      const queries = 2 * kernels.length;
      encoder.resolveQuerySet(times.set, 0, queries, times.resolved, 0);
      encoder.copyBufferToBuffer(times.resolved, 0, times.staging, 0, queries * QUERY_BYTES);
      return { times, kernels };
    });
    return () => {
      for (const { times, kernels } of parts) {
        const reading = this.#read(times, kernels).finally(() => this.#reading.delete(reading));
        reading.catch(() => undefined); // a lost device: `stop` says so
        this.#reading.add(reading);
      }
    };
  }

  encoded(ms: number): void {
    this.#encodeMs += ms;
  }

  async stop(): Promise<Profile> {
    const { gpu } = this;
    await gpu.idle();
    const { busySeconds } = this.#clock.lap();
    const seconds = (performance.now() - this.#started) / 1000;
    const submits = gpu.stats.submits - this.#submitsBefore;
    await this.cancel();
    const kernels = [...this.#kernels.values()].sort(
      (a, b) => (b.seconds ?? 0) - (a.seconds ?? 0) || b.bytes - a.bytes,
    );
    return {
      adapter: gpu.adapterName,
      seconds,
      busySeconds,
      encodeSeconds: this.#encodeMs / 1000,
      submits,
      dispatches: kernels.reduce((sum, { dispatches }) => sum + dispatches, 0),
      ceilings: await measureCeilings(gpu),
      kernels,
    };
  }

  async cancel(): Promise<void> {
    const { gpu } = this;
    gpu.profiler = undefined;
    await Promise.all(this.#reading);
    for (const { set, resolved, staging } of this.#all.splice(0)) {
      set.destroy();
      gpu.destroyBuffer(resolved);
      gpu.destroyBuffer(staging);
    }
  }

  #take(): Times {
    const free = this.#free.pop();
    if (free) return free;
    const { gpu } = this;
    const bytes = QUERIES * QUERY_BYTES;
    const times = {
      set: gpu.device.createQuerySet({ label: 'profile', type: 'timestamp', count: QUERIES }),
      resolved: gpu.createBuffer('profile', bytes, RESOLVE_USAGE),
      staging: gpu.createBuffer('profile staging', bytes, STAGING_USAGE),
    };
    this.#all.push(times);
    return times;
  }

  async #read(times: Times, kernels: readonly KernelProfile[]): Promise<void> {
    const bytes = 2 * kernels.length * QUERY_BYTES;
    await this.gpu.race(times.staging.mapAsync(1, 0, bytes));
    const stamps = new BigUint64Array(times.staging.getMappedRange(0, bytes));
    kernels.forEach((kernel, i) => {
      // Where clocks step back (they may), a dispatch took no time.
      const [begin, end] = [stamps[2 * i]!, stamps[2 * i + 1]!];
      if (end > begin) kernel.seconds! += Number(end - begin) * NANOSECOND;
    });
    times.staging.unmap();
    this.#free.push(times);
  }
}

/** Seconds that a ceiling is measured for, at least. */
const CEILING_SECONDS = 0.05;
/** A product that takes less does not fill the adapter. */
const SHORT_SECONDS = 0.01;
const COPY_BYTES = 2 ** 24;

/** Runs `work` more and more often until it takes long enough. @returns seconds of one */
async function secondsOf(work: (repeats: number) => Promise<number>): Promise<number> {
  await work(1);
  for (let repeats = 1; ; repeats *= 2) {
    const seconds = await work(repeats);
    if (seconds >= CEILING_SECONDS || repeats >= 1024) return seconds / repeats;
  }
}

/** What this adapter can do at best: a copy of 16 MiB, and a product of square matrices. */
export async function measureCeilings(gpu: Gpu): Promise<Ceilings> {
  const [source, target] = await gpu.guarded('a profile measures the adapter', () =>
    ['from', 'to'].map((name) => gpu.createBuffer(`ceiling ${name}`, COPY_BYTES, COPY_USAGE)),
  );
  const copySeconds = await secondsOf(async (repeats) => {
    await gpu.idle();
    const started = performance.now();
    const encoder = gpu.device.createCommandEncoder({ label: 'ceiling' });
    for (let i = 0; i < repeats; i++) encoder.copyBufferToBuffer(source!, 0, target!, 0, COPY_BYTES);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.idle();
    return (performance.now() - started) / 1000;
  });
  gpu.destroyBuffer(source!);
  gpu.destroyBuffer(target!);
  return { bytesPerSecond: (2 * COPY_BYTES) / copySeconds, flopsPerSecond: await matmulRate(gpu) };
}

/** Of a product of square matrices: of 512 rows, or of 1,024 where that is over before it says anything. */
async function matmulRate(gpu: Gpu): Promise<number> {
  const rateAt = async (size: number) => {
    const problem = { layout: 'NN', storage: 'f32', aligned: true, m: size, n: size, k: size, few: false } as const;
    const [choice] = (await gpu.tuner?.matmul(problem)) ?? [];
    const variant = choice?.variant ?? BASE_MATMUL;
    const trial = await MatmulTrial.large(gpu, problem, size);
    const compiled = await trial.compile(variant);
    const seconds = await secondsOf(async (repeats) => (await trial.time(compiled, variant, repeats)) / 1000);
    trial.destroy();
    return { seconds, rate: (2 * size ** 3) / seconds };
  };
  const small = await rateAt(512);
  return small.seconds > SHORT_SECONDS ? small.rate : (await rateAt(1024)).rate;
}
