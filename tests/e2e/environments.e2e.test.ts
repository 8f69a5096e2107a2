/** @file The library in the page: found, read, set, evaluated with the page's model and with an endpoint, looked at. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { unzipSync } from 'fflate';
import type { Browser, Page } from 'puppeteer';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { starterPath } from '../../cli/files';
import { chatBody, json, serve } from '../endpoint';
import type { Endpoint } from '../endpoint';
import { exportOnnx } from '../onnx/export';
import { byTestId, launch, openPage, press, serveSite, textOf, waitForStatus } from './browser';
import type { OpenPage, Site } from './browser';

let site: Site;
let browser: Browser;
let opened: OpenPage;
let endpoint: Endpoint;

const MARKUP = '<img src=x onerror="window.broken=1">';
const SHOTS = process.env.SCREENSHOTS;

beforeAll(async () => {
  site = await serveSite();
  browser = await launch();
  endpoint = await serve((_, reply) => json(reply, chatBody({ role: 'assistant', content: MARKUP })));
});

afterAll(async () => {
  await browser?.close();
  site?.close();
  await endpoint?.close();
});

afterEach(async () => {
  await opened.page.close();
  expect(opened.complaints).toEqual([]);
});

async function open(): Promise<Page> {
  opened = await openPage(browser, `${site.url}#env=even-digits`);
  await waitForStatus(opened.page, 'ready');
  return opened.page;
}

const shown = (page: Page, id: string) => page.waitForSelector(byTestId(id), { timeout: 120_000 });

/** Waits until the newest eval has come to an end. */
async function evaluated(page: Page, status = 'done'): Promise<void> {
  await page.waitForSelector(`${byTestId('library-result')}[data-status=${status}]`, { timeout: 120_000 });
}

async function fill(page: Page, id: string, value: string): Promise<void> {
  await page.$eval(byTestId(id), (field) => {
    (field as HTMLInputElement).value = '';
    field.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await page.type(byTestId(id), value);
  await page.keyboard.press('Tab');
}

async function choose(page: Page, name: string): Promise<void> {
  await page.click(`${byTestId('library-entry')}[data-name="${name}"]`);
  await shown(page, 'library-environment');
}

const entries = (page: Page) =>
  page.$$eval(byTestId('library-entry'), (items) => items.map((item) => item.getAttribute('data-name')));

async function shoot(page: Page, name: string): Promise<void> {
  if (!SHOTS) return;
  const panel = await page.$('[aria-label="Environments"]');
  await panel!.screenshot({ path: join(SHOTS, `${name}.png`) });
}

async function problems(page: Page): Promise<[rule: string, elements: string[]][]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]);
}

it('found by search and tag; card, tasks and source are shown; options are a form that refuses what does not fit', async () => {
  const page = await open();
  await press(page, 'Open the library');
  await shown(page, 'library-entry');
  const all = await entries(page);
  expect(all.length).toBeGreaterThan(15);
  await page.type(byTestId('library-search'), 'secret WORD');
  await page.waitForFunction((n) => document.querySelectorAll('[data-testid="library-entry"]').length === n, {}, 1);
  expect(await entries(page)).toEqual(['wordle']);
  await fill(page, 'library-search', ' ');
  await page.click('::-p-xpath(//div[@aria-label="Tags"]/button[starts-with(normalize-space(), "game")])');
  await page.waitForFunction(
    (n) => document.querySelectorAll('[data-testid="library-entry"]').length < n,
    {},
    all.length,
  );
  expect(await entries(page)).toEqual(expect.arrayContaining(['wordle', 'wordle-mini', 'number-guessing']));
  expect(await entries(page)).not.toContain('reasoning');

  await choose(page, 'number-guessing');
  const opens = async (id: string, wanted: string) => {
    await page.click(`${byTestId(id)} > summary`);
    await page.waitForFunction(
      (selector: string, text: string) => document.querySelector(selector)!.textContent.includes(text),
      { timeout: 30_000 },
      byTestId(id),
      wanted,
    );
  };
  await opens('library-card', 'number-guessing');
  expect(await page.$$eval(`${byTestId('library-card')} td`, (cells) => cells.length)).toBeGreaterThan(4);
  await opens('library-tasks', 'wanted');
  await opens('library-source', 'libraryEntryOf({');
  expect(await page.$$eval(`${byTestId('library-tasks')} ol > li`, (items) => items.length)).toBe(6);
  await shoot(page, 'environment');

  // Other settings, other tasks; what does not fit is refused by name, and nothing can be run.
  const tasks = await textOf(page, 'library-tasks');
  await fill(page, 'option-seed', '5');
  await page.waitForFunction(
    (old) => document.querySelector('[data-testid="library-tasks"]')!.textContent !== old,
    {},
    tasks,
  );
  await fill(page, 'option-largest', '1');
  expect(await textOf(page, 'option-problem')).toContain('number-guessing: option largest');
  expect(await page.$eval('::-p-xpath(//button[.="Run eval"])', (button) => button.ariaDisabled)).toBe('true');
});

