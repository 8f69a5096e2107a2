/** @file The page's picture of the trainer: what it makes of what the worker says, and of what it no longer listens to. */
import { beforeEach, expect, it, vi } from 'vitest';
import type { Command, Notice, RunNotice, ShownEvent, ShownRun } from '../../demo/protocol';
import { Trainer } from '../../demo/trainer.svelte';
import { newAbout, resolveConfig } from '../../src/rl';

const { FakeWorker } = vi.hoisted(() => {
  /** A worker that the test speaks for. */
  class FakeWorker extends EventTarget {
    static made: FakeWorker[] = [];
    readonly commands: Command[] = [];

    constructor() {
      super();
      FakeWorker.made.push(this);
    }

    postMessage(command: Command): void {
      this.commands.push(command);
    }

    terminate(): void {
      this.commands.length = 0;
    }

    say(run: number, notice: Notice): void {
      const data: RunNotice = { ...notice, run };
      this.dispatchEvent(new MessageEvent('message', { data }));
    }
  }
  return { FakeWorker };
});
vi.mock('../../demo/worker/worker?worker', () => ({ default: FakeWorker }));

const CONFIG = resolveConfig({ env: 'even-digits' });
const RESULT = { t1: 0.5, greedy: 0.5, examples: 20, metrics: {}, errors: 0 };

function step(number: number): Notice {
  const event = { event: 'step', step: number } as ShownEvent;
  return { type: 'event', event };
}

const evaluated = (when: 'before' | 'during', number: number): Notice => ({
  type: 'event',
  event: { event: 'eval', when, step: number, result: RESULT },
});

let trainer: Trainer;
let downloads: string[];
beforeEach(() => {
  FakeWorker.made = [];
  downloads = [];
  trainer = new Trainer((name) => downloads.push(name));
});

const worker = () => FakeWorker.made.at(-1)!;

it('forgets the run before, and no longer listens to it', () => {
  trainer.open(CONFIG);
  worker().say(1, { type: 'status', status: 'running' });
  worker().say(1, step(1));
  trainer.open(CONFIG);
  expect(worker().commands.map((command) => command.type === 'open' && command.run)).toEqual([1, 2]);
  expect([trainer.status, trainer.step]).toEqual(['opening', 0]);
  // The step that was in progress, and what it brings with it.
  worker().say(1, { type: 'progress', progress: { phase: 'sampling', done: 3, total: 16 } });
  worker().say(1, step(2));
  worker().say(1, { type: 'groups', step: 2, groups: [{ exampleId: 0, traces: [] }] });
  worker().say(1, { type: 'status', status: 'done' });
  worker().say(1, { type: 'failed', name: 'Error', message: 'too late' });
  expect(trainer).toMatchObject({ status: 'opening', steps: [], groups: [], progress: null, error: null });
  worker().say(2, step(1));
  expect(trainer.step).toBe(1);
});

it('a file that was asked for comes, though its run was left', () => {
  trainer.open(CONFIG);
  trainer.export('rollouts');
  trainer.open(CONFIG);
  worker().say(1, { type: 'exported', name: 'rollouts.jsonl', bytes: new Uint8Array(1), note: '' });
  expect(downloads).toEqual(['rollouts.jsonl']);
});

it('a lost device takes back the steps after the snapshot, and says so', () => {
  trainer.open(CONFIG);
  worker().say(1, evaluated('before', 0));
  for (const number of [1, 2]) worker().say(1, step(number));
  worker().say(1, evaluated('during', 2));
  worker().say(1, step(3));
  worker().say(1, { type: 'groups', step: 3, groups: [{ exampleId: 0, traces: [] }] });
  worker().say(1, { type: 'recovered', step: 2, message: 'The GPU device was lost (unknown): driver reset' });
  expect(trainer.step).toBe(2);
  expect(trainer.evals.map((event) => event.step)).toEqual([0, 2]);
  expect(trainer.groups).toEqual([]);
  expect(trainer.recovery).toBe('The GPU device was lost (unknown): driver reset. A new device took over from step 2.');
  worker().say(1, { type: 'recovered', step: null, message: 'Lost again' });
  expect([trainer.steps, trainer.evals]).toEqual([[], []]);
  expect(trainer.recovery).toBe('Lost again. A new device took over from the start.');
});

it('a worker that breaks is replaced with the next run', () => {
  trainer.open(CONFIG);
  worker().dispatchEvent(Object.assign(new Event('error'), { message: 'out of memory' }));
  expect(trainer).toMatchObject({ status: 'stopped', error: { name: 'WorkerError', message: 'out of memory' } });
  trainer.open(CONFIG);
  expect(FakeWorker.made).toHaveLength(2);
  expect(worker().commands).toMatchObject([{ type: 'open', run: 2 }]);
  worker().say(2, { type: 'status', status: 'ready' });
  expect(trainer).toMatchObject({ status: 'ready', error: null });
});

/** A run as the worker lists it. */
function kept(id: string, more: Partial<ShownRun> = {}): ShownRun {
  const about = newAbout(CONFIG, { adapter: 'a GPU', parent: null, created: '2025-01-31T12:00:00.000Z' });
  const none = { problem: undefined, bytes: 1, newest: undefined, finished: false, inUse: false, checkpoints: [] };
  return { id, about, step: 3, ...none, ...more };
}

it('offers a run that was left behind, once, and none that is finished, unreadable or open elsewhere', () => {
  const others = [kept('a', { finished: true }), kept('b', { inUse: true }), kept('c', { about: undefined })];
  trainer.open(CONFIG);
  worker().say(1, { type: 'runs', runs: others, lasts: true });
  expect(trainer.unfinished).toBeNull();
  worker().say(1, { type: 'runs', runs: [kept('d')], lasts: true });
  expect(trainer.unfinished).toBeNull(); // not left behind: it came later

  trainer = new Trainer(() => undefined);
  trainer.open(CONFIG);
  worker().say(1, { type: 'runs', runs: [...others, kept('d')], lasts: true });
  expect(trainer.unfinished?.id).toBe('d');
  worker().say(1, { type: 'kept', id: 'e' });
  expect(trainer.unfinished).toBeNull(); // another one has begun
});

it('resumes a run with its curves, and says what of it was damaged', () => {
  trainer.open(CONFIG);
  trainer.resume(kept('d'));
  expect(worker().commands.slice(-2)).toMatchObject([{ type: 'resume', run: 2, id: 'd' }, { type: 'play' }]);
  const metrics = [step(1), evaluated('before', 0), step(2)].flatMap((notice) =>
    notice.type === 'event' ? [notice.event] : [],
  );
  worker().say(2, { type: 'restored', id: 'd', metrics, problems: ['checkpoint step-000003 is damaged'] });
  expect(trainer.step).toBe(2);
  expect(trainer.evals).toHaveLength(1);
  expect(trainer).toMatchObject({ keptAs: 'd', recovery: 'checkpoint step-000003 is damaged' });
});
