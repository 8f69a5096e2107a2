/** @file wiki-search in the page: an evaluation of fifty questions with progress and cancel, and its rollouts' tool calls. */
import { unzipSync } from 'fflate';
import type { Browser, Page } from 'puppeteer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { byTestId, launch, openPage, press, serveSite, textOf, waitForStatus } from './browser';
import type { OpenPage, Site } from './browser';

let site: Site;
let browser: Browser;
beforeAll(async () => {
  site = await serveSite();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  site?.close();
});

const shown = (page: Page, id: string) => page.waitForSelector(byTestId(id), { timeout: 120_000 });

it('wiki-search: fifty questions with progress and cancel; a rollout shows what it searched, read and answered', async () => {
  const opened: OpenPage = await openPage(browser, site.url);
  const { page, complaints } = opened;
  await waitForStatus(page, 'ready');
  await page.click('input[name="env"][value="wiki-search-mini"]');
  await page.waitForFunction(() => location.hash.includes('wiki-search-mini'));
  await waitForStatus(page, 'ready');

  // Far more than could be done at once: cancelled in the middle, nothing is left of it.
  await page.$eval(byTestId('eval-examples'), (field) => ((field as HTMLInputElement).value = ''));
  await page.type(byTestId('eval-examples'), '1000');
  await page.keyboard.press('Tab');
  await press(page, 'Evaluate');
  await page.waitForFunction(
    (selector) =>
      /^\s*[1-9]\d* of 1000 rollouts, [\d.]+ per second/.test(document.querySelector(selector)?.textContent ?? ''),
    { timeout: 120_000 },
    byTestId('eval-progress'),
  );
  expect(await textOf(page, 'eval-progress')).toMatch(/about \d+ s left/);
  await press(page, 'Cancel');
  await page.waitForFunction((selector) => !document.querySelector(selector), {}, byTestId('eval-progress'));
  expect(await page.$(byTestId('eval-reward'))).toBeNull();

  await page.$eval(byTestId('eval-examples'), (field) => ((field as HTMLInputElement).value = ''));
  await page.type(byTestId('eval-examples'), '50');
  await page.keyboard.press('Tab');
  await press(page, 'Evaluate');
  await shown(page, 'eval-reward');
  const [, mean, low, high] = /^([\d.]+) \[(-?[\d.]+), ([\d.]+)\]$/.exec((await textOf(page, 'eval-reward')).trim())!;
  expect(Number(mean)).toBeGreaterThan(0.1);
  expect(Number(low)).toBeLessThan(Number(mean));
  expect(Number(high)).toBeGreaterThan(Number(mean));

  // A solved question was looked up: search, its titles, read, the page, the answer.
  await page.select(byTestId('eval-filter'), 'solved');
  const rollout = await shown(page, 'eval-rollout');
  await rollout!.$eval('summary', (summary) => summary.click());
  const results = await rollout!.$$eval(byTestId('tool-result'), (items) =>
    items.map((item) => item.textContent.replaceAll(/\s+/g, ' ').trim()),
  );
  const tokens = await rollout!.$$eval('.tokens > span', (spans) => spans.map((span) => span.textContent).join(''));
  expect(results).toHaveLength(2);
  expect(results[0]).toMatch(/^search \w+; \w+; \w+;$/);
  expect(results[1]).toMatch(/^read \w+: /);
  expect(tokens).toMatch(/^search\(␣(\w+)\)⏎read\(␣\1\)⏎␣\w+/);

  // The results as verifiers stores them: fifty lines, tool calls and all.
  await page.evaluate(() => {
    const made: Promise<number[]>[] = [];
    Object.assign(window, { made });
    const original = URL.createObjectURL.bind(URL);
    URL.createObjectURL = (blob: Blob) => {
      made.push(blob.arrayBuffer().then((buffer) => [...new Uint8Array(buffer)]));
      return original(blob);
    };
  });
  await press(page, 'Save results');
  const bytes = await page.evaluate(() => (window as unknown as { made: Promise<number[]>[] }).made[0]!);
  const files = unzipSync(Uint8Array.from(bytes));
  const [results_, metadata] = ['results.jsonl', 'metadata.json'].map((name) =>
    new TextDecoder().decode(Object.entries(files).find(([path]) => path.endsWith(`/${name}`))![1]),
  );
  const rows = results_!
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { completion: { role: string }[] });
  expect(rows).toHaveLength(50);
  expect(rows.some(({ completion }) => completion.some(({ role }) => role === 'tool'))).toBe(true);
  expect(JSON.parse(metadata!)).toMatchObject({ env_id: 'wiki-search-mini', num_examples: 50 });
  await page.close();
  expect(complaints).toEqual([]);
});
