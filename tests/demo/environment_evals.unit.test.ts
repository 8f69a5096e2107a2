/** @file Evaluations in the library's environments: what the worker plays and tells, and what the page makes of it. */
import { unzipSync } from 'fflate';
import { afterEach, expect, it, vi } from 'vitest';
import type { EnvironmentEval, EnvironmentNews, EnvironmentRequest } from '../../demo/environments_protocol';
import { EnvironmentEvals as PageEvals } from '../../demo/panels/environment_evals.svelte';
import type { Trainer } from '../../demo/trainer.svelte';
import { EnvironmentEvals } from '../../demo/worker/environment_evals';
import { evaluate, libraryEntry } from '../../src/envs';
import { chatBody, json, serve } from '../endpoint';
import type { Endpoint } from '../endpoint';
import { ScriptedModel } from '../scripted';

const ORDER: Omit<EnvironmentEval, 'id' | 'model'> = {
  env: 'even-digits',
  options: { seed: 3 },
  examples: 4,
  rollouts: 2,
  temperature: 1,
  atOnce: 3,
  seed: 1,
};

let endpoint: Endpoint | undefined;
afterEach(() => endpoint?.close());

/** Worker and page without a thread between them. */
function connected(): {
  evals: PageEvals;
  worker: EnvironmentEvals;
  requests: EnvironmentRequest[];
  news: EnvironmentNews[];
} {
  const news: EnvironmentNews[] = [];
  const requests: EnvironmentRequest[] = [];
  const trainer = {} as {
    onEnvironment?: (news: EnvironmentNews) => void;
    askEnvironment: (r: EnvironmentRequest) => void;
  };
  const worker = new EnvironmentEvals((each) => {
    news.push(each);
    trainer.onEnvironment!(each);
  });
  trainer.askEnvironment = (request) => {
    requests.push(request);
    if (worker.receive(request) && request.what === 'evaluate') {
      const model = new ScriptedModel(() => '02468024');
      void worker.play(request, { model, tokens: ['a'], step: 7, check: () => undefined });
    }
  };
  return { evals: new PageEvals(trainer as unknown as Trainer), worker, requests, news };
}

const settled = (evals: PageEvals) => vi.waitFor(() => expect(evals.shown!.underWay).toBe(false), { timeout: 10_000 });

it('a model of the run is played to the end; page and worker agree on every rollout', async () => {
  const { evals } = connected();
  evals.start({ ...ORDER, model: { kind: 'current' } });
  expect(evals.shown!.status).toBe('waiting');
  await settled(evals);
  const { status, rows, summary, title, tokens, passThreshold } = evals.shown!;
  expect(status).toBe('done');
  expect(rows.map(({ exampleId, rollout }) => [exampleId, rollout])).toEqual(
    [0, 1, 2, 3].flatMap((example) => [0, 1].map((rollout) => [example, rollout])),
  );
  expect(rows.every(({ phase, trace }) => phase === 'done' && trace!.reward === 1)).toBe(true);
  expect(summary).toMatchObject({ rollouts: 8, passAtK: { 1: 1, 2: 1 } });
  expect([title, tokens, passThreshold]).toEqual(['1. even-digits, weights of step 7, 4 × 2, T=1', ['a'], 1]);
});

