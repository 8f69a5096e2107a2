/** @file Chromium with WebGPU on SwiftShader, and the built site served from a sub-path, as GitHub Pages would. */
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer';
import type { Browser, Page } from 'puppeteer';

const SITE = fileURLToPath(new URL('../../dist/site', import.meta.url));
const SUB_PATH = '/some/where/';

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

export interface Site {
  url: string;
  close: () => void;
}

/** Serves dist/site under a sub-path. */
export async function serveSite(): Promise<Site> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').split('?')[0]!);
    const inside = path.startsWith(SUB_PATH) ? path.slice(SUB_PATH.length) : undefined;
    const file = inside === undefined ? undefined : join(SITE, normalize(inside === '' ? 'index.html' : inside));
    if (!file?.startsWith(SITE) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    response.end(readFileSync(file));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}${SUB_PATH}`, close: () => server.close() };
}

const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** Chromium with or without a WebGPU adapter. */
export function launch(webgpu = true): Promise<Browser> {
  const executablePath = process.env.PUPPETEER_EXECUTABLE_PATH;
  return puppeteer.launch({
    ...(executablePath && { executablePath }),
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-background-timer-throttling',
      '--disable-renderer-backgrounding',
      ...(webgpu ? WEBGPU : []),
    ],
    protocolTimeout: 600_000,
  });
}

/** A page that remembers what its console complained about. */
export async function openPage(browser: Browser, url: string): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage();
  await page.setViewport({ width: 1440, height: 1000 });
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warn') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`request failed: ${request.url()}`));
  await page.goto(url);
  return { page, complaints };
}

export const byTestId = (id: string) => `[data-testid="${id}"]`;

/** Text of the first element with this test id. */
export function textOf(page: Page, id: string): Promise<string> {
  return page.$eval(byTestId(id), (element) => element.textContent ?? '');
}

/** Waits until the run has one of these statuses. */
export async function waitForStatus(page: Page, ...statuses: string[]): Promise<void> {
  await page.waitForFunction(
    (selector: string, wanted: string[]) =>
      wanted.includes(document.querySelector(selector)?.getAttribute('data-status') ?? ''),
    { timeout: 540_000 },
    byTestId('status'),
    statuses,
  );
}

/** Waits until that many steps are done. */
export async function waitForStep(page: Page, step: number): Promise<void> {
  await page.waitForFunction(
    (selector: string, wanted: number) => parseInt(document.querySelector(selector)?.textContent ?? '0', 10) >= wanted,
    { timeout: 540_000 },
    byTestId('step'),
    step,
  );
}

/** Presses the button with this text. */
export async function press(page: Page, text: string): Promise<void> {
  const button = await page.waitForSelector(
    `::-p-xpath(//button[normalize-space()=${JSON.stringify(text)} and not(@disabled)])`,
    {
      timeout: 120_000,
    },
  );
  await button!.click();
}
