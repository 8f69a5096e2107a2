/** @file Profiles of the page's worker: what they say of a step, that they change nothing, and how they end early. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import type { ProfileNews } from '../../demo/profile_protocol';
import type { Command, RunNotice } from '../../demo/protocol';
import { Session } from '../../demo/worker/session';
import { memoryShelf } from '../../demo/worker/shelf';
import { shelfCache } from '../../demo/worker/tuner_cache';
import { Gpu, NoAdapterError, enableTuner } from '../../src/kernels';
import type { Shelf } from '../../src/model';
import { resolveConfig } from '../../src/rl';

const CONFIG = resolveConfig({
  env: 'even-digits',
  grpo: { steps: 2, batch_size: 8, group_size: 4 },
  eval: { examples: 4, interval: 0 },
});

let gpus: Gpu[];
beforeEach(() => (gpus = []));
afterEach(() => gpus.forEach((gpu) => gpu.destroy()));

/** What a page would see of a session. */
class Page {
  readonly notices: RunNotice[] = [];
  readonly #session: Session;
  #waiting: (() => void)[] = [];
  #run = 0;

  constructor(kernels?: Shelf, adapters = Infinity, rename = (gpu: Gpu) => gpu) {
    const acquire = async () => {
      if (gpus.length >= adapters) throw new NoAdapterError('there is no other GPU');
      gpus.push(await acquireNodeGpu());
      return rename(gpus.at(-1)!);
    };
    const shelf = () => Promise.resolve(memoryShelf());
    this.#session = new Session(
      (notice) => {
        this.notices.push(notice);
        for (const wake of this.#waiting.splice(0)) wake();
      },
      acquire,
      shelf(),
      shelf(),
      kernels && Promise.resolve(kernels),
    );
  }

  send(...commands: Exclude<Command, { type: 'open' }>[]): void {
    for (const command of commands) this.#session.receive(command);
  }

  open(): void {
    this.#session.receive({ type: 'open', run: ++this.#run, config: CONFIG });
  }

  start = (): void => this.send({ type: 'profile', request: { what: 'start' } });
  stop = (): void => this.send({ type: 'profile', request: { what: 'stop' } });

  async #next<T>(pick: (notice: RunNotice) => T | undefined, from: number): Promise<T> {
    for (let i = from; ; i++) {
      while (i >= this.notices.length) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const found = pick(this.notices[i]!);
      if (found !== undefined) return found;
    }
  }

  status(status: string, from = 0): Promise<unknown> {
    return this.#next((notice) => (notice.type === 'status' && notice.status === status) || undefined, from);
  }

  news<T extends ProfileNews['what']>(what: T, from = 0): Promise<Extract<ProfileNews, { what: T }>> {
    return this.#next(
      (notice) =>
        notice.type === 'profile' && notice.news.what === what
          ? (notice.news as Extract<ProfileNews, { what: T }>)
          : undefined,
      from,
    );
  }

  async ready(): Promise<void> {
    const from = this.notices.length;
    this.open();
    await this.status('ready', from);
  }

  async step(): Promise<void> {
    const from = this.notices.length;
    this.send({ type: 'step' });
    await this.status('paused', from);
  }

  /** All that a step says and that does not depend on a clock. */
  get steps(): unknown[] {
    return this.notices.flatMap((notice): unknown[] => {
      if (notice.type === 'groups') return [notice.groups.map(({ traces }) => traces.map(({ reward }) => reward))];
      if (notice.type !== 'event' || notice.event.event !== 'step') return [];
      const { step, reward, completionLength, update } = notice.event;
      return [{ step, reward, completionLength, update }];
    });
  }

  get failures(): RunNotice[] {
    return this.notices.filter(({ type }) => type === 'failed');
  }
}

