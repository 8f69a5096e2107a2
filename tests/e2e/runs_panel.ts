/** @file The page's panel of kept runs, as tests read and press it. */
import type { Page } from 'puppeteer';
import { byTestId, textOf } from './browser';

/** A browser that remembers nothing of the test before. */
export async function forgetRuns(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    await root.removeEntry('runs', { recursive: true });
  });
}

/** Waits for the panel's line about a request, and reads it. */
export async function said(page: Page): Promise<string> {
  await page.waitForSelector(byTestId('runs-said'));
  return (await textOf(page, 'runs-said')).trim();
}

export interface Row {
  id: string;
  text: string;
}

/** The runs as the panel lists them. */
export function rows(page: Page): Promise<Row[]> {
  return page.$$eval(byTestId('run'), (items) =>
    items.map((item) => ({
      id: item.getAttribute('data-run')!,
      text: item.textContent.replaceAll(/\s+/g, ' ').trim(),
    })),
  );
}

/** Waits until so many runs are listed. */
export async function waitForRuns(page: Page, count: number): Promise<Row[]> {
  await page.waitForFunction(
    (selector: string, wanted: number) => document.querySelectorAll(selector).length === wanted,
    {},
    byTestId('run'),
    count,
  );
  return rows(page);
}

/** Presses a button in the row of a run. */
export async function pressIn(page: Page, id: string, text: string): Promise<void> {
  const path = `//tr[@data-run="${id}"]//button[normalize-space()="${text}" and not(@disabled)]`;
  await (await page.waitForSelector(`::-p-xpath(${path})`))!.click();
}
