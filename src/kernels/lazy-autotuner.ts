/**
 * @file Chooses kernels for matrix products by measuring them on the device at hand, once per class of sizes, within a
 * budget of time. What was chosen is kept between sessions where there is a cache.
 *
 * No variant is used before its bits equalled the base kernel's on this device: drivers do miscompile. One that differs or
 * does not compile is left out, and `problems` says so. On software adapters, which take long to compile the base kernel
 * and would not use it, the few presets (whose bits the tests compare on these very adapters) are checked against float64.
 */
import { GpuMemoryError } from './errors';
import type { CompiledKernel, Gpu } from './gpu';
import { BASE_MATMUL } from './matmul';
import { MATMUL_VARIANTS, canDo, isPromising, presetFor } from './matmul_variants';
import { MatmulTrial } from './matmul_trial';
import type {
  MatmulChoice,
  MatmulProblem,
  MatmulVariant,
  Tuner,
  TunerCache,
  TunerOptions,
  TuningRecord,
} from './tuner';

const DEFAULT_BUDGET_MS = 2000;

/** Counts of rows up to which a product with few rows gets a kernel of its own. */
const FEW_ROWS = [1, 4, 16, 64];

/** Milliseconds that one measurement should take at least: well above what a clock and a round trip to the GPU blur. */
const MEASURE_MS = 4;
const MOST_REPEATS = 256;
const ROUNDS = 3;
/** A variant that takes this much longer than the best is not measured again. */
const HOPELESS = 1.5;
/** What a variant must gain to be taken: measurements scatter. */
const GAIN = 0.97;

export class Autotuner implements Tuner {
  readonly records: TuningRecord[] = [];
  readonly problems: string[] = [];
  readonly #decided = new Map<string, Promise<MatmulVariant>>();
  readonly #checked = new Map<string, Promise<boolean>>();
  /** One thing at a time: what is measured must be alone on the device. */
  #queue: Promise<unknown> = Promise.resolve();
  #leftMs: number;

  private constructor(
    private readonly gpu: Gpu,
    private readonly cache: TunerCache | undefined,
    private readonly kept: Map<string, string>,
    budgetMs: number,
  ) {
    this.#leftMs = budgetMs;
  }

  /** Reads what the cache has for this adapter. */
  static async create(gpu: Gpu, { budgetMs = DEFAULT_BUDGET_MS, cache }: TunerOptions = {}): Promise<Autotuner> {
    const tuner = new Autotuner(gpu, cache, new Map(), budgetMs);
    try {
      const text = await cache?.read(cacheName(gpu));
      for (const [key, name] of text === undefined ? [] : parseChoices(text)) tuner.kept.set(key, name);
    } catch (error) {
      tuner.problems.push(`cached choices were not read: ${String(error)}`);
    }
    return tuner;
  }

