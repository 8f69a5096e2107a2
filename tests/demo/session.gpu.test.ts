/** @file The trainer's side of the page, without a page: commands in, notices out, on a device that is lost now and then. */
import { unzipSync } from 'fflate';
import { afterEach, expect, it } from 'vitest';
import { acquireNodeGpu } from '../../cli/dawn';
import type { ModelRef, PlaygroundNews, Say } from '../../demo/playground_protocol';
import type { Command, Notice, RunNotice, Status } from '../../demo/protocol';
import { Session } from '../../demo/worker/session';
import { NoAdapterError } from '../../src/kernels';
import type { Gpu } from '../../src/kernels';
import { hashWeights } from '../../src/model';
import { loadModel, resolveConfig } from '../../src/rl';

const CONFIG = resolveConfig({
  env: 'even-digits',
  grpo: { steps: 4, batch_size: 16, group_size: 8 },
  eval: { examples: 20, interval: 2 },
});

type NoticeOf<T extends Notice['type']> = Extract<RunNotice, { type: T }>;

/** A file that is small enough to be in memory. */
type Exported = NoticeOf<'exported'> & { bytes: Uint8Array<ArrayBuffer> };

type SideNews = Extract<PlaygroundNews, { side: number }>;

/** What the page would see. */
class Desk {
  readonly notices: RunNotice[] = [];
  readonly #gpus: Gpu[] = [];
  readonly #session: Session;
  #waiting: (() => void)[] = [];
  #run = 0;
  /** Whether the test expects that something fails; where it does not, a failure ends the wait for anything else. */
  mayFail = false;

  /** @param adapters devices there are, one after the other */
  constructor(adapters = Infinity) {
    const acquire = async () => {
      if (this.#gpus.length >= adapters) throw new NoAdapterError('there is no other GPU');
      this.#gpus.push(await acquireNodeGpu());
      return this.#gpus.at(-1)!;
    };
    this.#session = new Session((notice) => {
      this.notices.push(notice);
      for (const wake of this.#waiting.splice(0)) wake();
    }, acquire);
  }

  send(...commands: Exclude<Command, { type: 'open' }>[]): void {
    for (const command of commands) this.#session.receive(command);
  }

  /** Opens a run; its number. */
  open(config = CONFIG): number {
    this.#session.receive({ type: 'open', run: ++this.#run, config });
    return this.#run;
  }

  /** The next notice that fits, from the one with this index on. */
  async next<T extends Notice['type']>(
    type: T,
    fits: (notice: NoticeOf<T>) => boolean = () => true,
    from = 0,
  ): Promise<NoticeOf<T>> {
    for (let i = from; ; i++) {
      while (i >= this.notices.length) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const notice = this.notices[i]!;
      if (notice.type === 'failed' && !this.mayFail) throw new Error(`${notice.name}: ${notice.message}`);
      if (notice.type === type && fits(notice as NoticeOf<T>)) return notice as NoticeOf<T>;
    }
  }

  /** Sends a command and waits for a status that follows. */
  async until(status: Status, ...commands: Exclude<Command, { type: 'open' }>[]): Promise<void> {
    const from = this.notices.length;
    this.send(...commands);
    await this.next('status', (notice) => notice.status === status, from);
  }

  async ready(): Promise<number> {
    const run = this.open();
    await this.next('status', (notice) => notice.run === run && notice.status === 'ready');
    return run;
  }

  /** GRPO steps that a run has told of. */
  steps(run: number): number[] {
    return this.notices.flatMap((notice) =>
      notice.run === run && notice.type === 'event' && notice.event.event === 'step' ? [notice.event.step] : [],
    );
  }

  /** Asks for a file; where it fails, the failure. */
  async export(what: 'model' | 'rollouts'): Promise<Exported> {
    const from = this.notices.length;
    this.send({ type: 'export', what });
    return (await this.next('exported', undefined, from)) as Exported;
  }

  /** Asks the run's models greedily, as they started and as they are, in the run's environment. */
  say(id: number, more: Partial<Say> = {}): void {
    const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens: null };
    const place = { env: CONFIG.env, options: {} };
    const models: ModelRef[] = [{ kind: 'start' }, { kind: 'current' }];
    const say = { id, models, text: '', system: '', place, task: null, continues: false, sampling, seed: 1, ...more };
    this.send({ type: 'playground', request: { what: 'say', ...say } });
  }

  /** What was told of a message, until both sides are done. */
  async told(id: number): Promise<SideNews[]> {
    for (const side of [0, 1]) {
      await this.next('playground', ({ news }) => news.what === 'done' && news.id === id && news.side === side);
    }
    return this.notices.flatMap((notice) =>
      notice.type === 'playground' && 'side' in notice.news && notice.news.id === id ? [notice.news] : [],
    );
  }

  /** Their texts. */
  async replies(id: number): Promise<string[]> {
    const news = await this.told(id);
    return [0, 1].map((side) =>
      news
        .flatMap((each) => (each.what === 'tokens' && each.side === side ? each.pieces : []))
        .map(({ text, special }) => (special ? '' : text))
        .join(''),
    );
  }

  /** Bytes of the buffers on the newest device. */
  get liveBytes(): number {
    return this.#gpus.at(-1)!.liveBytes;
  }

  close(): void {
    for (const gpu of this.#gpus) gpu.destroy();
  }
}