it('300 rollouts of the page’s model: live, filtered, sorted, one opened, two evals compared, results downloaded', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-library-'));
  const page = await open();
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
  await press(page, 'Open the library');
  await shown(page, 'library-entry');
  await choose(page, 'even-digits');
  await fill(page, 'library-examples', '150');
  await fill(page, 'library-rollouts', '2');
  await page.evaluate(() => {
    const phases = new Set<string>();
    const look = () => {
      const text = document.querySelector('[data-testid="library-phases"]')?.textContent;
      if (text) phases.add(text);
    };
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
    Object.assign(window, { phases });
  });
  await press(page, 'Run eval');
  await evaluated(page);
  const phases = await page.evaluate(() => [...(window as unknown as { phases: Set<string> }).phases]);
  expect(phases).toContainEqual(expect.stringMatching(/\d+ turn 1/));
  expect(await textOf(page, 'library-reward')).toMatch(/^0\.\d+ \[0\.\d+, 0\.\d+\]$/);
  expect(await textOf(page, 'library-result')).toMatch(/pass@1.*pass@2/s);
  expect(await textOf(page, 'rollout-count')).toBe('300 of 300 rollouts');
  // A page of them is drawn, no more.
  expect(await page.$$eval(byTestId('library-rollout'), (items) => items.length)).toBe(25);
  expect(await textOf(page, 'rollout-page')).toBe('1 / 12');
  const counts = await page.$$eval(`${byTestId('library-histogram')} .visually-hidden`, (items) =>
    items.map((item) => Number(/: (\d+) rollouts/.exec(item.textContent)![1])),
  );
  expect(counts.reduce((a, b) => a + b)).toBe(300);

  const rewards = () =>
    page.$$eval(byTestId('rollout-phase'), (items) => items.map((item) => Number(item.textContent.trim())));
  await fill(page, 'filter-reward-min', '0.6');
  const [, count] = /^(\d+) of 300/.exec(await textOf(page, 'rollout-count'))!;
  expect(Number(count)).toBeGreaterThan(0);
  expect(Number(count)).toBeLessThan(300);
  expect((await rewards()).every((reward) => reward >= 0.6)).toBe(true);
  await page.select(byTestId('sort'), 'reward');
  await page.click(byTestId('descending'));
  const sorted = await rewards();
  expect(sorted).toEqual([...sorted].sort((a, b) => b - a));

  await page.click(`${byTestId('library-rollout')} button`);
  await shown(page, 'library-opened');
  expect(await page.$$eval(byTestId('reward-part'), (items) => items.map((item) => item.textContent))).toEqual(
    expect.arrayContaining([expect.stringMatching(/^evenShare/), expect.stringMatching(/^exactMatch/)]),
  );
  await page.click(`${byTestId('library-opened')} details summary`);
  const logprobs = await page.$$eval(`${byTestId('token-table')} tbody tr`, (rows) =>
    rows.map((cells) => Number(cells.children[2]!.textContent)),
  );
  expect(logprobs.length).toBeGreaterThan(0);
  expect(logprobs.every((logprob) => logprob <= 0 && logprob > -20)).toBe(true);
  await shoot(page, 'result');

  await press(page, 'Download results');
  const file = join(folder, 'even-digits-current-seed1-eval.zip');
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 100));
  const files = unzipSync(new Uint8Array(readFileSync(file)));
  const read = (name: string) => new TextDecoder().decode(files[`even-digits-current-seed1/${name}`]);
  expect(read('results.jsonl').trim().split('\n')).toHaveLength(300);
  expect(JSON.parse(read('metadata.json'))).toMatchObject({ env_id: 'even-digits', rollouts_per_example: 2 });
  rmSync(folder, { recursive: true });

  // The same weights and seed: the difference is nothing, to the last digit.
  await page.select(byTestId('library-model'), 'start');
  await press(page, 'Run eval');
  await page.waitForFunction(() =>
    document.querySelector('[data-testid="library-result"] h3')!.textContent.startsWith('2.'),
  );
  await evaluated(page);
  await page.select(byTestId('compare-first'), '1');
  await page.select(byTestId('compare-second'), '2');
  await shown(page, 'difference');
  const difference = await page.$eval(byTestId('difference'), (row) =>
    [...row.children].map((cell) => cell.textContent),
  );
  expect(difference[0]).toBe('reward');
  expect(difference.slice(3)).toEqual(['+0.000 [+0.000, +0.000]', '0 / 0']);
});

