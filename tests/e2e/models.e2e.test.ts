/**
 * @file Models of a hub in the built page: looked at, downloaded, talked with, trained, taken home and brought back; and
 * everything that can go wrong with one.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { unzipSync, zipSync } from 'fflate';
import type { Browser, Page } from 'puppeteer';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { loadAdapter, loadCheckpoint, parseModelConfig } from '../../src/model';
import { serveHub } from '../hub_server';
import type { HubServer } from '../hub_server';
import {
  byTestId,
  fill,
  greedily,
  launch,
  openPage,
  press,
  send,
  serveSite,
  textOf,
  waitForStatus,
  waitForStep,
} from './browser';
import type { OpenPage, Site } from './browser';
import { hubModel, hubModelFiles } from './hub_model';
import { pressIn, waitForRuns } from './runs_panel';

const MODEL = 'tiny/qwen3-instruct';
const NAME = `hf:${MODEL}`;

const scratch = mkdtempSync(join(tmpdir(), 'terrarium-models-'));
let hub: HubServer;
let site: Site;
let browser: Browser;
let opened: OpenPage | undefined;

beforeAll(async () => {
  hub = await serveHub(
    await hubModel(MODEL),
    await hubModel('tiny/private', { tokens: ['hf_right'], denied: ['hf_denied'] }),
    await hubModel('tiny/other-llama', { family: 'llama', tokenizer: 'smollm-like', seed: 2 }),
  );
  site = await serveSite();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  site?.close();
  await hub?.close();
  rmSync(scratch, { recursive: true });
});

/** Opens the page with the tests' hub, and downloads going to a folder. */
async function open(hash = ''): Promise<Page> {
  opened = await openPage(browser, `${site.url}?hub=${hub.endpoint}${hash}`);
  const { page } = opened;
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: scratch });
  await waitForStatus(page, 'ready', 'stopped');
  await page.waitForSelector(byTestId('model-name'));
  return page;
}

/** Nothing is left for the next test, and the console is silent but for the hub's refusals, which the browser reports. */
afterEach(async () => {
  hub.fault = () => undefined;
  if (!opened) return;
  const { page, complaints } = opened;
  opened = undefined;
  await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    for (const folder of ['runs', 'models']) await root.removeEntry(folder, { recursive: true }).catch(() => undefined);
  });
  await page.close();
  const refused = (text: string) =>
    /status of 40[134]/.test(text) || /^request failed: .*(\/api\/models\/|\?signature=)/.test(text);
  expect(complaints.filter((text) => !refused(text))).toEqual([]);
});

async function look(page: Page, name: string, token = ''): Promise<void> {
  await fill(page, 'model-name', name);
  await fill(page, 'model-token', token);
  await press(page, 'Look');
}

const downloaded = (page: Page) => page.waitForSelector(byTestId('model-said'), { timeout: 60_000 });

/** Presses a button in an element. */
async function pressAt(page: Page, selector: string, text: string): Promise<void> {
  const button = await page.waitForSelector(`::-p-xpath(//*[${selector}]//button[normalize-space()="${text}"])`);
  await button!.click();
}

/** An element's text in one line. */
async function said(page: Page, id: string): Promise<string> {
  return (await textOf(page, id)).replaceAll(/\s+/g, ' ').trim();
}

async function problem(page: Page): Promise<string> {
  await page.waitForSelector(byTestId('model-problem'), { timeout: 60_000 });
  return (await textOf(page, 'model-problem')).trim();
}

/** A file that the page has handed out. */
async function taken(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const path = join(scratch, name);
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 50));
  return new Uint8Array(readFileSync(path));
}

async function upload(page: Page, id: string, name: string, bytes: Uint8Array): Promise<void> {
  const path = join(scratch, name);
  writeFileSync(path, bytes);
  const input = await page.$(`input${byTestId(id)}`);
  await (input as unknown as { uploadFile: (path: string) => Promise<void> }).uploadFile(path);
}

const folderOf = (zip: Uint8Array, folder: string) => {
  const files = unzipSync(zip);
  return { name: 'zip', read: (file: string) => Promise.resolve(files[`${folder}/${file}`]) };
};

