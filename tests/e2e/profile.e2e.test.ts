/** @file A profile in the built page: recorded over one training step, shown, and saved. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Page } from 'puppeteer';
import { expect, it } from 'vitest';
import type { ShownProfile } from '../../demo/profile_protocol';
import { byTestId, launch, openPage, press, serveSite, textOf, waitForStatus } from './browser';

const QUICK = '#env=even-digits&grpo.steps=4&grpo.batch_size=8&grpo.group_size=4&eval.examples=4&eval.interval=0';

/** Waits until the panel says something that begins so. */
async function waitForNews(page: Page, begin: string): Promise<void> {
  await page.waitForFunction(
    (selector: string, text: string) => document.querySelector(selector)?.textContent.trim().startsWith(text),
    { timeout: 120_000 },
    byTestId('profile-news'),
    begin,
  );
}

it('Profile, one training step, Stop: the kernels of that step as a table, and as a file', async () => {
  const site = await serveSite();
  const browser = await launch();
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-profile-'));
  const { page, complaints } = await openPage(browser, site.url + QUICK);
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
  await waitForStatus(page, 'ready');

  // By keyboard; the button keeps the focus while its name changes.
  await page.waitForSelector(byTestId('profile-toggle'));
  await page.focus(byTestId('profile-toggle'));
  await page.keyboard.press('Enter');
  await waitForNews(page, 'Recording');
  await page.keyboard.press('Enter');
  await waitForNews(page, 'Nothing ran on the GPU');
  await page.keyboard.press('Enter');
  await waitForNews(page, 'Recording');
  await press(page, 'Step');
  await waitForStatus(page, 'paused');
  expect(await textOf(page, 'profile-counts')).toMatch(/So far: 1 training step/);
  await press(page, 'Stop profile');
  await waitForNews(page, 'Recorded: 1 training step');

  const rows = await page.$$eval(byTestId('kernel'), (items) =>
    items.map((item) => [...item.children].map((child) => child.textContent.trim())),
  );
  expect(rows.some(([name]) => name!.startsWith('matmul '))).toBe(true);
  for (const [, dispatches] of rows) expect(parseFloat(dispatches!)).toBeGreaterThan(0);
  expect(await textOf(page, 'profile-summary')).toMatch(/matmul ceiling[\d. ]+[MG]FLOP\/s/);
  expect(await textOf(page, 'tuning')).toMatch(/Kernels chosen for \d+ classes of matmul: \d+ preset/);
  expect(await page.$(byTestId('tuner-problems'))).toBeNull();
  // Choices are neither a run nor a model.
  expect(await page.$$eval(byTestId('run'), (items) => items.length)).toBe(1);

  await press(page, 'Save profile');
  const file = join(folder, 'even-digits-seed1-profile.json');
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 50));
  const saved = JSON.parse(readFileSync(file, 'utf8')) as ShownProfile;
  expect(saved.counts.step).toBe(1);
  expect(saved.profile.kernels.length).toBeGreaterThanOrEqual(rows.length);

  await page.evaluate(axe.source);
  for (const width of [1400, 420]) {
    await page.setViewport({ width, height: 900 });
    await page.waitForFunction((wanted: number) => document.documentElement.scrollWidth === wanted, {}, width);
    const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
    expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
    if (!process.env.SHOTS) continue;
    await page.$$eval('[data-testid=tuning]', ([item]) => item!.setAttribute('open', ''));
    await (await page.$('[aria-label=Profile]'))!.screenshot({ path: `${process.env.SHOTS}/profile-${width}.png` });
  }

  // Reset while recording: the profile ends with a message, and the page goes on.
  await press(page, 'Profile');
  await waitForNews(page, 'Recording');
  await press(page, 'Reset');
  await waitForNews(page, 'No profile: another run');
  await waitForStatus(page, 'ready');
  expect(complaints).toEqual([]);
  await browser.close();
  site.close();
  rmSync(folder, { recursive: true });
});