it('an endpoint is asked with its key, which is in nothing that comes back; what it says stays text', async () => {
  endpoint = await serve(async (_, reply) => {
    await new Promise((go) => setTimeout(go, 60));
    json(reply, chatBody({ role: 'assistant', content: '<img src=x onerror=alert(1)>' }));
  });
  const { evals, news } = connected();
  const { baseUrl } = endpoint;
  evals.start({ ...ORDER, model: { kind: 'endpoint', baseUrl, name: 'local', apiKey: 'sk-secret', tokenIds: false } });
  await settled(evals);
  expect(evals.shown!.traces.map(({ completion }) => completion[0]!.content)).toContain('<img src=x onerror=alert(1)>');
  expect(endpoint.requests).toHaveLength(8);
  expect(endpoint.requests[0]!.headers.authorization).toBe('Bearer sk-secret');
  const files = unzipSync(evals.shown!.files!.bytes);
  const read = (name: string) => new TextDecoder().decode(files[`even-digits-local-seed1/${name}`]);
  expect(read('results.jsonl').trim().split('\n')).toHaveLength(8);
  expect(JSON.parse(read('metadata.json'))).toMatchObject({
    env_id: 'even-digits',
    env_args: { seed: 3 },
    model: 'local',
    base_url: baseUrl,
    num_examples: 4,
    rollouts_per_example: 2,
  });
  expect(JSON.stringify([news, read('results.jsonl'), read('metadata.json'), { ...evals.shown }])).not.toContain('sk-');
  // While it was played, phases came before the rollouts were done.
  const played = news.filter((each) => each.what === 'played');
  expect(played.flatMap(({ phases }) => phases).some(({ phase }) => phase === 'turn 1')).toBe(true);
});

it('cancelled, what is finished stays and nothing is under way', async () => {
  endpoint = await serve((_, reply, n) => {
    if (n < 2) json(reply, chatBody({ role: 'assistant', content: '2' }));
  });
  const { evals } = connected();
  const { baseUrl } = endpoint;
  evals.start({ ...ORDER, model: { kind: 'endpoint', baseUrl, name: 'local', apiKey: '', tokenIds: false } });
  await vi.waitFor(() => expect(evals.shown!.traces).toHaveLength(2), { timeout: 10_000 });
  expect(evals.shown!.rows.some(({ phase }) => phase === 'turn 1')).toBe(true);
  evals.cancel(evals.shown!);
  await settled(evals);
  expect(evals.shown!.status).toBe('cancelled');
  expect(evals.shown!.rows).toHaveLength(2);
});

it('what cannot be played says why', async () => {
  const { evals } = connected();
  evals.start({ ...ORDER, model: { kind: 'endpoint', baseUrl: 'nowhere', name: 'x', apiKey: '', tokenIds: false } });
  await settled(evals);
  expect([evals.shown!.status, evals.shown!.message]).toEqual([
    'failed',
    'base URL "nowhere" is not an http(s) address',
  ]);
  evals.start({ ...ORDER, options: { size: 1 }, model: { kind: 'start' } });
  await settled(evals);
  expect(evals.shown!.message).toContain('unknown option size');
});

it('another run ends what its model plays, not what an endpoint plays; a lost worker ends everything', async () => {
  endpoint = await serve(() => undefined);
  const { evals, worker } = connected();
  const { baseUrl } = endpoint;
  evals.start({ ...ORDER, model: { kind: 'endpoint', baseUrl, name: 'local', apiKey: '', tokenIds: false } });
  const remote = evals.shown!;
  evals.start({ ...ORDER, examples: 100_000, model: { kind: 'current' } });
  worker.cancelNative();
  await settled(evals);
  expect(evals.shown!.status).toBe('cancelled');
  expect(remote.underWay).toBe(true);
  remote.hear({ what: 'gone' });
  expect([remote.status, remote.message]).toEqual(['failed', 'the worker was lost']);
  evals.cancel(remote);
});

it('phases of a rollout come in order, turn by turn', async () => {
  const phases: string[] = [];
  const env = libraryEntry('wordle-mini').load();
  await evaluate(env, new ScriptedModel(() => 'tab'), {
    numExamples: 1,
    onPhase: (exampleId, rollout, phase) => phases.push(`${exampleId} ${rollout} ${phase}`),
  });
  expect(phases).toEqual([
    '0 0 set-up',
    ...['turn 1', 'turn 2', 'turn 3', 'turn 4'].map((turn) => `0 0 ${turn}`),
    '0 0 scoring',
  ]);
});
