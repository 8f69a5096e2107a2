/** @file What the page makes of a profile: rows, figures per step, and what it says while one is being taken. */
import { expect, it } from 'vitest';
import {
  count,
  describeWork,
  duration,
  kernelRows,
  percent,
  quantity,
  summaryOf,
  tuningRows,
} from '../../demo/panels/profile/figures';
import { ProfileState } from '../../demo/panels/profile/profile.svelte';
import type { ProfileNews, ProfileRequest, ShownProfile, WorkCounts } from '../../demo/profile_protocol';
import type { Trainer } from '../../demo/trainer.svelte';
import type { KernelProfile, TuningRecord } from '../../src/kernels';

const NOTHING: WorkCounts = { step: 0, warmUp: 0, evaluation: 0, message: 0 };

const KERNELS: KernelProfile[] = [
  { name: 'swiglu', dispatches: 20, bytes: 12.5e9, flops: 0, seconds: 0.25 },
  { name: 'rope', dispatches: 10, bytes: 1e9, flops: 0, seconds: 0 },
  { name: 'matmul NT', dispatches: 20, bytes: 10e9, flops: 0.5e12, seconds: 0.75 },
];

function shownOf(counts: Partial<WorkCounts> = {}, kernels = KERNELS, activeSeconds = 2): ShownProfile {
  return {
    taken: '2026-11-26T00:00:00.000Z',
    profile: {
      adapter: 'GPU',
      seconds: 10, // most of it a pause
      busySeconds: 1.5,
      encodeSeconds: 0.02,
      submits: 4,
      dispatches: 50,
      ceilings: { bytesPerSecond: 100e9, flopsPerSecond: 1e12 },
      kernels,
    },
    counts: { ...NOTHING, ...counts },
    activeSeconds,
    disturbed: false,
    tuning: { records: [], problems: [] },
  };
}

const untimed = KERNELS.map((kernel) => ({ ...kernel, seconds: undefined }));

it('kernels come by time, with their share of it and of what the adapter does at best', () => {
  const rows = kernelRows(shownOf());
  expect(rows.map(({ name }) => name)).toEqual(['matmul NT', 'swiglu', 'rope']);
  expect(rows[0]).toEqual({
    name: 'matmul NT',
    dispatches: 20,
    seconds: 0.75,
    share: 0.75,
    bytes: 10e9,
    flops: 0.5e12,
    bytesPerSecond: 10e9 / 0.75,
    flopsPerSecond: 0.5e12 / 0.75,
    ofCopy: 10 / 0.75 / 100,
    ofMatmul: 0.5 / 0.75,
  });
  expect(rows[1]).toMatchObject({ share: 0.25, bytesPerSecond: 50e9, ofCopy: 0.5, ofMatmul: undefined });
  // Shorter than the clock can see: no rate, and not an infinite one.
  expect(rows[2]).toMatchObject({ seconds: 0, share: 0, bytesPerSecond: undefined, ofCopy: undefined });
});

it('amounts are per training step, warm-up included; rates and shares stay', () => {
  const [whole] = kernelRows(shownOf());
  const [perStep] = kernelRows(shownOf({ step: 3, warmUp: 2 }));
  expect(perStep).toEqual({
    ...whole!,
    dispatches: 4,
    seconds: 0.15,
    bytes: 2e9,
    flops: 0.1e12,
  });
  expect(summaryOf(shownOf({ step: 4, evaluation: 1 }))).toEqual({
    steps: 4,
    perStep: true,
    timed: true,
    seconds: 0.5,
    kernelSeconds: 0.25,
    encodeSeconds: 0.005,
    encodeShare: 0.01,
    idleShare: 0.25,
    submits: 1,
    dispatches: 12.5,
  });
});

it('without a training step figures are totals', () => {
  expect(summaryOf(shownOf({ message: 5, evaluation: 2 }))).toMatchObject({
    steps: 1,
    perStep: false,
    seconds: 2,
    submits: 4,
    dispatches: 50,
  });
});

it('without timestamps kernels come by bytes, and nothing is said of times', () => {
  const shown = shownOf({ step: 1 }, untimed);
  const rows = kernelRows(shown);
  expect(rows.map(({ name }) => name)).toEqual(['swiglu', 'matmul NT', 'rope']);
  expect(rows[0]!.share).toBeCloseTo(12.5 / 23.5);
  for (const row of rows) {
    expect(row).toMatchObject({
      seconds: undefined,
      bytesPerSecond: undefined,
      ofCopy: undefined,
      ofMatmul: undefined,
    });
  }
  expect(summaryOf(shown)).toMatchObject({ timed: false, kernelSeconds: undefined });
});

