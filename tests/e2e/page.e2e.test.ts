/** @file The built page in Chromium, on SwiftShader, served from a sub-path. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { unzipSync } from 'fflate';
import type { Browser, Page } from 'puppeteer';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Trace } from '../../src/envs';
import { hashWeights } from '../../src/model';
import { loadModel } from '../../src/rl';
import { byTestId, launch, openPage, press, serveSite, textOf, waitForStatus, waitForStep } from './browser';
import type { Site } from './browser';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let site: Site;
let browser: Browser;
let opened: { page: Page; complaints: string[] } | undefined;

beforeAll(async () => {
  site = await serveSite();
  browser = await launch();
});

afterAll(async () => {
  await browser.close();
  site.close();
});

/** Opens the page with settings in its hash; every test ends with a silent console. */
async function open(hash = ''): Promise<Page> {
  opened = await openPage(browser, `${site.url}${hash}`);
  return opened.page;
}

afterEach(async () => {
  const { page, complaints } = opened!;
  opened = undefined;
  await page.close();
  expect(complaints).toEqual([]);
});

/** A run of seconds. */
const QUICK = '#env=even-digits&grpo.steps=4&grpo.batch_size=16&grpo.group_size=8&eval.examples=20&eval.interval=2';

const percentOf = (text: string) => Number(/([\d.]+)%\s*$/.exec(text)![1]) / 100;
const isDisabled = (page: Page, text: string) =>
  page.$eval(
    `::-p-xpath(//button[normalize-space()=${JSON.stringify(text)}])`,
    (button) => (button as HTMLButtonElement).disabled,
  );

it('press Train: the model learns while the page stays responsive, and its rollouts can be read', async () => {
  const page = await open();
  await page.evaluate(() => {
    const tasks: number[] = [];
    Object.assign(window, { longTasks: tasks });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration))).observe({
      type: 'longtask',
      buffered: false,
    });
  });
  await waitForStatus(page, 'ready');
  expect(await page.$eval('aside', (aside) => aside.textContent)).toContain('deliberately careless demonstrator');
  await press(page, 'Train');
  await waitForStep(page, 1);
  expect(percentOf(await textOf(page, 't1'))).toBeLessThanOrEqual(0.5);
  const rollouts = await page.$$eval(byTestId('rollout'), (items) =>
    items.map((item) => item.textContent.replaceAll(/\s+/g, ' ')),
  );
  expect(rollouts).toHaveLength(8);
  expect(rollouts.every((text) => /^ ?[01]\.00 [+−]?\d\.\d\d/.test(text))).toBe(true);
  const group = () => textOf(page, 'group-position');
  const before = await group();
  await page.click('[aria-label="Next group"]');
  expect(await group()).not.toBe(before);
  await waitForStatus(page, 'done');
  expect(percentOf(await textOf(page, 't1'))).toBeGreaterThanOrEqual(0.75);
  expect(parseInt(await textOf(page, 'step'), 10)).toBeLessThanOrEqual(30);
  expect(await textOf(page, 'hash')).toMatch(/^\s*[0-9a-f]{64}\s*$/);
  expect(
    await page.evaluate(() => (window as unknown as { longTasks: number[] }).longTasks.filter((ms) => ms > 100)),
  ).toEqual([]);

  // Before and after, side by side, with the same random numbers.
  await page.type(byTestId('try-prompt'), 'planet');
  await page.click('::-p-xpath(//label[normalize-space()="greedy"]/input)');
  await press(page, 'Ask');
  await page.waitForFunction(
    (row: string) => !document.querySelector(row)!.textContent.includes('…'),
    {},
    byTestId('try'),
  );
  expect(await page.$eval(byTestId('try'), (row) => row.textContent)).toContain('tenalp');
  // What a page shows of a prompt is text.
  await page.$eval(byTestId('try-prompt'), (input) => ((input as HTMLInputElement).value = ''));
  await page.type(byTestId('try-prompt'), '<img src=x>');
  await press(page, 'Ask');
  await page.waitForFunction(
    (row: string) => document.querySelector(row)!.textContent.includes('alphabet'),
    {},
    byTestId('try'),
  );
  expect(await page.$$('img[src="x"]')).toEqual([]);
  expect(await textOf(page, 'status')).toContain('Done');
});

