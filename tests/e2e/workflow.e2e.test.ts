/** @file The whole workflow in one tab: demonstrations, SFT, eval, GRPO, eval, export, reload, resume. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { byTestId, launch, openPage, press, serveSite, textOf, waitForStatus, waitForStep } from './browser';
import { forgetRuns, pressIn, waitForRuns } from './runs_panel';

/** wiki-search-mini from random weights, so small that the four GRPO steps after the warm-up take seconds. */
const SETTINGS = [
  'env=wiki-search-mini',
  'start=scratch',
  'sft.steps=4',
  'sft.batch_size=8',
  'sft.eval_interval=2',
  'sft.eval_examples=4',
  'sft.careless_steps=2',
  'grpo.steps=6',
  'grpo.batch_size=16',
  'eval.examples=8',
  'eval.interval=2',
  'checkpoint.interval=1',
].join('&');

it('wiki-search-mini: from SFT data to eval, four GRPO steps, eval, export, reload, resume', async () => {
  const site = await serveSite();
  const browser = await launch();
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-workflow-'));
  const { page, complaints } = await openPage(browser, `${site.url}#${SETTINGS}`);
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
  await waitForStatus(page, 'ready');

  // The uninterrupted run says what the weights must be.
  await press(page, 'Train');
  await waitForStatus(page, 'done');
  const expected = (await textOf(page, 'hash')).trim();
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');

  // Warm-up on demonstrations, the first eval, four steps with an eval between.
  await press(page, 'Train');
  await waitForStep(page, 4);
  await press(page, 'Pause');
  await waitForStatus(page, 'paused');
  expect(await textOf(page, 't1')).toContain('→');

  await page.$eval(byTestId('eval-examples'), (field) => ((field as HTMLInputElement).value = ''));
  await page.type(byTestId('eval-examples'), '8');
  await page.keyboard.press('Tab');
  await press(page, 'Evaluate');
  await page.waitForSelector(byTestId('eval-reward'), { timeout: 120_000 });

  await press(page, 'Stop');
  await waitForStatus(page, 'stopped');
  const listed = await waitForRuns(page, 2);
  const left = listed.find(({ text }) => /[45] of 6/.test(text))!;
  expect(left, JSON.stringify(listed)).toBeDefined();
  await pressIn(page, left.id, 'Export');
  while (!existsSync(join(folder, `${left.id}.zip`))) await new Promise((resolve) => setTimeout(resolve, 100));

  await page.reload();
  await waitForStatus(page, 'ready');
  await page.waitForSelector(byTestId('unfinished'));
  await press(page, 'Resume that run');
  await waitForStatus(page, 'done');
  expect((await textOf(page, 'hash')).trim()).toBe(expected);
  expect(complaints).toEqual([]);

  await forgetRuns(page);
  rmSync(folder, { recursive: true });
  await browser.close();
  site.close();
});