it('a pause is not idle, and a GPU that is busy a moment longer than the worker is not less than idle', () => {
  expect(summaryOf(shownOf({ step: 1 })).idleShare).toBe(0.25); // and not 85%, of ten seconds
  expect(summaryOf(shownOf({ step: 1 }, KERNELS, 1.4)).idleShare).toBe(0);
  expect(summaryOf(shownOf({}, [], 0))).toMatchObject({ idleShare: 0, encodeShare: 0, seconds: 0 });
});

it('writes amounts with three digits, and what went on in words', () => {
  expect(['B/s', 'FLOP/s'].map((unit) => quantity(12_345_678_900, unit))).toEqual(['12.3 GB/s', '12.3 GFLOP/s']);
  expect([0, 999, 1000, 4.2e15].map((value) => quantity(value, 'B'))).toEqual(['0 B', '999 B', '1 kB', '4.2 PB']);
  expect([1.234, 0.04567, 0.00000789, 0].map(duration)).toEqual(['1.23 s', '45.7 ms', '7.89 µs', '0 ms']);
  expect([0.4567, 0.09949, 0.0012, 0.0001, 0, 1.5].map(percent)).toEqual([
    '46%',
    '9.9%',
    '0.1%',
    '<0.1%',
    '0%',
    '150%',
  ]);
  expect([1234.5, 12.34, 7].map(count)).toEqual(['1,235', '12.3', '7']);
  expect(describeWork({ step: 3, warmUp: 1, evaluation: 1, message: 2 })).toBe(
    '1 warm-up step, 3 training steps, 1 evaluation, 2 messages',
  );
  expect(describeWork(NOTHING)).toBe('');
});

it('a class that was measured is a row of its own, the fastest kernel first; others stand together by kernel', () => {
  const decided = (key: string, chosen: string, how: TuningRecord['how'], times = {}) => ({
    class: key,
    chosen,
    how,
    times,
  });
  const rows = tuningRows([
    decided('a', 'base', 'out of time'),
    decided('b', 'columns 8', 'measured', { base: 0.2, 'columns 8': 0.1 }),
    decided('c', 'base', 'out of time'),
    decided('d', 'columns 8', 'cached'),
    decided('e', 'columns 8', 'measured', { base: 0.3, 'columns 8': 0.2 }),
    decided('f', 'columns 8', 'cached'),
  ]);
  expect(rows).toEqual([
    { chosen: 'base', how: 'out of time', classes: ['a', 'c'], times: [] },
    {
      chosen: 'columns 8',
      how: 'measured',
      classes: ['b'],
      times: [
        ['columns 8', 0.1],
        ['base', 0.2],
      ],
    },
    { chosen: 'columns 8', how: 'cached', classes: ['d', 'f'], times: [] },
    {
      chosen: 'columns 8',
      how: 'measured',
      classes: ['e'],
      times: [
        ['columns 8', 0.2],
        ['base', 0.3],
      ],
    },
  ]);
});

function open() {
  const asked: ProfileRequest[] = [];
  const trainer: Pick<Trainer, 'askProfile' | 'onProfile'> = {
    askProfile: (request) => void asked.push(request),
    onProfile: undefined,
  };
  return { profile: new ProfileState(trainer), asked, hear: (news: ProfileNews) => trainer.onProfile!(news) };
}

it('one button starts and stops; while it waits for the worker it asks for nothing', () => {
  const { profile, asked, hear } = open();
  profile.toggle();
  profile.toggle();
  expect([profile.status, asked]).toEqual(['starting', [{ what: 'start' }]]);
  hear({ what: 'started' });
  hear({ what: 'counted', counts: { ...NOTHING, step: 1 } });
  expect([profile.status, profile.counts.step]).toEqual(['recording', 1]);
  profile.toggle();
  profile.toggle();
  expect([profile.status, asked.slice(1)]).toEqual(['stopping', [{ what: 'stop' }]]);
  const shown = shownOf({ step: 1 });
  hear({ what: 'done', shown });
  expect([profile.status, profile.shown]).toEqual(['off', shown]);
  profile.toggle();
  expect([profile.shown, profile.counts.step]).toEqual([null, 0]);
});

it.each([
  [{ what: 'ended', message: 'the device was lost' } as const, 'No profile: the device was lost'],
  [{ what: 'gone' } as const, 'No profile: the trainer worker has ended.'],
])('a profile that comes to nothing says why, and another can be taken: %o', (news, problem) => {
  const { profile, asked, hear } = open();
  profile.toggle();
  hear({ what: 'started' });
  hear(news);
  expect([profile.status, profile.problem]).toEqual(['off', problem]);
  profile.toggle();
  expect([profile.status, profile.problem, asked.length]).toEqual(['starting', '', 2]);
});

it('a worker that ends without a profile is nothing that this panel speaks of', () => {
  const { profile, hear } = open();
  hear({ what: 'gone' });
  expect(profile.problem).toBe('');
});
