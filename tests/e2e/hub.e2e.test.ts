/**
 * @file Models of a hub in a browser's private file system: downloaded, gone on with after a reload, bounded by the browser's
 * quota, fetched once by two tabs, and with a token that goes to one origin.
 */
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'puppeteer';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { serveHub } from '../hub_server';
import type { HubServer, ServedModel } from '../hub_server';
import { oracleModel, randomBytes } from '../model/hub/models';
import { launch } from './browser';
import type { HubAnswer, HubCommand } from './hub_worker';

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-hub-e2e-'));
const site = join(scratch, 'site');
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript' };

const server = createServer((request, reply) => {
  const path = new URL(request.url!, 'http://x').pathname;
  const file = join(site, path === '/' ? 'index.html' : path);
  if (!existsSync(file)) reply.writeHead(404).end();
  else reply.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/wasm' }).end(readFileSync(file));
});

/** Asks the worker; `window.progress` is the last that a download said. */
const PAGE = `
  import HubWorker from ${JSON.stringify(`${fileURLToPath(new URL('./hub_worker.ts', import.meta.url))}?worker`)};
  const worker = new HubWorker();
  const waiting = new Map();
  worker.onmessage = ({ data }) => {
    if (data.progress) window.progress = data.progress;
    else { waiting.get(data.id)(data.reply); waiting.delete(data.id); }
  };
  let next = 0;
  window.ask = (command) => new Promise((resolve) => {
    waiting.set(next, resolve);
    worker.postMessage({ id: next++, command });
  });
`;

let browser: Browser;
let address: string;
beforeAll(async () => {
  const root = join(scratch, 'root');
  mkdirSync(root);
  writeFileSync(join(root, 'main.js'), PAGE);
  writeFileSync(join(root, 'index.html'), '<script type="module" src="./main.js"></script>');
  await build({
    configFile: false,
    root,
    base: './',
    logLevel: 'error',
    worker: { format: 'es' },
    build: { outDir: site, target: 'es2022', minify: false },
  });
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
  rmSync(scratch, { recursive: true });
});

const SIZE = 12_000_000;
const WEIGHTS = 'model.safetensors';