it('a profile of a training step has its kernels per step, and the run is the same to the bit with and without', async () => {
  const plain = new Page();
  await plain.ready();
  await plain.step();
  await plain.step();

  const page = new Page();
  await page.ready();
  await page.step();
  page.start();
  await page.news('started');
  expect(gpus.at(-1)!.profiler).toBeDefined();
  await page.step();
  page.stop();
  const { shown } = await page.news('done');
  expect(gpus.at(-1)!.profiler).toBeUndefined();
  expect(plain.steps).toHaveLength(4);
  expect(page.steps).toEqual(plain.steps);

  expect(shown.counts).toEqual({ step: 1, warmUp: 0, evaluation: 0, message: 0 });
  const { profile } = shown;
  const named = (part: string) => profile.kernels.filter(({ name }) => name.includes(part));
  for (const kernel of ['matmul', 'adamw', 'attention_backward', 'sample']) {
    expect(named(kernel).length, kernel).toBeGreaterThan(0);
  }
  for (const { dispatches, bytes, seconds } of profile.kernels) {
    expect(Math.min(dispatches, bytes)).toBeGreaterThan(0);
    if (gpus.at(-1)!.device.features.has('timestamp-query')) expect(seconds).toBeGreaterThanOrEqual(0);
  }
  expect(profile.submits).toBeGreaterThan(1);
  expect(shown.activeSeconds).toBeGreaterThan(profile.encodeSeconds);
  expect(shown.activeSeconds).toBeLessThanOrEqual(profile.seconds);
  expect(shown.disturbed).toBe(false);
  // How kernels were chosen, on a device that nobody had tuned.
  expect(shown.tuning.problems).toEqual([]);
  expect(shown.tuning.records.length).toBeGreaterThan(3);
  expect(JSON.parse(JSON.stringify(shown))).toMatchObject({
    counts: { step: 1 },
    profile: { submits: profile.submits },
  });
});

it('a profile in which nothing runs is empty; a message and an evaluation are counted', async () => {
  const page = new Page();
  await page.ready();
  page.start();
  page.stop();
  const { shown: empty } = await page.news('done');
  expect([empty.profile.dispatches, empty.profile.kernels]).toEqual([0, []]);

  const from = page.notices.length;
  page.start();
  page.send({ type: 'evaluate', settings: { which: 'current', examples: 2, rollouts: 1, temperature: 0 } });
  const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens: 4 };
  const place = { env: CONFIG.env, options: {} };
  const models = [{ kind: 'current' as const }];
  const say = { id: 1, models, text: '', system: '', place, task: null, continues: false, sampling, seed: 1 };
  page.send({ type: 'playground', request: { what: 'say', ...say } });
  page.stop();
  const { shown } = await page.news('done', from);
  expect(shown.counts).toEqual({ step: 0, warmUp: 0, evaluation: 1, message: 1 });
  expect(shown.profile.dispatches).toBeGreaterThan(0);
});

it('a device lost during a profile ends it, says so, and the run goes on; the next profile is of the next device', async () => {
  const page = new Page();
  await page.ready();
  page.start();
  await page.news('started');
  page.send({ type: 'lose-device' });
  expect((await page.news('ended')).message).toMatch(/^The GPU device was lost/);
  page.stop(); // of nothing: says nothing
  await page.step();
  expect(page.steps).toHaveLength(2);

  const from = page.notices.length;
  page.start();
  await page.step();
  page.stop();
  expect((await page.news('done', from)).shown.counts.step).toBe(1);
  expect(gpus).toHaveLength(2);
  expect(page.failures).toEqual([]);
  const told = page.notices.flatMap((notice) => (notice.type === 'profile' ? [notice.news.what] : []));
  expect(told).toEqual(['started', 'ended', 'started', 'counted', 'done']);
});

it('a device lost while a profile is being finished: one message, nothing hangs', async () => {
  const page = new Page();
  await page.ready();
  page.start();
  await page.news('started');
  page.stop();
  page.send({ type: 'lose-device' });
  expect((await page.news('ended')).message).toMatch(/^The GPU device was lost/);
  await page.step();
  expect(page.notices.filter((notice) => notice.type === 'profile')).toHaveLength(2);
  expect(page.failures).toEqual([]);
});

