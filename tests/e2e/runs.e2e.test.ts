/** @file Runs that are kept in the browser: the page is closed, the worker dies, the device goes; and runs travel as files. */
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'puppeteer';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { deriveKey, uniform } from '../../src/random';
import { byTestId, launch, openPage, press, serveSite, textOf, waitForStatus, waitForStep } from './browser';
import type { OpenPage, Site } from './browser';
import { forgetRuns, pressIn, rows, said, waitForRuns } from './runs_panel';
import type { Row } from './runs_panel';

let site: Site;
let browser: Browser;
let opened: OpenPage | undefined;

const QUICK =
  '#env=even-digits&grpo.steps=6&grpo.batch_size=8&grpo.group_size=4&eval.examples=8&eval.interval=2&checkpoint.interval=1';

beforeAll(async () => {
  site = await serveSite();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  site?.close();
});

/** Every test ends with a silent console. */
async function open(hash = QUICK): Promise<Page> {
  opened = await openPage(browser, `${site.url}${hash}`);
  await waitForStatus(opened.page, 'ready');
  return opened.page;
}

async function close(): Promise<void> {
  if (!opened) return; // the test has failed before there was a page
  const { page, complaints } = opened;
  opened = undefined;
  await page.close();
  expect(complaints).toEqual([]);
}

afterEach(async () => {
  await close();
  // A browser that remembers nothing of the test before.
  const { page } = await openPage(browser, `${site.url}${QUICK}`);
  await forgetRuns(page);
  await page.close();
});

const hashOf = async (page: Page) => (await textOf(page, 'hash')).trim();

async function trainWhole(page: Page): Promise<string> {
  await press(page, 'Train');
  await waitForStatus(page, 'done');
  return hashOf(page);
}

it('the page is closed in the middle, and resumed after: the same weights, and the curves from the start', async () => {
  const expected = await trainWhole(await open());
  for (let i = 0; i < 3; i++) {
    await close();
    const page = await open();
    await press(page, 'Train');
    const step = 1 + Math.floor(5 * uniform(deriveKey(7), i));
    await waitForStep(page, step);
    await close(); // in whatever it was doing
    const again = await open('#env=reverse-text'); // settings are the run's, whatever the link says
    await again.waitForSelector(byTestId('unfinished'));
    expect(await textOf(again, 'unfinished')).toMatch(/even-digits, seed 1, was left after step \d of 6\./);
    await press(again, 'Resume that run');
    await waitForStatus(again, 'done');
    expect(await hashOf(again), `left at step ${step}`).toBe(expected);
    expect(await again.evaluate(() => location.hash)).toContain('env=even-digits');
    expect(await textOf(again, 'step')).toMatch(/^6\b/);
    expect(await textOf(again, 't1')).toContain('→'); // the eval of before is there as well
    await again.waitForFunction((selector: string) => !document.querySelector(selector), {}, byTestId('unfinished'));
  }
  // The list is read anew once the run has ended.
  await opened!.page.waitForFunction(
    (selector: string) => [...document.querySelectorAll(selector)].every((row) => row.textContent.includes('6 of 6')),
    {},
    byTestId('run'),
  );
  const listed = await waitForRuns(opened!.page, 4);
  for (const { text } of listed) expect(text).toMatch(/even-digits, seed 1 .*6 of 6 [\d.]+% \/ [\d.]+%/);
});

/** Trains, and loses the device in the moment in which a step is shown: the next one is under way by then. */
async function loseDeviceAfter(page: Page, step: number): Promise<void> {
  await page.evaluate(
    (selector: string, wanted: string) => {
      const shown = document.querySelector(selector)!;
      const observer = new MutationObserver(() => {
        if (!shown.textContent.trim().startsWith(wanted)) return;
        observer.disconnect();
        (window as unknown as { terrarium: { loseDevice: () => void } }).terrarium.loseDevice();
      });
      observer.observe(shown, { childList: true, characterData: true, subtree: true });
    },
    byTestId('step'),
    String(step),
  );
  await press(page, 'Train');
}

it('a device that goes in the middle of a step, and a killed worker', async () => {
  const page = await open();
  const expected = await trainWhole(page);
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  await loseDeviceAfter(page, 2);
  await waitForStatus(page, 'done');
  expect(await hashOf(page)).toBe(expected);
  expect(await textOf(page, 'recovery')).toMatch(/took over from step [1-6]/);

  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  await press(page, 'Train');
  await waitForStep(page, 2);
  await page.workers()[0]!.close(); // as when the browser runs out of memory
  await close();
  const again = await open();
  await press(again, 'Resume that run');
  await waitForStatus(again, 'done');
  expect(await hashOf(again)).toBe(expected);
});

it('exported, the page reloaded, imported and resumed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-runs-'));
  const page = await open();
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
  const expected = await trainWhole(page);
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
  const [{ id }] = (await waitForRuns(page, 2)) as [Row, Row];
  await pressIn(page, id, 'Export');
  const file = join(folder, `${id}.zip`);
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 100));

  // Deleting asks first.
  await pressIn(page, id, 'Delete');
  await pressIn(page, id, 'Keep it');
  expect(await rows(page)).toHaveLength(2);
  await pressIn(page, id, 'Delete');
  await pressIn(page, id, 'Delete it');
  await waitForRuns(page, 1);
  expect(await said(page)).toBe(`${id} is deleted.`);

  await close();
  const again = await open();
  await waitForRuns(again, 1);
  const input = (await again.$(byTestId('import-run')))!;
  await (input as unknown as { uploadFile: (path: string) => Promise<void> }).uploadFile(file);
  await waitForRuns(again, 2);
  expect(await said(again)).toBe(`${id} was imported.`);
  await pressIn(again, id, 'Resume');
  await waitForStatus(again, 'done');
  expect(await hashOf(again)).toBe(expected);

  // Half a file is refused.
  truncateSync(file, readFileSync(file).byteLength >> 1);
  await (input as unknown as { uploadFile: (path: string) => Promise<void> }).uploadFile(file);
  await again.waitForFunction(
    (selector: string) =>
      document.querySelector(selector)?.textContent.includes('is not a .zip that can be read') ?? false,
    {},
    byTestId('runs-said'),
  );
  expect(await rows(again)).toHaveLength(2);
  rmSync(folder, { recursive: true });
});

