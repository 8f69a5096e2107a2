/** @file Chromium with WebGPU on SwiftShader, and the built site served from a sub-path, as GitHub Pages would. */
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer';
import type { Browser, Page } from 'puppeteer';
import type { RunNotice } from '../../demo/protocol';

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

/**
 * Serves dist/site under a sub-path.
 * @param models a folder that is served at /models
 * @param prelude runs before every script, in page and worker: a browser that lacks something
 */
export async function serveSite(prelude = '', models?: string): Promise<Site> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').split('?')[0]!);
    const model = models && path.startsWith('/models/') && join(models, normalize(path.slice('/models/'.length)));
    if (model && existsSync(model)) {
      const bytes = readFileSync(model);
      const headers = { 'content-type': 'application/octet-stream', 'content-length': bytes.byteLength };
      response.writeHead(200, headers).end(bytes);
      return;
    }
    const inside = path.startsWith(SUB_PATH) ? path.slice(SUB_PATH.length) : undefined;
    const file = inside === undefined ? undefined : join(SITE, normalize(inside === '' ? 'index.html' : inside));
    if (!file?.startsWith(SITE) || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
    if (extname(file) === '.js') response.write(`${prelude}\n`);
    response.end(readFileSync(file));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}${SUB_PATH}`, close: () => server.close() };
}

type EventNotice = Extract<RunNotice, { type: 'event' }>;
type StepEvent = Extract<EventNotice['event'], { event: 'step' }>;

const WEBGPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** Chromium with a WebGPU adapter. */
export function launch(): Promise<Browser> {
  const executablePath = process.env.PUPPETEER_EXECUTABLE_PATH;
  return puppeteer.launch({
    ...(executablePath && { executablePath }),
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-background-timer-throttling',
      '--disable-renderer-backgrounding',
      ...WEBGPU,
    ],
    protocolTimeout: 600_000,
  });
}

/** A page that remembers what its console complained about. */
export interface OpenPage {
  page: Page;
  complaints: string[];
}

/** @param prepare has the page before it is loaded */
export async function openPage(
  browser: Browser,
  url: string,
  prepare?: (page: Page) => Promise<void>,
): Promise<OpenPage> {
  const page = await browser.newPage();
  await page.setViewport({ width: 1440, height: 1000 });
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warn') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`request failed: ${request.url()}`));
  await prepare?.(page);
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

/** Presses the button with this text, once it can be pressed. */
export async function press(page: Page, text: string): Promise<void> {
  const able = 'not(@disabled) and not(@aria-disabled="true")';
  const path = `//button[normalize-space()=${JSON.stringify(text)} and ${able}]`;
  const button = await page.waitForSelector(`::-p-xpath(${path})`, { timeout: 120_000 });
  await button!.click();
}

/** Whether the button with this text cannot be pressed now. */
export function isOff(page: Page, text: string): Promise<boolean> {
  return page.$eval(`::-p-xpath(//button[normalize-space()=${JSON.stringify(text)}])`, (button) =>
    button.matches(':disabled, [aria-disabled="true"]'),
  );
}

/** Fills a field that listens to changes. */
export async function fill(page: Page, id: string, value: string): Promise<void> {
  await page.$eval(
    byTestId(id),
    (field, text) => {
      (field as HTMLInputElement).value = text;
      for (const event of ['input', 'change']) field.dispatchEvent(new Event(event, { bubbles: true }));
    },
    value,
  );
}

/** From now on the playground asks greedily. */
export async function greedily(page: Page): Promise<void> {
  await press(page, 'Settings');
  await page.waitForSelector(byTestId('say-temperature'));
  await fill(page, 'say-temperature', '0');
}

/** A side of the playground: what was said there. */
export interface SaidSide {
  status: string;
  /** Without tokens that have a meaning of their own. */
  text: string;
  problem: string;
}

/** Sends what the playground's form holds; what all sides say, once they are done. */
export async function send(page: Page): Promise<{ sides: SaidSide[]; text: string }> {
  const exchange = byTestId('exchange');
  const asked = await page.$$eval(exchange, (items) => items.length);
  await press(page, 'Send');
  await page.waitForFunction(
    (selector: string, known: number) => {
      const items = [...document.querySelectorAll(selector)];
      return items.length > known && !items.at(-1)!.querySelector('[aria-busy="true"]');
    },
    { timeout: 540_000 },
    exchange,
    asked,
  );
  return page.$$eval(exchange, (items) => {
    const last = items.at(-1)!;
    const sides = [...last.querySelectorAll('[data-testid="side"]')].map((side) => ({
      status: side.getAttribute('data-status') ?? '',
      text: [...side.querySelectorAll('[role=option]:not(.special)')].map((token) => token.textContent).join(''),
      problem: side.querySelector('[data-testid="side-problem"]')?.textContent ?? '',
    }));
    return { sides, text: last.textContent };
  });
}

/** Asks the run's models, as they started and as they are, with what the playground's form holds. */
export async function ask(page: Page): Promise<{ before: string; after: string; text: string }> {
  await page.waitForSelector(byTestId('say-text'));
  const { sides, text } = await send(page);
  return { before: sides[0]!.text, after: sides[1]!.text, text };
}

/** The fire drill: the device is gone, as after a driver's reset. */
export function loseDevice(page: Page): Promise<void> {
  return page.evaluate(() => (window as unknown as { terrarium: { loseDevice: () => void } }).terrarium.loseDevice());
}

/** Lets the page be read from the worker's side: call it before the page is loaded. */
export async function listenToWorker(page: Page): Promise<void> {
  await page.evaluateOnNewDocument(() => {
    const heard: unknown[] = [];
    const Original = window.Worker;
    window.Worker = class extends Original {
      constructor(...args: ConstructorParameters<typeof Original>) {
        super(...args);
        this.addEventListener('message', ({ data }: MessageEvent<RunNotice>) => {
          if (data.type === 'event') heard.push(data);
        });
      }
    };
    Object.assign(window, { heard });
  });
}

/** GRPO steps of the run that spoke last, as the worker told of them. */
export async function stepsHeard(page: Page): Promise<StepEvent[]> {
  const heard = await page.evaluate(() => (window as unknown as { heard: EventNotice[] }).heard);
  const events = heard.filter(({ run }) => run === heard.at(-1)!.run).map(({ event }) => event);
  return events.filter((event) => event.event === 'step');
}