function bigModel(more: Partial<ServedModel> = {}): ServedModel {
  const model = oracleModel('llama-tiny', { id: 'some/big', ...more });
  model.files.set(WEIGHTS, randomBytes(SIZE, 1));
  return model;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let hub: HubServer;
let page: Page;
beforeEach(async () => {
  page = await open();
});
afterEach(async () => {
  for (const { key } of (await ask(page, { what: 'list' })).models ?? []) await ask(page, { what: 'delete', key });
  await page.close();
  await hub.close();
});

async function open(): Promise<Page> {
  const opened = await browser.newPage();
  await opened.goto(address);
  await ready(opened);
  return opened;
}

const ready = (opened: Page) => opened.waitForFunction(() => 'ask' in window);

/** Asks the worker of a page and waits for its answer. */
function ask(opened: Page, command: HubCommand): Promise<HubAnswer> {
  return opened.evaluate(
    (each) => (window as unknown as { ask: (command: unknown) => Promise<HubAnswer> }).ask(each),
    command as never,
  );
}

const download = (opened: Page, options: { token?: string } = {}) =>
  ask(opened, {
    what: 'download',
    name: 'some/big',
    options: { endpoint: hub.endpoint, backOffSeconds: 0.01, ...options },
  });

const list = async () => (await ask(page, { what: 'list' })).models!;
const hash = async (opened = page) =>
  (await ask(opened, { what: 'hash', name: 'some/big', file: WEIGHTS, endpoint: hub.endpoint })).hash;

/** Waits until so many bytes of a model are there, as its download says. */
const progressed = (opened: Page, bytes: number) =>
  opened.waitForFunction(
    (least: number) => ((window as unknown as { progress?: { done: number } }).progress?.done ?? 0) >= least,
    { polling: 20 }, // not by frames, of which a tab in the background has none
    bytes,
  );

const storageRequests = () => hub.requests.filter(({ origin }) => origin === 'storage');

/** Lets the page keep so much, or with undefined as much as the browser does by itself, as long as the page is there. */
async function quotaOf(opened: Page): Promise<(bytes: number | undefined) => Promise<void>> {
  const session = await opened.createCDPSession();
  const { origin } = new URL(address);
  return (bytes) =>
    session.send('Storage.overrideQuotaForOrigin', { origin, ...(bytes !== undefined && { quotaSize: bytes }) });
}

it('a private model is kept, found, hashed and deleted; its token goes to the hub alone, whatever redirects', async () => {
  const model = bigModel({ tokens: ['hf_secret'] });
  hub = await serveHub(model);
  expect((await download(page)).error).toMatch(/^HubAccessError: .* gives some\/big to nobody without a token/);
  const got = await download(page, { token: 'hf_secret' });
  expect(got).toMatchObject({ name: expect.stringMatching(/^hf:some\/big@/) as string, waited: false });
  expect(await hash()).toBe(sha256(model.files.get(WEIGHTS)!));

  const files = hub.requests.filter(({ origin, path }) => origin === 'hub' && path.includes('/resolve/'));
  expect(files.length).toBeGreaterThan(2);
  expect(files.every(({ headers }) => headers.authorization === 'Bearer hf_secret')).toBe(true);
  expect(storageRequests()).toHaveLength(1);
  expect(JSON.stringify(storageRequests())).not.toMatch(/hf_secret|authorization/i);

  await page.reload();
  await ready(page);
  const [kept, ...more] = await list();
  expect(more).toEqual([]);
  expect(kept).toMatchObject({ id: 'some/big', revision: 'main', complete: true, inUse: false });
  expect(kept!.bytes).toBeGreaterThan(SIZE);
  await ask(page, { what: 'delete', key: kept!.key });
  expect(await list()).toEqual([]);
  expect(await hash()).toBeUndefined();
});

it('a download goes on after the page was closed in its midst, and after it was called off', async () => {
  const model = bigModel();
  hub = await serveHub(model);
  let answers = 0;
  hub.fault = (file) =>
    file !== WEIGHTS ? undefined : answers++ === 0 ? { delay: 10 } : answers === 2 ? { delay: 5 } : undefined;
  void download(page).catch(() => undefined); // the page is gone before there is an answer
  await progressed(page, 8_500_000);
  await page.reload();
  await ready(page);
  const [part] = await list();
  expect(part).toMatchObject({ id: 'some/big', complete: false });
  expect(part!.bytes).toBeGreaterThan(8 * 2 ** 20);

  const calledOff = download(page);
  await progressed(page, 10_000_000);
  await ask(page, { what: 'cancel' });
  expect(await calledOff).toEqual({ error: 'Error: called off' });

  expect(await download(page)).toMatchObject({ waited: false });
  const begins = storageRequests().map(({ headers }) => Number(/\d+/.exec(headers.range ?? '0')![0]));
  expect(begins).toHaveLength(3);
  expect(begins[1]).toBe(8 * 2 ** 20); // whole pieces of 4 MiB survive a page
  expect(begins[2]).toBeGreaterThan(begins[1]!); // and every byte being called off
  expect(await hash()).toBe(sha256(model.files.get(WEIGHTS)!));
});

it('two tabs that want the same model download it once', async () => {
  const model = bigModel();
  hub = await serveHub(model);
  hub.fault = (file) => (file === WEIGHTS ? { delay: 5 } : undefined);
  const other = await open();
  const first = download(page);
  await progressed(page, 1_000_000);
  const second = download(other);
  const [a, b] = await Promise.all([first, second]);
  expect([a.waited, b.waited]).toEqual([false, true]);
  expect(storageRequests().map(({ sent }) => sent)).toEqual([SIZE]);
  expect(await hash(other)).toBe(sha256(model.files.get(WEIGHTS)!));
  await other.close();
});

it('a model for which the browser has no room is refused before it is downloaded', async () => {
  hub = await serveHub(bigModel({ listed: { [WEIGHTS]: 1e15 } }));
  const { error } = await download(page);
  expect(error).toMatch(
    /^StorageFullError: some\/big needs 931000 GiB, and [\d.]+ [MG]iB are free: delete other models, or make room$/,
  );
  expect(storageRequests()).toEqual([]);
  expect(await list()).toEqual([]);
});

it('when there is no more room in its midst, a download keeps what has come, and goes on when there is', async () => {
  const model = bigModel();
  hub = await serveHub(model);
  const allow = await quotaOf(page);
  try {
    // Chromium's own estimate does not follow: it is the write that tells.
    await allow(6_000_000);
    expect((await download(page)).error).toMatch(
      /^StorageFullError: the browser gives this page no more room; model\.safetensors of .* could not be written\. [48] MiB of some\/big are kept: make room and download it again to go on, or delete it$/,
    );
    expect(await list()).toMatchObject([{ complete: false }]);
  } finally {
    await allow(undefined);
  }
  await download(page);
  expect(storageRequests().at(-1)!.headers.range).toMatch(/^bytes=[48]\d{6}-$/);
  expect(await hash()).toBe(sha256(model.files.get(WEIGHTS)!));
});
