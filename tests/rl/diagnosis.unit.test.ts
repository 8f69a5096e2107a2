/** @file When the diagnosis speaks and when it is silent: thresholds, hysteresis, going back, errors. */
import { expect, it } from 'vitest';
import {
  Diagnostician,
  ModelFailedError,
  NonFiniteUpdateError,
  adviceText,
  remedyText,
  resolveConfig,
} from '../../src/rl';
import type { ConfigLayer, Observed } from '../../src/rl';
import { diagnosticianFor, stepEvent } from './observe';

const config = (...layers: ConfigLayer[]) => resolveConfig({ env: 'reverse-text' }, ...layers);

/** What is told of steps 1, 2, ... as `kind state@step`. */
function told(events: readonly Observed[], settings = config(), diagnostician = diagnosticianFor(settings)): string[] {
  return events
    .flatMap((event) => diagnostician.observe(event))
    .map(({ kind, state, step }) => `${kind} ${state}@${step}`);
}

/** One step per value. */
const steps = (values: readonly number[], make: (value: number) => Parameters<typeof stepEvent>[1]) =>
  values.map((value, i) => stepEvent(i + 1, make(value)));

const mismatch = (values: readonly number[]) => steps(values, (mismatchKl) => ({ update: { mismatchKl } }));

it('says nothing of a run that is well', () => {
  expect(told(steps(Array<number>(20).fill(0), () => ({})))).toEqual([]);
});

it('one bad step is chance, two are told once, and what stays is not told again', () => {
  expect(told(mismatch([0, 0.1, 0, 0.1, 0]))).toEqual([]);
  expect(told(mismatch([0, 0.1, 0.1, 0.2, 0.3, 0.1]))).toEqual(['mismatch found@3']);
});

it('is over after three good steps, and not while it is between the thresholds', () => {
  expect(told(mismatch([0.1, 0.1, 0, 0, 0.03, 0, 0, 0]))).toEqual(['mismatch found@2', 'mismatch over@8']);
  expect(told(mismatch([0.1, 0.1, ...Array<number>(10).fill(0.03)]))).toEqual(['mismatch found@2']);
});

it('a finding that comes and goes has to stay before it is told again', () => {
  const flicker = [0.1, 0.1, 0, 0, 0, 0.1, 0.1, 0, 0, 0, 0.1, 0.1];
  expect(told(mismatch(flicker))).toEqual(['mismatch found@2', 'mismatch over@5', 'mismatch found@12']);
});

it('keeps the figures of an open finding up to date, and when it began', () => {
  const diagnostician = diagnosticianFor(config());
  told(mismatch([0, 0.1, 0.1, 0.4]), config(), diagnostician);
  expect(diagnostician.findings).toMatchObject([{ kind: 'mismatch', since: 2, evidence: { mismatchKl: 0.4 } }]);
});

it('forgets what did not happen after all', () => {
  const diagnostician = diagnosticianFor(config());
  told(mismatch([0, 0, 0.1, 0.1]), config(), diagnostician);
  diagnostician.goBack(3);
  expect(diagnostician.findings).toEqual([]);
  expect(told([stepEvent(4, { update: { mismatchKl: 0.1 } })], config(), diagnostician)).toEqual(['mismatch found@4']);
  diagnostician.goBack(-1);
  expect(diagnostician.findings).toEqual([]);
});

it('the same reports give the same findings', () => {
  const events = mismatch([0, 0.1, 0.1, 0, 0, 0]);
  const run = () => {
    const diagnostician = diagnosticianFor(config());
    return events.flatMap((event) => diagnostician.observe(event));
  };
  expect(run()).toEqual(run());
});

it('groups all alike, some right and some wrong: warmer, or more rollouts', () => {
  const cold = config({ sampling: { temperature: 0.3 } });
  const alike = { groupsWithSignal: 1, groupsTooEasy: 8, groupsTooHard: 7 };
  const diagnostician = diagnosticianFor(cold);
  expect(
    told(
      steps([1, 2, 3, 4], () => alike),
      cold,
      diagnostician,
    ),
  ).toEqual(['too-alike found@3']);
  expect(diagnostician.findings[0]!.settings).toEqual([
    { key: 'sampling.temperature', now: 0.3, to: 1 },
    { key: 'grpo.group_size', now: 8, to: 16 },
  ]);
});

it('a run that ends in silence because it has learned is none that is too easy', () => {
  const easy = steps([2, 2, 5, 9, 12, 15, 16, 16, 16], (groupsTooEasy) => ({
    groupsTooEasy,
    groupsTooHard: 0,
    groupsWithSignal: 16 - groupsTooEasy,
  }));
  expect(told(easy)).toEqual([]);
});