/** Settings of a run of seconds on the hub's model: three GRPO steps with an adapter, with a reward that noise gets some of. */
const RUN = [
  'env=reverse-text',
  `start=${encodeURIComponent(NAME)}`,
  'method=lora',
  'lora.rank=4',
  'lora.alpha=8',
  `env_args=${encodeURIComponent('{"reward":"recall"}')}`,
  'sampling.max_tokens=8',
  'grpo.steps=3',
  'grpo.batch_size=8',
  'grpo.group_size=4',
  'grpo.lr=0.01',
  'eval.examples=4',
  'eval.interval=0',
  'checkpoint.interval=1',
].join('&');

it('from the hub to a conversation: looked at, broken off, resumed, there after a reload, two side by side', async () => {
  const page = await open();
  expect(await textOf(page, 'hub')).toContain(hub.endpoint);
  await look(page, `${hub.endpoint}/${MODEL}`);
  await page.waitForSelector(byTestId('about'));
  expect(await said(page, 'about')).toMatch(/qwen3, 123,264 weights in 2 layers, .* A download of 5\d\d KiB/);
  for (const use of ['inference', 'lora', 'full']) expect(await said(page, `plan-${use}`)).toMatch(/fits: .* of 2 GiB/);
  expect(hub.requestsFor('model.safetensors')).toEqual([]);

  hub.fault = (file) => (file === 'model.safetensors' ? { delay: 150 } : undefined);
  await press(page, 'Download');
  await page.waitForFunction(
    (id: string) =>
      /[1-3]\d\d KiB of 5\d\d KiB\s+· .*\/s\s+· about \d+ s left\s+model\.safetensors/.test(
        document.querySelector(id)?.textContent ?? '',
      ),
    {},
    byTestId('download-progress'),
  );
  await press(page, 'Cancel');
  await downloaded(page);
  expect(await textOf(page, 'model-said')).toContain('What has come is kept');
  expect(await textOf(page, 'cached')).toContain('broken off');
  hub.fault = () => undefined;
  await press(page, 'Go on');
  await page.waitForSelector(`${byTestId('about')} button`);
  await page.waitForFunction(
    (id: string) => document.querySelector(id)?.textContent.includes('is here'),
    {},
    byTestId('model-said'),
  );
  expect(hub.requestsFor('model.safetensors').at(-1)!.headers.range).toMatch(/^bytes=[1-9]\d*-$/);

  await page.reload();
  await waitForStatus(page, 'ready');
  const asked = hub.requests.length;
  await page.waitForSelector(`${byTestId('cached')}[data-name="${NAME}"]`);
  const other = zipSync(
    Object.fromEntries(await hubModelFiles({ family: 'llama', tokenizer: 'smollm-like', seed: 2 })),
  );
  await upload(page, 'model-zip', 'my-llama.zip', other);
  await page.waitForSelector(`${byTestId('folder')}[data-name="folder:my-llama"]`);

  await pressAt(page, '@data-testid="cached"', 'Chat');
  await page.waitForFunction(
    (id: string) => document.activeElement === document.querySelector(id),
    {},
    byTestId('say-text'),
  );
  await page.select(byTestId('ask-second'), '{"kind":"model","name":"folder:my-llama"}');
  await press(page, 'Settings');
  await page.waitForSelector(byTestId('say-maxTokens'));
  await fill(page, 'say-maxTokens', '24');
  await fill(page, 'say-system', 'You are small.');
  await page.type(byTestId('say-text'), 'Who are you?');
  const first = await send(page);
  expect(first.sides.map(({ status }) => status)).toEqual(['done', 'done']);
  expect(first.sides[0]!.text).not.toBe(first.sides[1]!.text);
  expect(await page.$$eval(byTestId('speed'), (all) => all.map(({ textContent }) => textContent))).toEqual([
    expect.stringMatching(/^\d+ tokens, [\d.]+ per second$/),
    expect.stringMatching(/^\d+ tokens, [\d.]+ per second$/),
  ]);
  expect(hub.requests).toHaveLength(asked); // nobody was asked for what is here

  // The same seed and the same words: the same reply.
  await press(page, 'New chat');
  await page.type(byTestId('say-text'), 'Who are you?');
  expect(await send(page)).toEqual({ ...first, text: expect.anything() as string });

  // What a token could have been, by pointer and by keyboard: the same numbers.
  await page.hover(`${byTestId('reply')} [data-index="3"]`);
  await page.waitForSelector(byTestId('alternative'));
  const details = () => textOf(page, 'token');
  const hovered = await details();
  expect(hovered).toMatch(/log p -\d+\.\d{3}/);
  expect(await page.$$eval(byTestId('alternative'), (rows) => rows.length)).toBe(5);
  await page.mouse.move(5, 5);
  expect(await page.$(byTestId('token'))).toBeNull();
  await page.focus(byTestId('reply'));
  for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowRight');
  expect(await details()).toBe(hovered);
  const chosen = await page.$eval('[aria-activedescendant]', (list) => list.getAttribute('aria-activedescendant'));
  expect(await page.$eval(`[id="${chosen}"]`, (token) => token.getAttribute('data-index'))).toBe('3');
  await page.keyboard.press('Escape');
  expect(await page.$(byTestId('token'))).toBeNull();

  // A second message goes on with the first, and stops in the middle.
  await fill(page, 'say-maxTokens', '300');
  await fill(page, 'say-temperature', '5');
  await page.type(byTestId('say-text'), 'And then?');
  await press(page, 'Send');
  await page.waitForFunction(
    (id: string) =>
      /^\d+ tokens/.test([...document.querySelectorAll(id)].at(-1)?.textContent ?? '') &&
      document.querySelectorAll(id).length > 2,
    {},
    byTestId('speed'),
  );
  await press(page, 'Stop');
  await page.waitForSelector(`${byTestId('side')}[data-status="stopped"]`);
  await fill(page, 'say-maxTokens', '4');
  await page.type(byTestId('say-text'), 'Go on');
  expect((await send(page)).sides.map(({ status }) => status)).toEqual(['done', 'done']);

  await pressAt(page, '@data-testid="cached"', 'Delete');
  await press(page, 'Delete it');
  await page.waitForFunction((id: string) => !document.querySelector(id), {}, byTestId('cached'));
});