/** Presses Tab until the focus is on an element that this selector matches. */
async function tabTo(page: Page, selector: string): Promise<void> {
  for (let presses = 0; presses < 150; presses++) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`${selector} cannot be reached by keyboard`);
}

it('by keyboard alone, with an endpoint whose markup stays text; nothing to complain about in light, dark and narrow', async () => {
  const page = await open();
  await tabTo(page, '[aria-label="Environments"] > .top > button');
  await page.keyboard.press('Enter');
  await shown(page, 'library-entry');
  await tabTo(page, byTestId('library-search'));
  await page.keyboard.type('Even digits');
  await tabTo(page, byTestId('library-entry'));
  await page.keyboard.press('Enter');
  await shown(page, 'library-environment');
  await tabTo(page, `${byTestId('library-card')} > summary`);
  await page.keyboard.press('Enter');
  await page.waitForSelector(`${byTestId('library-card')} h4`);
  await tabTo(page, byTestId('library-model'));
  await page.keyboard.type('behind');
  await shown(page, 'endpoint-url');
  for (const [id, text] of [
    ['endpoint-url', endpoint.baseUrl],
    ['endpoint-model', 'local'],
    ['endpoint-key', 'sk-secret'],
  ] as const) {
    await tabTo(page, byTestId(id));
    await page.keyboard.type(text);
  }
  await page.keyboard.press('Enter');
  await evaluated(page);
  expect(endpoint.requests).toHaveLength(50);
  expect(endpoint.requests[0]!.headers.authorization).toBe('Bearer sk-secret');
  await tabTo(page, `${byTestId('library-rollout')} button`);
  await page.keyboard.press('Space');
  await shown(page, 'library-opened');
  expect((await textOf(page, 'library-opened')).includes(MARKUP)).toBe(true);
  expect(await page.$(`[aria-label="Environments"] img`)).toBeNull();
  expect(await page.evaluate(() => 'broken' in window)).toBe(false);
  // The key is nowhere that outlives the tab.
  const kept = await page.evaluate(() => JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }]));
  expect(kept).not.toContain('sk-secret');

  expect(await problems(page)).toEqual([]);
  await shoot(page, 'light');
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  expect(await problems(page)).toEqual([]);
  await shoot(page, 'dark');
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  await page.setViewport({ width: 390, height: 800 });
  await page.waitForFunction(() => document.documentElement.scrollWidth === 390);
  expect(await problems(page)).toEqual([]);
  await shoot(page, 'narrow');
});

