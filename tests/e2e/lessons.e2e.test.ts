/** @file A lesson on the built page: chosen, trained, and told why it does not learn. */
import axe from 'axe-core';
import type { Browser } from 'puppeteer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { byTestId, launch, openPage, press, serveSite, textOf, waitForStatus } from './browser';
import type { Site } from './browser';

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

it('a lesson brings its settings and its story; the run says what is wrong and what to change', async () => {
  const { page, complaints } = await openPage(browser, site.url);
  await waitForStatus(page, 'ready');
  expect((await textOf(page, 'diagnosis')).trim()).toBe('');

  await page.click('::-p-xpath(//summary[normalize-space()="Lessons"])');
  await page.waitForSelector(`${byTestId('lesson')}:enabled`);
  await page.select(byTestId('lesson'), 'too-hard');
  expect(await textOf(page, 'lesson-story')).toContain('words of 3 to 8 letters; these have 12 to 14');
  expect(decodeURIComponent(await page.evaluate(() => location.hash))).toContain('"min_length":12');

  await waitForStatus(page, 'ready');
  await press(page, 'Train');
  await page.waitForSelector(`${byTestId('diagnosis')} [data-kind="too-hard"]`, { timeout: 120_000 });
  const text = (await textOf(page, 'diagnosis')).replaceAll(/\s+/g, ' ');
  expect(text).toContain('Too hard: nothing to learn from since step 1');
  expect(text).toContain('Remove env_args.min_length (now 12); or remove env_args.max_length (now 14)');
  expect(await page.$$(`${byTestId('diagnosis')} button`)).toEqual([]);

  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);

  await press(page, 'Stop');
  await page.select(byTestId('lesson'), '');
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  expect((await textOf(page, 'diagnosis')).trim()).toBe('');
  expect(await page.evaluate(() => location.hash)).not.toContain('env_args');
  await page.close();
  expect(complaints).toEqual([]);
});