it('three GRPO steps with LoRA on a model of the hub: eval, adapter and merged model taken home and brought back, resumed', async () => {
  const page = await open();
  await look(page, MODEL);
  await press(page, 'Download');
  await downloaded(page);

  // By the page's own controls: the model becomes what runs start from, in every environment.
  await press(page, 'Start runs from it');
  await waitForStatus(page, 'ready');
  expect(await page.$eval(byTestId('start'), (select) => (select as HTMLSelectElement).value)).toBe(NAME);
  expect(await page.$$eval('input[name=env]', (all) => all.length)).toBeGreaterThan(15);
  await page.waitForSelector(byTestId('method'));
  await page.select(byTestId('method'), 'lora');
  await waitForStatus(page, 'ready');
  await fill(page, 'lora-rank', '4');
  await page.click(byTestId('target-down_proj'));
  await page.waitForFunction(() => location.hash.includes('lora.rank=4') && !location.hash.includes('down_proj'));
  await waitForStatus(page, 'ready');
  await page.waitForFunction(
    (id: string) => /^Needs .*of GPU memory: weights/.test(document.querySelector(id)?.textContent ?? ''),
    {},
    byTestId('memory'),
  );

  // By a link: a run of seconds.
  await page.evaluate((hash) => (location.hash = hash), RUN);
  await page.waitForFunction(
    (id: string) => document.querySelector<HTMLInputElement>(id)?.value === '8',
    {},
    byTestId('lora-alpha'),
  );
  await waitForStatus(page, 'ready');
  await fill(page, 'eval-examples', '4');
  await press(page, 'Evaluate');
  await page.waitForSelector(byTestId('eval-reward'), { timeout: 60_000 });
  expect(await textOf(page, 'eval-reward')).toMatch(/^0\.\d{3}/);
  await press(page, 'Train');
  await waitForStatus(page, 'done');
  const hash = (await textOf(page, 'hash')).trim();

  await press(page, 'Save adapter');
  const adapter = await taken('reverse-text-seed1.zip');
  const { config } = await loadCheckpoint(folderOf(zipSync({ m: Object.fromEntries(await hubModelFiles()) }), 'm'));
  const { lora } = await loadAdapter(folderOf(adapter, 'reverse-text-seed1'), config);
  expect(lora).toMatchObject({ rank: 4, alpha: 8, baseModel: MODEL });
  await press(page, 'Save merged');
  const merged = await taken('reverse-text-seed1-merged.zip');
  expect((await loadCheckpoint(folderOf(merged, 'reverse-text-seed1-merged'))).config).toEqual(config);

  // Again up to the second step, exported, imported, and gone on with: the same weights.
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  await press(page, 'Step');
  await waitForStep(page, 1);
  await waitForStatus(page, 'paused');
  await press(page, 'Step');
  await waitForStep(page, 2);
  await waitForStatus(page, 'paused');
  await press(page, 'Stop');
  await waitForStatus(page, 'stopped');
  // The list follows a moment later.
  await page.waitForFunction(
    (selector: string) => [...document.querySelectorAll(selector)].some((row) => row.textContent.includes('2 of 3')),
    {},
    byTestId('run'),
  );
  const [left] = (await waitForRuns(page, 2)).filter(({ text }) => text.includes('2 of 3'));
  await pressIn(page, left!.id, 'Export');
  const run = await taken(`${left!.id}.zip`);
  await pressIn(page, left!.id, 'Delete');
  await pressIn(page, left!.id, 'Delete it');
  await waitForRuns(page, 1);
  await upload(page, 'import-run', 'moved.zip', run);
  await waitForRuns(page, 2);
  await pressIn(page, left!.id, 'Resume');
  await waitForStatus(page, 'done');
  expect((await textOf(page, 'hash')).trim()).toBe(hash);

  // The adapters of both runs lie over one base; the merged model says what the adapted one does.
  await upload(page, 'model-zip', 'merged.zip', merged);
  await page.waitForSelector(byTestId('folder'));
  const adapters = await page.$$eval(byTestId('adapter'), (items) => items.map(({ textContent }) => textContent));
  expect(adapters.filter((text) => text.includes('step 3, rank 4'))).toHaveLength(2);
  await page.select(byTestId('ask-env'), '');
  await greedily(page);
  await fill(page, 'say-maxTokens', '12');
  await fill(page, 'say-text', 'Say something');
  const reply = async (who: string) => {
    const value = await page.$$eval(
      `${byTestId('ask-first')} option`,
      (options, wanted) => options.find(({ value }) => value.includes(wanted))?.getAttribute('value'),
      who,
    );
    await page.select(byTestId('ask-first'), value!);
    await page.select(byTestId('ask-second'), '{"kind":"current"}');
    await fill(page, 'say-text', 'Say something');
    const { sides } = await send(page);
    expect(sides.map(({ problem }) => problem)).toEqual(['', '']);
    return sides.map(({ text }) => text);
  };
  await page.click(byTestId('continues'));
  const [, now] = await reply(`"name":"${NAME}"`);
  for (const who of [`"run":"${left!.id}","step":3`, 'reverse-text-seed1-merged']) {
    expect(await reply(who), who).toEqual([now, now]);
  }
});