  async matmul(problem: MatmulProblem): Promise<readonly MatmulChoice[]> {
    const bounds = [...(problem.few ? FEW_ROWS.filter((rows) => rows < problem.m) : []), Infinity];
    const variants = await Promise.all(bounds.map((bound) => this.#decide(problem, Math.min(bound, problem.m))));
    const choices = bounds.map((upTo, i) => ({ variant: variants[i]!, upTo }));
    // Neighbours with the same kernel are one.
    return choices.filter(({ variant }, i) => variant !== choices[i + 1]?.variant);
  }

  #decide(problem: MatmulProblem, rows: number): Promise<MatmulVariant> {
    const key = classOf(problem, rows);
    let decided = this.#decided.get(key);
    if (!decided) this.#decided.set(key, (decided = this.#next(() => this.#choose(key, problem, rows))));
    return decided;
  }

  /** Waits for its turn; its time counts against the budget. */
  #next<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(async () => {
      const started = performance.now();
      const result = await work();
      const spent = performance.now() - started;
      this.gpu.stats.tunerMs += spent;
      this.#leftMs -= spent;
      return result;
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #choose(key: string, problem: MatmulProblem, rows: number): Promise<MatmulVariant> {
    const until = performance.now() + this.#leftMs;
    const done = (variant: MatmulVariant, how: TuningRecord['how'], times: TuningRecord['times'] = {}) => {
      this.records.push({ class: key, chosen: variant.name, how, times });
      return variant;
    };
    const preset = presetFor(this.gpu.adapterName, problem, rows);
    if (preset !== undefined) {
      const usable = await this.#isUsable(named(preset)!, problem, problem.storage === 'f32' ? 'float64' : 'base');
      return done(usable ? named(preset)! : BASE_MATMUL, 'preset');
    }
    const cached = named(this.kept.get(key));
    if (cached && (await this.#isUsable(cached, problem))) return done(cached, 'cached');
    const candidates: MatmulVariant[] = [BASE_MATMUL];
    for (const variant of MATMUL_VARIANTS.slice(1)) {
      if (performance.now() > until) return done(BASE_MATMUL, 'out of time');
      if (isPromising(variant, problem, rows) && (await this.#isUsable(variant, problem))) candidates.push(variant);
    }
    let times: Map<MatmulVariant, number> | undefined = new Map();
    try {
      if (candidates.length > 1) times = await this.#measure(candidates, problem, rows, until);
    } catch (error) {
      if (!(error instanceof GpuMemoryError)) throw error;
      this.problems.push(`${key}: ${error.message}: the base kernel is used`);
      return done(BASE_MATMUL, 'out of memory');
    }
    if (!times) return done(BASE_MATMUL, 'out of time');
    const base = times.get(BASE_MATMUL) ?? 0;
    const [best, time] = [...times].reduce((a, b) => (b[1] < a[1] ? b : a), [BASE_MATMUL, base]);
    const chosen = time < GAIN * base ? best : BASE_MATMUL;
    await this.#keep(key, chosen.name);
    return done(chosen, 'measured', Object.fromEntries([...times].map(([{ name }, ms]) => [name, ms])));
  }

  /** Whether a variant compiles here and computes what it should. */
  #isUsable(variant: MatmulVariant, problem: MatmulProblem, against: 'base' | 'float64' = 'base'): Promise<boolean> {
    if (variant === BASE_MATMUL) return Promise.resolve(true);
    if (!canDo(variant, problem, this.gpu.device.features)) return Promise.resolve(false);
    const { layout, storage, aligned } = problem;
    const what = `matmul ${variant.name}, ${layout} ${storage}${aligned ? '' : ' unaligned'}`;
    let checked = this.#checked.get(what);
    if (!checked) this.#checked.set(what, (checked = this.#check(variant, problem, against, what)));
    return checked;
  }

  async #check(
    variant: MatmulVariant,
    problem: MatmulProblem,
    against: 'base' | 'float64',
    what: string,
  ): Promise<boolean> {
    let trial: MatmulTrial | undefined;
    try {
      trial = await MatmulTrial.small(this.gpu, problem);
      const actual = await trial.run(await trial.compile(variant), variant);
      const expected =
        against === 'base' ? await trial.run(await trial.compile(BASE_MATMUL), BASE_MATMUL) : trial.expected();
      const wrong = against === 'base' ? countDifferent(actual, expected) : countFar(actual, expected);
      if (wrong > 0) this.problems.push(`${what}: ${wrong} of ${expected.length} results are wrong: not used`);
      return wrong === 0;
    } catch (error) {
      this.gpu.check(); // the device itself is lost
      this.problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}: not used`);
      return false;
    } finally {
      trial?.destroy();
    }
  }

  /** @returns milliseconds per product; undefined when the time is up before every candidate was measured */
  async #measure(
    candidates: readonly MatmulVariant[],
    problem: MatmulProblem,
    rows: number,
    until: number,
  ): Promise<Map<MatmulVariant, number> | undefined> {
    const trial = await MatmulTrial.large(this.gpu, problem, rows);
    try {
      const compiled = new Map<MatmulVariant, CompiledKernel>();
      for (const variant of candidates) compiled.set(variant, await trial.compile(variant));
      const repeats = await this.#repeats(trial, compiled.get(BASE_MATMUL)!, until);
      const times = new Map<MatmulVariant, number>();
      for (let round = 0; round < ROUNDS; round++) {
        const best = Math.min(...times.values());
        for (const [variant, pipeline] of compiled) {
          if ((times.get(variant) ?? 0) > HOPELESS * best) continue;
          if (performance.now() > until) return round > 0 ? times : undefined;
          // Some drivers finish compiling at the first dispatch.
          if (round === 0) await trial.time(pipeline, variant, 1);
          const ms = (await trial.time(pipeline, variant, repeats)) / repeats;
          times.set(variant, Math.min(ms, times.get(variant) ?? Infinity));
        }
      }
      return times;
    } finally {
      trial.destroy();
    }
  }

  /** How many products of the base kernel take MEASURE_MS. */
  async #repeats(trial: MatmulTrial, base: CompiledKernel, until: number): Promise<number> {
    await trial.time(base, BASE_MATMUL, 1);
    for (let repeats = 1; ;) {
      const ms = await trial.time(base, BASE_MATMUL, repeats);
      if (ms >= MEASURE_MS || repeats >= MOST_REPEATS || performance.now() > until) return repeats;
      const factor = Math.max(2, MEASURE_MS / Math.max(ms, 0.1));
      repeats = Math.min(MOST_REPEATS, Math.ceil(repeats * factor));
    }
  }

  async #keep(key: string, name: string): Promise<void> {
    this.kept.set(key, name);
    try {
      await this.cache?.write(cacheName(this.gpu), JSON.stringify(Object.fromEntries(this.kept)));
    } catch (error) {
      const problem = `choices were not kept: ${String(error)}`;
      if (!this.problems.includes(problem)) this.problems.push(problem);
    }
  }
}

function named(name: string | undefined): MatmulVariant | undefined {
  return MATMUL_VARIANTS.find((variant) => variant.name === name);
}

/** Elements whose bits differ. */
function countDifferent(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [left, right] = [a, b].map((values) => new Uint32Array(Float32Array.from(values).buffer));
  return left!.reduce((sum, word, i) => sum + Number(word !== right![i]), 0);
}

/** Elements that are further from float64's than a float32 sum of that length can be, NaN included. */
function countFar(actual: ArrayLike<number>, expected: Float32Array | Float64Array): number {
  let largest = 0;
  for (const value of expected) largest = Math.max(largest, Math.abs(value));
  let far = 0;
  for (let i = 0; i < expected.length; i++) far += Number(!(Math.abs(actual[i]! - expected[i]!) <= 1e-5 * largest));
  return far;
}

/** Products of one class share a choice: sizes count by their powers of two, and beyond some size no more. */
function classOf({ layout, storage, aligned, n, k }: MatmulProblem, rows: number): string {
  const bucket = (size: number) => 2 ** Math.ceil(Math.log2(Math.max(1, Math.min(size, 8192))));
  return `${layout} ${storage}${aligned ? '' : ' unaligned'} ${bucket(rows)}x${bucket(n)}x${bucket(k)}`;
}

/** One entry per adapter and per state of the kernels: what was measured of others says nothing. */
function cacheName({ adapterName }: Gpu): string {
  let hash = 0x811c9dc5;
  const all = [BASE_MATMUL, ...MATMUL_VARIANTS].map(({ name, kernel, constants }) => [name, kernel.source, constants]);
  for (const character of JSON.stringify(all)) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return `matmul ${adapterName} ${hash.toString(16)}`;
}

/** @throws Error when it is not what `#keep` writes */
function parseChoices(text: string): [string, string][] {
  const parsed: unknown = JSON.parse(text);
  const entries =
    typeof parsed === 'object' && parsed !== null ? Object.entries(parsed as Record<string, unknown>) : [];
  if (entries.some(([, name]) => typeof name !== 'string')) throw new Error('not an object of names');
  return entries as [string, string][];
}