let desk: Desk;
afterEach(() => desk.close());

/** SHA-256 of the weights in an exported zip. */
async function hashOf({ bytes }: Exported): Promise<string> {
  const files = unzipSync(bytes);
  const read = (file: string) => Promise.resolve(files[`even-digits-seed1/${file}`]);
  return hashWeights((await loadModel({ name: 'zip', read })).tensors);
}

const stepsIn = ({ bytes }: Exported) =>
  new TextDecoder()
    .decode(bytes)
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { step: number }).step);

async function hashOfRun(run: number): Promise<string> {
  const { event } = await desk.next('event', (notice) => notice.run === run && notice.event.event === 'done');
  return event.event === 'done' ? event.weights_sha256 : '';
}

it('a run that is replaced while it is going says nothing more in the name of the next', async () => {
  desk = new Desk();
  const first = await desk.ready();
  desk.send({ type: 'play' });
  await desk.next('event', ({ event }) => event.event === 'step' && event.step === 1);
  const second = await desk.ready();
  await desk.until('paused', { type: 'step' });
  expect(desk.steps(first)[0]).toBe(1);
  expect(desk.steps(second)).toEqual([1]);
});

it('of several runs asked for at once only the last is made', async () => {
  desk = new Desk();
  const runs = [desk.open(), desk.open(), desk.open()];
  await desk.next('status', ({ status }) => status === 'ready');
  expect(desk.notices.filter(({ type }) => type === 'opened').map(({ run }) => run)).toEqual(runs.slice(-1));
});

it('what a run takes of the memory is told before it starts, the copy of its starting model included', async () => {
  desk = new Desk();
  await desk.ready();
  const { memory } = await desk.next('opened');
  expect(memory).toMatchObject({ microBatchTokens: 4096, recompute: false });
  expect(memory.parts.copies).toBe(memory.parts.weights);
  // All that is alive; nothing has been read back by now.
  expect(desk.liveBytes).toBe(memory.bytes - memory.parts.readback);
});

it('a device lost in the middle: the same weights, and every rollout saved once', async () => {
  desk = new Desk();
  const whole = await desk.ready();
  await desk.until('done', { type: 'play' });
  const broken = await desk.ready();
  desk.send({ type: 'play' });
  await desk.next('event', ({ run, event }) => run === broken && event.event === 'step' && event.step === 3);
  await desk.until('done', { type: 'lose-device' });
  expect(await desk.next('recovered')).toMatchObject({ step: 2 });
  expect(await hashOfRun(broken)).toBe(await hashOfRun(whole));
  const steps = stepsIn(await desk.export('rollouts'));
  expect(steps).toEqual([1, 2, 3, 4].flatMap((step) => Array.from({ length: 16 }, () => step)));
});

it('a device lost before the first eval: the run starts over, and no failed rollout is shown', async () => {
  desk = new Desk();
  await desk.ready();
  await desk.until('done', { type: 'lose-device' }, { type: 'play' });
  expect(await desk.next('recovered')).toMatchObject({ step: null });
  const evals = desk.notices.flatMap((notice) =>
    notice.type === 'event' && notice.event.event === 'eval' ? [notice.event] : [],
  );
  expect(evals.map(({ step, result }) => [step, result.errors])).toEqual([
    [0, 0],
    [2, 0],
    [4, 0],
  ]);
});

it('a device lost while nothing goes on: asking, saving and starting over go on', async () => {
  desk = new Desk();
  const run = await desk.ready();
  await desk.until('done', { type: 'play' });
  const hash = await hashOfRun(run);
  desk.send({ type: 'lose-device' });
  const saved = await desk.export('model');
  expect(saved.note).toBe('The device is lost: the model saved is that of step 4.');
  expect(await hashOf(saved)).toBe(hash);
  desk.say(1);
  expect((await desk.replies(1)).map((reply) => reply.length)).toEqual([8, 8]);
  expect(await desk.next('recovered')).toMatchObject({ step: 4 });
  const again = await desk.export('model');
  expect(again.note).toBe('');
  expect(await hashOf(again)).toBe(hash);

  desk.send({ type: 'lose-device' });
  const next = await desk.ready();
  await desk.until('paused', { type: 'step' });
  expect(desk.steps(next)).toEqual([1]);
  expect(desk.notices.filter(({ type }) => type === 'failed')).toEqual([]);
});