it('inside an environment its tools work, and its rewards are shown', async () => {
  const page = await open('#env=wiki-search-mini');
  await page.waitForSelector(byTestId('tools'));
  expect(await textOf(page, 'tools')).toMatch(/search/);
  await greedily(page);
  expect(await page.$(byTestId('say-system'))).toBeNull();
  await press(page, 'A task');
  await page.waitForFunction(
    (id: string) => document.querySelector<HTMLTextAreaElement>(id)!.value !== '',
    {},
    byTestId('say-text'),
  );
  const { sides } = await send(page);
  expect(sides.map(({ status }) => status)).toEqual(['done', 'done']);
  expect(await page.$$eval(byTestId('outcome'), (all) => all.map(({ textContent }) => textContent))).toEqual([
    expect.stringMatching(/reward [01]\.\d\d/),
    expect.stringMatching(/reward [01]\.\d\d/),
  ]);
  // Greedy, the starting model looks things up about half of the time.
  for (let tasks = 0; (await page.$(byTestId('heard'))) === null; tasks++) {
    expect(tasks).toBeLessThan(8);
    await press(page, 'A task');
    await page.waitForFunction(
      (id: string) => document.querySelector<HTMLTextAreaElement>(id)!.value !== '',
      {},
      byTestId('say-text'),
    );
    await send(page);
  }
  expect(await textOf(page, 'heard')).toMatch(/^tool/);
});