it('Pause, Resume, Step, Stop and Reset do what they say', async () => {
  const page = await open('#env=even-digits&grpo.batch_size=16&grpo.group_size=8&eval.examples=20&eval.interval=50');
  await waitForStatus(page, 'ready');
  await press(page, 'Step');
  await waitForStatus(page, 'paused');
  expect(await textOf(page, 'step')).toMatch(/^1\b/);
  await press(page, 'Step');
  await waitForStep(page, 2);
  await waitForStatus(page, 'paused');
  await press(page, 'Resume');
  await waitForStep(page, 4);
  await press(page, 'Pause');
  await waitForStatus(page, 'paused');
  const paused = await textOf(page, 'step');
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(await textOf(page, 'step')).toBe(paused);
  await press(page, 'Resume');
  await waitForStep(page, parseInt(paused, 10) + 1);
  await press(page, 'Stop');
  await waitForStatus(page, 'stopped');
  const stopped = await textOf(page, 'step');
  expect(await textOf(page, 'status')).toContain(`Stopped after step ${parseInt(stopped, 10)}`);
  expect(await isDisabled(page, 'Train')).toBe(true);
  expect(await isDisabled(page, 'Step')).toBe(true);
  // The weights are still there to be asked.
  await press(page, 'Ask');
  await page.waitForFunction(
    (row: string) => !document.querySelector(row)?.textContent!.includes('…'),
    {},
    byTestId('try'),
  );
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  expect(await textOf(page, 'step')).toMatch(/^0\b/);
  expect(await page.$(byTestId('rollout'))).toBeNull();
  await press(page, 'Train');
  await waitForStep(page, 1);
});

it('the URL holds the settings, and a reload brings them back', async () => {
  const page = await open(QUICK);
  await waitForStatus(page, 'ready');
  await page.click('summary');
  const set = async (id: string, value: string) => {
    await page.$eval(byTestId(id), (input) => ((input as HTMLInputElement).value = ''));
    await page.type(byTestId(id), value);
    await page.keyboard.press('Tab');
  };
  await set('seed', '42');
  await set('grpo.lr', '0.002');
  await page.select(byTestId('grpo.loss'), 'prime');
  await page.waitForFunction(() => location.hash.includes('prime'));
  const hash = await page.evaluate(() => location.hash);
  expect(hash).toContain('seed=42');
  expect(hash).toContain('grpo.lr=0.002');
  await page.reload();
  await waitForStatus(page, 'ready');
  const value = (id: string) => page.$eval(byTestId(id), (input) => (input as HTMLInputElement).value);
  expect([await value('seed'), await value('grpo.lr'), await value('grpo.loss'), await value('grpo.steps')]).toEqual([
    '42',
    '0.002',
    'prime',
    '4',
  ]);
  expect(await page.evaluate(() => location.hash)).toBe(hash);

  // An impossible value is refused where it is typed, and the old one stands.
  await page.click('summary');
  await set('grpo.group_size', '5');
  expect(await page.$eval('details [role=alert]', (alert) => alert.textContent)).toContain(
    'not a multiple of grpo.group_size 5',
  );
  expect(await value('grpo.group_size')).toBe('8');
});

it('a link that makes no sense says what is wrong with it', async () => {
  const page = await open('#env=even-digits&grpo.lrr=1');
  await waitForStatus(page, 'ready');
  expect(await page.$eval('[role=alert]', (alert) => alert.textContent)).toContain(
    'unknown key grpo.lrr; did you mean grpo.lr?',
  );
});

it('two runs of one seed end with the same weights; a lost device in between changes nothing', async () => {
  const page = await open(QUICK);
  const hashes: string[] = [];
  for (const lose of [false, false, true]) {
    await waitForStatus(page, 'ready');
    await press(page, 'Train');
    if (lose) {
      await waitForStep(page, 3);
      await page.evaluate(() =>
        (window as unknown as { terrarium: { loseDevice: () => void } }).terrarium.loseDevice(),
      );
    }
    await waitForStatus(page, 'done', 'stopped');
    hashes.push(await textOf(page, 'hash'));
    await press(page, 'Reset');
  }
  expect(new Set(hashes).size).toBe(1);
});