it('without another device a profile says why there is none', async () => {
  const page = new Page(undefined, 1);
  await page.ready();
  page.send({ type: 'lose-device' });
  page.start();
  expect((await page.news('ended')).message).toBe('there is no other GPU');
  expect(page.failures).toEqual([]);
});

it('another run ends a profile, and the device is no longer watched', async () => {
  const page = new Page();
  await page.ready();
  page.start();
  await page.news('started');
  await page.ready();
  expect((await page.news('ended')).message).toBe('another run took the place of the one that was profiled');
  expect(gpus).toHaveLength(1);
  expect(gpus[0]!.profiler).toBeUndefined();
  await page.step();
  expect(page.failures).toEqual([]);
});

/** A shelf that is there after a reload. */
function lastingShelf(): Shelf {
  return { ...memoryShelf(), lasts: true };
}

/** Under a name that no preset knows, a device is measured as a GPU would be. */
const unknown = (gpu: Gpu) => Gpu.fromDevice(gpu.device, 'a GPU (rev/2) that nobody has seen');

/** One of the products that the model of these runs needs. */
const PROBLEM = { layout: 'NT', storage: 'f32', aligned: true, m: 1, n: 64, k: 64, few: false } as const;
const CLASS = 'NT f32 1x64x64';

/** Chooses for that product, with all the time that it takes. */
async function chooseFor(kernels: Shelf) {
  gpus.push(await acquireNodeGpu());
  const gpu = unknown(gpus.at(-1)!);
  await enableTuner(gpu, { budgetMs: 60_000, cache: shelfCache(Promise.resolve(kernels)) });
  await gpu.tuner!.matmul(PROBLEM);
  return gpu.tuner!;
}

/** What the tuner of a session says, once a run is open. */
async function tuningOf(kernels: Shelf) {
  const page = new Page(kernels, Infinity, unknown);
  await page.ready();
  page.start();
  page.stop();
  const { shown } = await page.news('done');
  expect(page.failures).toEqual([]);
  return shown.tuning;
}

it('what the tuner chose is kept on the shelf, and read again by the next session', async () => {
  const kernels = lastingShelf();
  const { records, problems } = await chooseFor(kernels);
  expect(records).toMatchObject([{ class: CLASS, how: 'measured' }]);
  expect(problems).toEqual([]);
  expect(await kernels.names()).toEqual(['choices']);
  const [file, ...others] = await kernels.at('choices').files();
  expect(others).toEqual([]);
  expect(file!.path).toMatch(/^matmul-a-GPU-rev-2-that-nobody-has-seen-[0-9a-f]+\.json$/);

  const tuning = await tuningOf(kernels);
  expect(tuning.records.find((record) => record.class === CLASS)).toEqual({
    class: CLASS,
    chosen: records![0]!.chosen,
    how: 'cached',
    times: {},
  });
  expect(tuning.problems).toEqual([]);
});

it('a shelf that holds no choices or cannot be opened stops no run, and the profile says so', async () => {
  const damaged = lastingShelf();
  await chooseFor(damaged);
  const [file] = await damaged.at('choices').files();
  await damaged.at('choices').write(file!.path, new TextEncoder().encode('not JSON'));
  expect((await tuningOf(damaged)).problems).toEqual([
    expect.stringMatching(/^cached choices were not read: SyntaxError/),
  ]);
  const closed: Shelf = {
    ...lastingShelf(),
    at: () => {
      throw new Error('no such shelf');
    },
  };
  expect((await tuningOf(closed)).problems).toContain('cached choices were not read: Error: no such shelf');
});

it('choices that are gone with the page are used until then, and it is said once', async () => {
  const shelf = memoryShelf();
  const tuner = await chooseFor(shelf);
  await tuner.matmul({ ...PROBLEM, n: 128 });
  expect(tuner.problems).toEqual(['choices were not kept: Error: this browser keeps nothing for this page']);
  expect((await chooseFor(shelf)).records).toMatchObject([{ class: CLASS, how: 'cached' }]);
});