it('forked with other settings, and the two compared', async () => {
  const page = await open();
  await trainWhole(page);
  const [{ id }] = (await waitForRuns(page, 1)) as [Row];
  await pressIn(page, id, 'Fork');
  await page.select(byTestId('fork-step'), '5');
  await page.type(byTestId('fork-set'), 'grpo.lr=0.01 grpo.steps=7');
  await press(page, 'Make the fork');
  await waitForRuns(page, 2);
  expect(await said(page)).toBe(`${id}-fork goes on from step 5 of ${id}: resume it to train.`);
  await pressIn(page, `${id}-fork`, 'Resume');
  await waitForStatus(page, 'done');
  expect(await textOf(page, 'step')).toMatch(/^7\b/);

  for (const each of [id, `${id}-fork`]) await page.click(`[aria-label="Compare ${each}"]`);
  await press(page, 'Compare');
  await page.waitForSelector(byTestId('comparison'));
  const settings = await page.$$eval(byTestId('setting'), (items) =>
    items.map((item) => [...item.children].map((cell) => cell.textContent)),
  );
  expect(settings.map(([key]) => key)).toEqual(['grpo.steps', 'grpo.lr']);
  expect(settings[0]!.slice(1).sort()).toEqual(['6', '7']);
  expect(await page.$$eval(`${byTestId('comparison')} canvas`, (charts) => charts.length)).toBe(2);

  await pressIn(page, id, 'Fork');
  await page.type(byTestId('fork-set'), 'model.layers=3');
  await press(page, 'Make the fork');
  await page.waitForFunction(
    (selector: string) => document.querySelector(selector)?.textContent.includes('a fork goes on with') ?? false,
    {},
    byTestId('runs-said'),
  );
});

it('a run that another tab writes to cannot be resumed or deleted; a damaged checkpoint is named', async () => {
  const page = await open();
  await press(page, 'Step');
  await waitForStatus(page, 'paused');
  await press(page, 'Step');
  await waitForStep(page, 2);
  await waitForStatus(page, 'paused');
  const other = await openPage(browser, `${site.url}${QUICK}`);
  await waitForStatus(other.page, 'ready');
  const [{ id }] = (await waitForRuns(other.page, 1)) as [Row];
  expect(await other.page.$(byTestId('unfinished'))).toBeNull();
  const off = await other.page.$$eval(`[data-run="${id}"] button`, (buttons) =>
    buttons.filter((button) => button.disabled).map((button) => button.textContent.trim()),
  );
  expect(off).toEqual(['Resume', 'Delete']);
  await other.page.close();
  await close();

  const damaged = await open();
  await damaged.evaluate(async (name) => {
    const root = await navigator.storage.getDirectory();
    let folder = await root.getDirectoryHandle('runs');
    for (const part of [name, 'checkpoints', 'step-000001']) folder = await folder.getDirectoryHandle(part);
    const file = await (await folder.getFileHandle('model.safetensors')).createWritable();
    await file.write('nonsense');
    await file.close();
  }, id);
  await press(damaged, 'Resume that run');
  await waitForStatus(damaged, 'done');
  expect(await textOf(damaged, 'recovery')).toContain(
    `checkpoint step-000001 of ${id}: model.safetensors has 8 bytes of`,
  );
});

it('a browser that gives no more room: the run is refused before its first step, or stops with its last checkpoint', async () => {
  const page = await open();
  const expected = await trainWhole(page);
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  const session = await page.createCDPSession();
  const { origin } = new URL(site.url);
  const quota = (quotaSize?: number) =>
    session.send('Storage.overrideQuotaForOrigin', { origin, ...(quotaSize !== undefined && { quotaSize }) });
  await quota(1e6);
  await press(page, 'Train');
  await waitForStatus(page, 'stopped');
  const alert = () => page.$eval('[role=alert]', (element) => element.textContent);
  // Chromium's own estimate does not follow the smaller quota: it is the first write that tells.
  expect(await alert()).toMatch(/StorageFullError: the browser gives this page no more room; run.json of even-digits-/);
  expect(await textOf(page, 'step')).toMatch(/^0\b/);

  await quota();
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  await press(page, 'Step');
  await waitForStatus(page, 'paused');
  const used = await page.evaluate(async () => (await navigator.storage.estimate()).usage!);
  await quota(used + 10_000);
  await press(page, 'Resume');
  await waitForStatus(page, 'stopped');
  expect(await alert()).toMatch(
    /StorageFullError: the browser gives this page no more room; .* The run can be resumed/,
  );
  await quota();
  const [{ id }] = (await waitForRuns(page, 2)) as [Row];
  await pressIn(page, id, 'Resume');
  await waitForStatus(page, 'done');
  expect(await hashOf(page)).toBe(expected);
});