it('model and rollouts can be taken home', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'terrarium-e2e-'));
  const page = await open(QUICK);
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: folder });
  await waitForStatus(page, 'ready');
  await press(page, 'Train');
  await waitForStatus(page, 'done');
  const hash = (await textOf(page, 'hash')).trim();
  const downloaded = async (button: string, name: string) => {
    await press(page, button);
    for (let i = 0; i < 100 && !existsSync(join(folder, name)); i++)
      await new Promise((resolve) => setTimeout(resolve, 100));
    expect(readdirSync(folder)).toContain(name);
    return new Uint8Array(readFileSync(join(folder, name)));
  };
  const files = unzipSync(await downloaded('Save model', 'even-digits-seed1.zip'));
  const read = (file: string) => Promise.resolve(files[`even-digits-seed1/${file}`]);
  const { tensors } = await loadModel({ name: 'zip', read });
  expect(await hashWeights(tensors)).toBe(hash);
  const text = new TextDecoder().decode(await downloaded('Save rollouts', 'even-digits-seed1-rollouts.jsonl'));
  const traces = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Trace & { step: number });
  expect(traces).toHaveLength(4 * 16);
  expect(new Set(traces.map((trace) => trace.step))).toEqual(new Set([1, 2, 3, 4]));
  for (const { turns, reward } of traces) {
    expect(turns[0]!.tokens!.completionIds).toHaveLength(turns[0]!.tokens!.logprobs.length);
    expect(reward).toBeGreaterThanOrEqual(0);
  }
  rmSync(folder, { recursive: true });
});

it('from random weights the warm-up is shown, step by step', async () => {
  const page = await open('#env=reverse-text&start=scratch&sft.eval_examples=10&eval.examples=10&sft.batch_size=8');
  await waitForStatus(page, 'ready');
  expect(await page.$eval('aside', (aside) => aside.textContent)).toContain('The first part takes a while');
  await press(page, 'Step');
  await waitForStatus(page, 'paused');
  expect(await textOf(page, 'status')).toContain('Supervised warm-up (skill): step 1 of at most 1500');
  await press(page, 'Stop');
  await waitForStatus(page, 'stopped');
});

it('has no serious accessibility problem, and works by keyboard', async () => {
  const page = await open(QUICK);
  await waitForStatus(page, 'ready');
  await page.focus('button.primary');
  await page.keyboard.press('Enter');
  await waitForStatus(page, 'done');
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
});

it('npm start serves the page, ready to train', async () => {
  const port = '5987';
  const args = ['scripts/start.mjs', '--no-open', '--port', port, '--strictPort'];
  const server = spawn(process.execPath, args, { cwd: ROOT, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await new Promise<void>((resolve) => {
      server.stdout.on('data', (data: Buffer) => {
        if (data.toString().includes(port)) resolve();
      });
    });
    opened = await openPage(browser, `http://localhost:${port}/${QUICK}`);
    await waitForStatus(opened.page, 'ready');
    await press(opened.page, 'Step');
    await waitForStep(opened.page, 1);
  } finally {
    process.kill(-server.pid!);
  }
});

it('without WebGPU it says what to do, and shows no control that cannot work', async () => {
  const plain = await launch(false);
  opened = await openPage(plain, site.url);
  const { page } = opened;
  await page.waitForFunction(() => document.querySelector('h2')?.textContent!.includes('WebGPU'));
  const text = await page.$eval('main', (main) => main.textContent);
  expect(text).toContain('Terrarium needs WebGPU');
  expect(text).toMatch(/Chrome|Edge/);
  expect(text).toContain('chrome://gpu');
  expect(await page.$$('button, input, select')).toEqual([]);
  await page.close();
  opened = await openPage(browser, 'about:blank');
  await plain.close();
});
