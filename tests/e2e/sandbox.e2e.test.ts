/**
 * @file Sandboxes in Chromium: the list of tests/envs/sandbox in a worker that the page's own worker starts, and
 * code-math-mini, whose model runs its code there.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'puppeteer';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunResult, SandboxReply, SandboxRequest } from '../../src/envs';
import { DEFAULT_SANDBOX_LIMITS } from '../../src/envs';
import { HOSTILE } from '../envs/sandbox/cases';
import { complaint } from '../envs/sandbox/contained';
import { byTestId, launch, openPage, press, serveSite, waitForStatus } from './browser';
import type { Site } from './browser';

const ASSETS = fileURLToPath(new URL('../../dist/site/assets', import.meta.url));

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

it('contains everything that it contains in Node', async () => {
  const { page, complaints } = await openPage(browser, site.url);
  await waitForStatus(page, 'ready');
  const trainer = page.workers().find((worker) => worker.url().includes('/worker-'))!;
  const file = readdirSync(ASSETS).find((name) => /^lazy-worker-.*\.js$/.test(name))!;
  const results = await trainer.evaluate(
    async (url: string, codes: string[], limits: typeof DEFAULT_SANDBOX_LIMITS): Promise<RunResult[]> => {
      const start = async () => {
        const worker = new Worker(url, { type: 'module' });
        const reply = () =>
          new Promise<SandboxReply>((resolve, reject) => {
            worker.onmessage = ({ data }: MessageEvent<SandboxReply>) => resolve(data);
            worker.onerror = ({ message }) => reject(new Error(message));
          });
        await reply();
        const tell = (request: SandboxRequest) => worker.postMessage(request);
        return { tell, reply, end: () => worker.terminate() };
      };
      let worker = await start();
      const found: RunResult[] = [];
      for (const [sandbox, code] of codes.entries()) {
        worker.tell({ type: 'open', sandbox, limits, key: [0, 0] });
        worker.tell({ type: 'run', sandbox, code });
        const said = await worker.reply();
        if (said.type === 'ran') {
          found.push(said.result);
          worker.tell({ type: 'close', sandbox });
          continue;
        }
        found.push({ stdout: '', error: JSON.stringify(said), stopped: 'crash', cut: false, steps: 0 });
        worker.end();
        worker = await start();
      }
      worker.end();
      return found;
    },
    `${site.url}assets/${file}`,
    HOSTILE.map(({ code }) => code),
    DEFAULT_SANDBOX_LIMITS,
  );
  expect(results).toHaveLength(HOSTILE.length);
  expect(HOSTILE.map((hostile, i) => complaint(hostile, results[i]!)).filter((text) => text !== undefined)).toEqual([]);
  // The page and its worker are as they were.
  const own = await trainer.evaluate(() => ['value' in {}, [3].slice(0).join(), typeof fetch].join());
  expect(own).toBe('false,3,function');
  expect(await page.evaluate(() => [location.hash, typeof localStorage.length])).toEqual([
    expect.any(String),
    'number',
  ]);
  expect(complaints).toEqual([]);
  await page.close();
});

it('code-math-mini: the model runs its code and says the result', async () => {
  const { page, complaints } = await openPage(browser, `${site.url}#env=code-math-mini`);
  await waitForStatus(page, 'ready');
  await page.$eval(byTestId('eval-examples'), (field) => ((field as HTMLInputElement).value = ''));
  await page.type(byTestId('eval-examples'), '20');
  await page.keyboard.press('Tab');
  await press(page, 'Evaluate');
  await shown(page, 'eval-reward');
  await page.select(byTestId('eval-filter'), 'solved');
  const rollout = await shown(page, 'eval-rollout');
  await rollout!.$eval('summary', (summary) => summary.click());
  const [result] = await rollout!.$$eval(byTestId('tool-result'), (items) =>
    items.map((item) => item.textContent.trim()),
  );
  const text = await rollout!.evaluate((element) => element.textContent);
  const [, count, each, more = '0'] = /js\(␣(\d+)(?:\*(\d+))?([+-]\d+)?\)/.exec(text)!;
  expect(result).toContain(String(Number(count) * Number(each ?? 1) + Number(more)));
  expect(complaints).toEqual([]);
  await page.close();
});