it('what cannot be used says why, in one sentence, and the page goes on', async () => {
  const page = await open();
  const files = await hubModelFiles();
  const zip = (change: (model: Map<string, Uint8Array<ArrayBuffer>>) => void) => {
    const model = new Map(files);
    change(model);
    return zipSync({ mine: Object.fromEntries(model) });
  };
  const few = await hubModelFiles({ shape: { vocabSize: 700 } });
  const config = JSON.parse(new TextDecoder().decode(files.get('config.json'))) as Record<string, unknown>;
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const told: string[] = [];
  const tell = async () => told.push(await problem(page));

  await look(page, 'not a model');
  await tell();
  await look(page, 'tiny/nobody', 'hf_right');
  await tell();
  await look(page, 'tiny/private');
  await tell();
  await look(page, 'tiny/private', 'hf_wrong');
  await tell();
  await look(page, 'tiny/private', 'hf_denied');
  await tell();
  hub.models.set('tiny/gpt2', {
    id: 'tiny/gpt2',
    files: new Map([...files, ['config.json', json({ ...config, architectures: ['GPT2LMHeadModel'] })]]),
  });
  await look(page, 'tiny/gpt2');
  await tell();
  expect(told).toEqual([
    expect.stringContaining('"not a model" is no model of'),
    expect.stringContaining('there is no model tiny/nobody with a revision main'),
    expect.stringContaining('gives tiny/private to nobody without a token'),
    expect.stringContaining('does not accept the token'),
    expect.stringContaining('denies tiny/private: the token may not read it'),
    expect.stringContaining('GPT2LMHeadModel'),
  ]);

  // With the right token it can be looked at; one byte of its weights is wrong.
  await look(page, 'tiny/private', 'hf_right');
  await page.waitForSelector(byTestId('about'));
  hub.fault = (file) => (file === 'model.safetensors' ? { flip: 5000 } : undefined);
  await press(page, 'Download');
  expect(await problem(page)).toMatch(/^model\.safetensors of hf:tiny\/private@\w+ is damaged: its sha256 should be/);
  expect(await page.$(byTestId('cached'))).toBeNull();
  hub.fault = () => undefined;

  for (const [change, message] of [
    [(model) => model.delete('config.json'), 'mine: config.json is missing'],
    [(model) => model.delete('model.safetensors'), 'mine: model.safetensors is missing'],
    [
      (model) => model.set('model.safetensors', files.get('model.safetensors')!.slice(0, 9000)),
      'mine/model.safetensors',
    ],
    [(model) => few.forEach((bytes, file) => model.set(file, bytes)), 'tokenizer.json has 701 tokens'],
    [(model) => model.set('config.json', json({ ...config, hidden_size: 48 })), 'model.embed_tokens.weight'],
    [
      (model) =>
        model.set(
          'tokenizer_config.json',
          json({
            ...JSON.parse(new TextDecoder().decode(files.get('tokenizer_config.json'))),
            chat_template: '{{ nothing( }}',
          }),
        ),
      'template',
    ],
  ] as [(model: Map<string, Uint8Array<ArrayBuffer>>) => void, string][]) {
    await upload(page, 'model-zip', 'mine.zip', zip(change));
    expect(await problem(page)).toContain(message);
    await upload(page, 'model-zip', 'broken.zip', new Uint8Array(100));
    await page.waitForFunction(
      (id: string) => document.querySelector(id)?.textContent.includes('broken.zip is not a .zip'),
      {},
      byTestId('model-problem'),
    );
  }

  // Too large for the device: said before anything is downloaded.
  const huge = {
    ...config,
    hidden_size: 8192,
    num_hidden_layers: 40,
    head_dim: 128,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    intermediate_size: 28672,
    vocab_size: 151936,
  };
  parseModelConfig(huge, 'config.json');
  hub.models.set('huge/model', { id: 'huge/model', files: new Map([...files, ['config.json', json(huge)]]) });
  await look(page, 'huge/model');
  await page.waitForSelector(byTestId('about'));
  for (const use of ['inference', 'lora', 'full']) {
    expect(await said(page, `plan-${use}`)).toMatch(/does not fit.*No settings make it fit: choose a smaller model/);
  }

  // And what is here all the same does not begin a run that it does not fit.
  await look(page, MODEL);
  await press(page, 'Download');
  await downloaded(page);
  await page.evaluate((hash) => (location.hash = hash), `${RUN}&memory.budget_mb=1`);
  await waitForStatus(page, 'stopped');
  expect(await page.$eval('[role=alert]', (alert) => alert.textContent)).toMatch(
    /UnfitConfigError: This run needs .* 1 MiB are allowed/,
  );
  await page.evaluate((hash) => (location.hash = hash), `${RUN.replace('qwen3-instruct', 'missing')}`);
  await page.waitForFunction(() =>
    document
      .querySelector('[role=alert]')
      ?.textContent.includes('hf:tiny/missing is not in this browser: download it under Models'),
  );
  await pressAt(page, '@data-testid="about"', 'Chat');
  await page.type(byTestId('say-text'), 'Still there?');
  const { sides } = await send(page);
  expect(sides.map(({ status }) => status)).toEqual(['done']);
});