it('an ONNX model by transformers.js answers in the tab as the model that it was made from', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-onnx-'));
  await exportOnnx(starterPath('letter-sort'), join(folder, 'letter-sort'));
  const served = await serveSite('', folder);
  opened = await openPage(browser, `${served.url}#env=letter-sort`);
  const { page } = opened;
  await waitForStatus(page, 'ready');
  await press(page, 'Open the library');
  await shown(page, 'library-entry');
  await choose(page, 'letter-sort');
  await fill(page, 'library-examples', '24');
  const rewards: string[] = [];
  for (const model of ['start', 'onnx']) {
    await page.select(byTestId('library-model'), model);
    if (model === 'onnx') {
      await fill(page, 'onnx-source', '/models/letter-sort');
      await page.select(byTestId('onnx-device'), 'wasm');
    }
    await press(page, 'Run eval');
    await evaluated(page);
    rewards.push(await textOf(page, 'library-reward'));
  }
  expect(rewards[1]).toBe(rewards[0]);

  // A folder that lacks its model: one error that names it.
  rmSync(join(folder, 'letter-sort/onnx'), { recursive: true });
  await page.evaluate(() => caches.keys().then((keys) => Promise.all(keys.map((key) => caches.delete(key)))));
  await press(page, 'Run eval');
  await evaluated(page, 'failed');
  expect(await textOf(page, 'library-result')).toMatch(/model\.onnx/);
  served.close();
  rmSync(folder, { recursive: true });
  // The browser itself complains of the file that is not there.
  opened.complaints.length = 0;
});

it('a suite: several evals from one file, one table, saved as CSV and Markdown; nonsense is named', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-suite-'));
  const page = await open();
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
  await press(page, 'Open the library');
  await shown(page, 'library-entry');
  await page.click(byTestId('suite-open'));
  const write = (text: string) =>
    page.$eval(
      byTestId('suite-text'),
      (area, text) => {
        (area as HTMLTextAreaElement).value = text;
        area.dispatchEvent(new Event('input', { bubbles: true }));
      },
      text,
    );
  const ended = (status: string) =>
    page.waitForSelector(`${byTestId('suite-status')}[data-status=${status}]`, { timeout: 120_000 });
  await write(
    [
      'num_examples = 4',
      'rollouts_per_example = 2',
      '[[ablation]]',
      'env_id = "even-digits"',
      'model = ["start", "current"]',
      '[ablation.sweep]',
      'temperature = [0.0, 1.0]',
      '[[eval]]',
      'env_id = "even-digits"',
      'model = "local"',
      `api_base_url = ${JSON.stringify(endpoint.baseUrl)}`,
    ].join('\n'),
  );
  await press(page, 'Run suite');
  await ended('done');
  const cells = await page.$$eval(`${byTestId('suite-table')} tbody tr`, (rows) =>
    rows.map((row) => [...row.children].map((cell) => cell.textContent)),
  );
  expect(cells.map((row) => row.slice(0, 2))).toEqual([
    ['even-digits', 'local'],
    ...['start', 'start', 'current', 'current'].map((model) => ['even-digits', model]),
  ]);
  // Not trained: what it started from is what it is.
  expect(cells[3]!.slice(2)).toEqual(cells[1]!.slice(2));
  expect(cells[4]!.slice(2)).toEqual(cells[2]!.slice(2));
  for (const [button, file] of [
    ['CSV', 'suite.csv'],
    ['Markdown', 'suite.md'],
  ] as const) {
    await press(page, button);
    while (!existsSync(join(folder, file))) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(readFileSync(join(folder, file), 'utf8').trim().split('\n').length).toBeGreaterThanOrEqual(6);
  }

  await write('[[eval]]\nenv_id = "even-digits"\nmodel = "start"\ntemprature = 1');
  await press(page, 'Run suite');
  await ended('failed');
  expect(await textOf(page, 'suite-status')).toContain('suite, [[eval]] 1: there is no field "temprature"');
  await write('[[eval]]\nenv_id = "chess"\nmodel = "start"');
  await press(page, 'Run suite');
  await page.waitForFunction(
    (selector: string) => document.querySelector(selector)!.textContent.includes('there is no environment "chess"'),
    {},
    byTestId('suite-status'),
  );
  rmSync(folder, { recursive: true });
});
