/** @file Models of a hub in the terminal: listed, downloaded, deleted, evaluated and trained, as a user does it. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { commitOf, serveHub } from '../hub_server';
import type { HubServer, ServedModel } from '../hub_server';
import { ROOT, start, terrarium } from './program';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-models-'));

/** The starter of an environment as somebody put it on the hub. */
function starter(env: string, id: string, more: Partial<ServedModel> = {}): ServedModel {
  const folder = join(ROOT, 'starters', env);
  const files = readdirSync(folder).map((file) => [file, new Uint8Array(readFileSync(join(folder, file)))] as const);
  return { id, files: new Map(files), ...more };
}

const OPEN = starter('reverse-text', 'some/reverse-text');
const PRIVATE = starter('reverse-text', 'some/secret', { tokens: ['hf_secret'] });

let hub: HubServer;
let env: Record<string, string>;
beforeAll(async () => {
  hub = await serveHub(OPEN, PRIVATE);
  env = { HF_ENDPOINT: hub.endpoint, TERRARIUM_CACHE: join(scratch, 'cache'), A_TOKEN: 'hf_secret', HF_TOKEN: '' };
});
beforeEach(() => {
  hub.fault = () => undefined;
});
afterAll(async () => {
  await hub.close();
  rmSync(scratch, { recursive: true });
});

const name = `some/reverse-text@${commitOf(OPEN).slice(0, 12)}`;

it('downloads by name or address, lists with sizes, deletes, and says what is wrong in one line', async () => {
  expect((await terrarium(['models', 'list'], env)).err).toBe(`No models in ${join(scratch, 'cache')}.\n`);

  const first = await terrarium(['models', 'download', 'some/reverse-text'], env);
  expect(first).toMatchObject({ code: 0, out: `hf:${name}\n` });
  expect(first.err).toMatch(/some\/reverse-text: model\.safetensors, [\d.]+ KiB of [\d.]+ KiB/);
  const page = await terrarium(['models', 'download', `${hub.endpoint}/some/reverse-text/tree/main`], env);
  expect(page).toMatchObject({ code: 0, out: `hf:${name}\n`, err: '' });

  const refused = await terrarium(['models', 'download', 'some/secret'], env);
  expect(refused.code).toBe(1);
  expect(refused.err).toBe(
    `HubAccessError: ${hub.endpoint} gives some/secret to nobody without a token: it is private or gated, or there is no ` +
      'such model (Invalid username or password.)\n',
  );
  const secret = await terrarium(['models', 'download', 'some/secret', '--token-env', 'A_TOKEN'], env);
  expect(secret.code).toBe(0);
  expect(secret.out + secret.err).not.toContain('hf_secret');
  const unset = await terrarium(['models', 'download', 'some/secret', '--token-env', 'hf_secret'], env);
  expect(unset.err).toBe('UsageError: --token-env: there is no environment variable of that name, or it is empty\n');

  const { out } = await terrarium(['models', 'list'], env);
  const rows = out.trimEnd().split('\n');
  expect(rows).toHaveLength(3);
  expect(rows[1]).toMatch(/^some\/reverse-text +main +[0-9a-f]{12} +\d{4}-\d\d-\d\d \d\d:\d\d +[\d.]+ KiB$/);

  const gone = await terrarium(['models', 'delete', 'some/secret', '--yes'], env);
  expect(gone.code).toBe(0);
  const none = await terrarium(['models', 'delete', 'some/secret', '--yes'], env);
  expect(none.err).toBe(`UsageError: there is no some/secret in ${join(scratch, 'cache')}\n`);
  expect((await terrarium(['models', 'download', 'reverse-text'], env)).err).toMatch(
    /^ModelAddressError: "reverse-text"/,
  );
  expect((await terrarium(['models', 'list'], env)).out).not.toContain('some/secret');
});

it('a download that is interrupted goes on', async () => {
  const cache = { ...env, TERRARIUM_CACHE: join(scratch, 'interrupted') };
  hub.fault = (file) => (file === 'model.safetensors' ? { stallAfter: 30_000 } : undefined);
  const { child, ended } = start(['models', 'download', 'some/reverse-text'], cache);
  const before = hub.requests.length;
  const stalled = () => hub.requests.slice(before).some(({ origin, sent }) => origin === 'storage' && sent === 30_000);
  while (!stalled()) await new Promise((go) => setTimeout(go, 20));
  await new Promise((go) => setTimeout(go, 200)); // sent is not come yet
  child.kill('SIGINT');
  expect(await ended).toMatchObject({
    code: 1,
    err: expect.stringMatching(/\nUsageError: interrupted; the same command goes on from here\n$/) as string,
  });
  expect((await terrarium(['models', 'list'], cache)).out).toMatch(/some\/reverse-text .* partial /);
  hub.fault = () => undefined;
  const folder = join(scratch, 'interrupted/models', `some--reverse-text@${commitOf(OPEN)}`);
  const kept = statSync(join(folder, 'model.safetensors')).size;
  expect(kept).toBeGreaterThan(0);
  expect((await terrarium(['models', 'download', 'some/reverse-text'], cache)).code).toBe(0);
  expect(hub.requests.at(-1)!.headers.range).toBe(`bytes=${kept}-`);
});

it('a model of the hub is evaluated and trained by its name, and comes from the cache the second time', async () => {
  const cache = { ...env, TERRARIUM_CACHE: join(scratch, 'used') };
  const few = ['-n', '4', '-r', '1'];
  const ours = await terrarium(['eval', 'reverse-text', '-m', 'hf:some/reverse-text', ...few], cache);
  expect(ours.err).toContain(`parameters from hf:${name}, on `);
  const shipped = await terrarium(['eval', 'reverse-text', ...few], cache);
  const rewards = (text: string) => /reward.*$/m.exec(text)?.[0];
  expect(rewards(ours.out)).toBeDefined();
  expect(rewards(ours.out)).toBe(rewards(shipped.out));

  const asked = hub.requests.length;
  const settings = ['start=hf:some/reverse-text', 'grpo.steps=1', 'grpo.warmup_steps=0', 'eval.examples=4'];
  const flags = settings.flatMap((setting) => ['--set', setting]);
  const trained = await terrarium(['train', 'reverse-text', ...flags, '--json'], cache);
  expect(trained.code, trained.err).toBe(0);
  const [begun] = trained.out.split('\n').map((line) => JSON.parse(line || 'null') as { start?: string } | null);
  expect(begun).toMatchObject({ event: 'start', start: 'hf:some/reverse-text' });
  expect(hub.requests).toHaveLength(asked);
});