/** Complaints of axe, each with the elements that it is about. */
async function axeProblems(page: Page): Promise<[rule: string, elements: string[]][]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]);
}

it('has no accessibility problem, light or dark, wide or narrow; a model is found, downloaded and asked by keyboard', async () => {
  const page = await open();
  const focused = () =>
    page.evaluate(
      () => document.activeElement?.getAttribute('data-testid') ?? document.activeElement?.textContent?.trim(),
    );
  await press(page, 'Another model ...');
  expect(await focused()).toBe('model-name');
  await page.keyboard.type(MODEL);
  await page.keyboard.press('Enter');
  await page.waitForSelector(byTestId('about'));
  const tabTo = async (wanted: string) => {
    for (let presses = 0; (await focused()) !== wanted; presses++) {
      expect(presses).toBeLessThan(12);
      await page.keyboard.press('Tab');
    }
  };
  await tabTo('Download');
  await page.keyboard.press('Enter');
  await downloaded(page);
  await page.focus(byTestId('model-name'));
  await tabTo('Chat');
  await page.keyboard.press('Enter');
  await page.waitForFunction(
    (id: string) => document.activeElement === document.querySelector(id),
    {},
    byTestId('say-text'),
  );
  await press(page, 'Settings');
  await fill(page, 'say-maxTokens', '30');
  await page.focus(byTestId('say-text'));
  await page.keyboard.type('Hello');
  await page.keyboard.press('Enter');
  await page.waitForSelector(`${byTestId('side')}[data-status="done"]`);
  expect(await focused()).toBe('say-text');
  await look(page, 'tiny/nobody');
  await problem(page);
  await page.focus(byTestId('reply'));
  await page.waitForSelector(byTestId('alternative'));
  expect(await axeProblems(page)).toEqual([]);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  expect(await axeProblems(page)).toEqual([]);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  await page.setViewport({ width: 390, height: 800 });
  await page.waitForFunction(() => document.documentElement.scrollWidth === 390);
  expect(await axeProblems(page)).toEqual([]);
});