it('without another device: one clear error; model and rollouts of the last snapshot can be saved', async () => {
  desk = new Desk(1);
  desk.mayFail = true;
  await desk.ready();
  desk.send({ type: 'play' });
  await desk.next('event', ({ event }) => event.event === 'step' && event.step === 3);
  await desk.until('stopped', { type: 'lose-device' });
  const { name, message } = await desk.next('failed');
  expect(name).toBe('DeviceLostError');
  expect(message).toMatch(/^The GPU device was lost .*; no other could be had: there is no other GPU$/);
  const saved = await desk.export('model');
  expect(saved.note).toBe('The device is lost: the model saved is that of step 2.');
  expect(await hashOf(saved)).toMatch(/^[0-9a-f]{64}$/);
  expect(new Set(stepsIn(await desk.export('rollouts')))).toEqual(new Set([1, 2, 3]));
  desk.say(7);
  for (const side of [0, 1]) {
    const fits = ({ news }: NoticeOf<'playground'>) => news.what === 'failed' && news.side === side;
    expect((await desk.next('playground', fits)).news).toMatchObject({ id: 7, message });
  }
});

it('a run that fails by its own doing says which setting did it; the next one begins without findings', async () => {
  desk = new Desk();
  desk.mayFail = true;
  desk.open({ ...CONFIG, grpo: { ...CONFIG.grpo, entropy_coefficient: 1e38 } });
  await desk.until('stopped', { type: 'play' });
  const { findings } = await desk.next('findings');
  expect(findings.map(({ kind, settings: [first] }) => [kind, first])).toEqual([
    ['not-finite', { key: 'grpo.entropy_coefficient', now: 1e38, to: 0.01 }],
  ]);

  const second = desk.open();
  await desk.until('done', { type: 'play' });
  expect(desk.notices.filter((notice) => notice.type === 'findings' && notice.run === second)).toEqual([]);
});

it('saving what is not there is an error, and the run goes on', async () => {
  desk = new Desk(1);
  desk.mayFail = true;
  await desk.ready();
  desk.send({ type: 'lose-device' }, { type: 'export', what: 'model' });
  expect(await desk.next('failed')).toMatchObject({ name: 'DeviceLostError' });
  expect(desk.notices.at(-1)).toMatchObject({ type: 'failed' });
});

it('without WebGPU it says so', async () => {
  desk = new Desk(0);
  desk.open();
  expect(await desk.next('unavailable')).toMatchObject({ message: 'there is no other GPU' });
});

it('an environment of the library is evaluated with the run’s models; a lost device ends that, and the run goes on', async () => {
  desk = new Desk();
  await desk.ready();
  const order = { env: 'even-digits', options: {}, rollouts: 1, temperature: 0, atOnce: 16, seed: 1 };
  const evaluate = (id: number, kind: 'current' | 'start', examples: number) =>
    desk.send({ type: 'environment', request: { what: 'evaluate', id, ...order, examples, model: { kind } } });
  const news = async (id: number, what: 'begun' | 'done' | 'ended') => {
    const fits = ({ news }: NoticeOf<'environment'>) => news.what === what && news.id === id;
    return (await desk.next('environment', fits)).news;
  };
  await desk.until('paused', { type: 'step' });
  evaluate(1, 'current', 4);
  evaluate(2, 'start', 4);
  expect(await news(1, 'begun')).toMatchObject({ model: 'current', step: 1 });
  expect(await news(2, 'begun')).toMatchObject({ model: 'before', step: 0 });
  expect(await news(2, 'done')).toMatchObject({ summary: { rollouts: 4, failed: 0 } });

  evaluate(3, 'current', 1000);
  await news(3, 'begun');
  desk.send({ type: 'lose-device' });
  expect(await news(3, 'ended')).toMatchObject({ message: expect.stringMatching(/lost/i) as string });
  await desk.next('recovered');
  evaluate(4, 'current', 4);
  await news(4, 'done');

  // Tasks that the model's alphabet does not have fail, each by name.
  desk.send({
    type: 'environment',
    request: { what: 'evaluate', id: 5, ...order, env: 'reasoning', examples: 2, model: { kind: 'current' } },
  });
  expect(await news(5, 'done')).toMatchObject({ summary: { failed: 2, reward: null } });
});