it('far from the reference: only where a KL was asked for', () => {
  const far = steps([0, 0.6, 0.7, 0.8], (referenceKl) => ({ update: { referenceKl } }));
  expect(told(far, config({ grpo: { beta: 0.04 } }))).toEqual(['reference-kl found@3']);
  expect(told(far)).toEqual([]);
});

it('a spike that is clipped harms nobody; one that is not is told at once', () => {
  const spike = steps([0.8, 0.7, 0.9, 0.8, 0.8, 9, 0.8], (gradNorm) => ({ update: { gradNorm } }));
  expect(told(spike)).toEqual([]);
  expect(told(spike, config({ optimizer: { max_norm: 0 } }))).toEqual(['gradient-spikes found@6']);
});

it('being cut off where it costs nothing is no fault: a task may fill its limit', () => {
  const full = { truncated: 120, rewardByEnding: { truncated: 0.8, complete: 0.3 } };
  expect(told(steps([1, 2, 3, 4], () => full))).toEqual([]);
  const costly = { truncated: 60, rewardByEnding: { truncated: 0, complete: 0.9 } };
  expect(told(steps([1, 2, 3, 4], () => costly))).toEqual(['truncation found@2']);
});

it('replies that grow and get better are welcome', () => {
  const lengths = [6, 6, 6, 8, 10, 12, 14, 15, 16];
  const grown = (better: boolean) =>
    lengths.map((completionLength, i) =>
      stepEvent(i + 1, { completionLength, metrics: { exactMatch: 0.5, similarity: better ? 0.5 + i / 20 : 0.5 } }),
    );
  expect(told(grown(true))).toEqual([]);
  expect(told(grown(false))).toEqual(['length found@8']);
});

it('another temperature than the eval has makes no gap', () => {
  const events: Observed[] = [
    { event: 'eval', step: 0, result: { t1: 0.1, greedy: 0.9, examples: 100, metrics: {}, errors: 0 } },
    stepEvent(1),
    stepEvent(2),
  ];
  expect(told(events)).toEqual(['memorisation found@2']);
  expect(told(events, config({ sampling: { temperature: 0.2 } }))).toEqual([]);
});

it('held-out tasks that failed count neither way', () => {
  const events: Observed[] = [
    { event: 'eval', step: 0, result: { t1: 0.2, greedy: 0.4, examples: 100, metrics: {}, errors: 60 } },
    stepEvent(1),
    stepEvent(2),
  ];
  expect(told(events)).toEqual([]);
});

it('errors of the run itself are explained, others say all there is to say', () => {
  const settings = config({ grpo: { lr: 0.5, entropy_coefficient: 1e38 }, optimizer: { max_norm: 0 } });
  const diagnostician = new Diagnostician(settings);
  told([stepEvent(1), stepEvent(2)], settings, diagnostician);
  const error = new NonFiniteUpdateError('step 3: the gradient is not finite; the weights are those of step 2. More.');
  const [finding] = diagnostician.fail(error);
  expect(finding).toMatchObject({ kind: 'not-finite', state: 'found', step: 3, since: 3 });
  expect(finding!.message).toContain('the weights are those of step 2. Nothing was changed');
  expect(finding!.settings.map(adviceText)).toEqual([
    'set grpo.entropy_coefficient to 0.01 (now 1e+38)',
    'set grpo.lr to 0.0005 (now 0.5)',
    'set optimizer.max_norm to 1 (now 0)',
  ]);
  expect(diagnostician.findings[0]!.kind).toBe('not-finite');

  expect(new Diagnostician(settings).fail(new ModelFailedError('not finite'))).toMatchObject([
    { kind: 'model-failed' },
  ]);
  expect(new Diagnostician(settings).fail(new Error('the disk is full'))).toEqual([]);
});

it('advice reads as a sentence', () => {
  expect(adviceText({ key: 'sampling.max_tokens', now: null, to: 16 })).toBe(
    'set sampling.max_tokens to 16 (now unset)',
  );
  const settings = [
    { key: 'env_args.min_length', now: 12, to: null },
    { key: 'env_args.reward', now: 'recall', to: 'exact' },
  ];
  expect(remedyText({ settings, remedy: 'Or give up.' })).toBe(
    'Remove env_args.min_length (now 12); or set env_args.reward to exact (now recall). Or give up.',
  );
});

it('a tool that is called less often, because of the tasks drawn, is no sign of a reward that misleads', () => {
  const settings = config();
  const calls = [0.2, 0.3, 0.4, 0.4, 0.4, 0.1, 0.1, 0.1, 0.1];
  const run = (name: string) =>
    told(
      steps(calls, (value) => ({ metrics: { [name]: value } })),
      settings,
      new Diagnostician(settings, { metrics: [name] }),
    );
  expect(run('dbl_calls')).toEqual([]);
  expect(run('exactMatch')).toEqual(['misleading-reward found@8']);
});
