/** @file The built page in Chromium, on SwiftShader, served from a sub-path. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
import {
  ask,
  byTestId,
  fill,
  greedily,
  isOff,
  launch,
  listenToWorker,
  loseDevice,
  openPage,
  press,
  serveSite,
  stepsHeard,
  textOf,
  waitForStatus,
  waitForStep,
} from './browser';
import type { OpenPage, Site } from './browser';
import { longestTasks, startRecording } from './main_thread';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let site: Site;
let browser: Browser;
let opened: OpenPage | undefined;

beforeAll(async () => {
  site = await serveSite();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  site?.close();
});

/** Opens the page with settings in its hash; every test ends with a silent console. */
async function open(hash = '', prepare?: (page: Page) => Promise<void>): Promise<Page> {
  opened = await openPage(browser, `${site.url}${hash}`, prepare);
  return opened.page;
}

afterEach(async () => {
  if (!opened) return; // the test has failed before there was a page
  const { page, complaints } = opened;
  opened = undefined;
  await page.close();
  expect(complaints).toEqual([]);
});

/** A run of seconds. */
const QUICK = '#env=even-digits&grpo.steps=4&grpo.batch_size=16&grpo.group_size=8&eval.examples=20&eval.interval=2';

const percentOf = (text: string) => Number(/([\d.]+)%\s*$/.exec(text)![1]) / 100;

/** A chart by its title: what its legend says last, and how many of its pixels have the colour of a line. */
async function chart(page: Page, title: string): Promise<{ latest: number; drawn: number }> {
  const { label, drawn } = await page.$eval(`::-p-xpath(//figure[.//*[normalize-space()="${title}"]])`, (figure) => {
    const canvas = figure.querySelector('canvas')!;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    const leaf = getComputedStyle(document.documentElement).getPropertyValue('--leaf').trim();
    const wanted = [1, 3, 5].map((at) => parseInt(leaf.slice(at, at + 2), 16));
    let drawn = 0;
    for (let i = 0; i < data.length; i += 4) {
      const near = wanted.every((value, channel) => Math.abs(data[i + channel]! - value) < 24);
      if (near && data[i + 3]! > 128) drawn++;
    }
    return { label: figure.querySelector('[role=img]')!.getAttribute('aria-label')!, drawn };
  });
  const [, value, thousand] = /^[^:]*: \D*?([\d.]+)(k?)/.exec(label)!;
  return { latest: Number(value) * (thousand ? 1000 : 1), drawn };
}

it('press Train: the model learns while the page stays responsive, and its rollouts can be read', async () => {
  const page = await open('', async (fresh) => {
    await listenToWorker(fresh);
    await startRecording(fresh);
  });
  await waitForStatus(page, 'ready');
  await page.evaluate(() => performance.mark('ready to train'));
  expect(await page.$eval('aside', (aside) => aside.textContent)).toContain('deliberately careless demonstrator');
  await press(page, 'Train');
  await waitForStep(page, 1);
  expect(percentOf(await textOf(page, 't1'))).toBeLessThanOrEqual(0.5);
  const rollouts = await page.$$eval(byTestId('rollout'), (items) =>
    items.map((item) => ({
      text: item.textContent.replaceAll(/\s+/g, ' ').trim(),
      colours: [...new Set([...item.querySelectorAll('.tokens > span')].map((token) => token.classList[0]))],
    })),
  );
  expect(rollouts).toHaveLength(8);
  const colourOf = { '+': 'up', '−': 'down', '': 'flat' };
  for (const { text, colours } of rollouts) {
    const [, sign] = /^[01]\.00 ([+−]?)\d\.\d\d /.exec(text)!;
    expect(colours, text).toEqual([colourOf[sign as keyof typeof colourOf]]);
  }
  expect(new Set(rollouts.flatMap(({ colours }) => colours)).size).toBeGreaterThan(1);
  const group = () => textOf(page, 'group-position');
  const before = await group();
  await page.click('[aria-label="Next group"]');
  expect(await group()).not.toBe(before);
  await waitForStatus(page, 'done');
  expect(percentOf(await textOf(page, 't1'))).toBeGreaterThanOrEqual(0.75);
  expect(percentOf(await textOf(page, 'greedy'))).toBeGreaterThanOrEqual(0.9);
  expect(parseInt(await textOf(page, 'step'), 10)).toBeLessThanOrEqual(30);
  expect(await textOf(page, 'hash')).toMatch(/^\s*[0-9a-f]{64}\s*$/);

  // Loading evaluates the scripts in one task; from then on nobody waits for the page.
  const { before: loading, after: training } = await longestTasks(page, 'ready to train');
  expect(loading).toBeLessThan(1000);
  expect(training).toBeLessThan(200);

  // The charts show what the worker told of its last step.
  const last = (await stepsHeard(page)).at(-1)!;
  for (const [title, value] of [
    ['Reward', last.reward.mean],
    ['Completion length', last.completionLength],
    ['Entropy', last.update!.entropy],
    ['Speed', last.tokensPerSecond],
  ] as const) {
    const { latest, drawn } = await chart(page, title);
    expect(latest / value, title).toBeCloseTo(1, 1);
    expect(drawn, title).toBeGreaterThan(50);
  }

  // Before and after, side by side, with the same random numbers.
  await page.type(byTestId('say-text'), 'planet');
  await greedily(page);
  expect((await ask(page)).after).toBe('tenalp');
  // What a page shows of a prompt is text.
  await fill(page, 'say-text', '<img src=x>');
  expect((await ask(page)).text).toContain('alphabet');
  expect(await page.$$('img[src="x"]')).toEqual([]);
  expect(await textOf(page, 'status')).toContain('Done');
});

it('Pause, Resume, Step, Stop and Reset do what they say', async () => {
  const page = await open(
    '#env=even-digits&grpo.batch_size=16&grpo.group_size=8&eval.examples=20&eval.interval=50',
    listenToWorker,
  );
  const steps = async () => (await stepsHeard(page)).map(({ step }) => step);
  await waitForStatus(page, 'ready');
  await press(page, 'Step');
  await waitForStatus(page, 'paused');
  expect(await steps()).toEqual([1]);
  await press(page, 'Step');
  await waitForStep(page, 2);
  await waitForStatus(page, 'paused');
  await press(page, 'Resume');
  await waitForStep(page, 4);
  await press(page, 'Pause');
  await waitForStatus(page, 'paused');
  const paused = parseInt(await textOf(page, 'step'), 10);
  // Had anything gone on after the pause, a step would come out further.
  await press(page, 'Step');
  await waitForStep(page, paused + 1);
  await waitForStatus(page, 'paused');
  expect(await steps()).toEqual(Array.from({ length: paused + 1 }, (_, i) => i + 1));
  await press(page, 'Resume');
  await waitForStep(page, paused + 2);
  await press(page, 'Stop');
  await waitForStatus(page, 'stopped');
  const stopped = parseInt(await textOf(page, 'step'), 10);
  expect(await textOf(page, 'status')).toContain(`Stopped after step ${stopped}`);
  expect(await isOff(page, 'Train')).toBe(true);
  expect(await isOff(page, 'Step')).toBe(true);
  // The weights are still there to be asked.
  expect((await ask(page)).after).not.toBe('');
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  expect(await textOf(page, 'step')).toMatch(/^0\b/);
  expect(await page.$(byTestId('rollout'))).toBeNull();

  // A reset in the middle of a run: nothing of it gets into the next one.
  await press(page, 'Train');
  await waitForStep(page, 2);
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  expect(await textOf(page, 'step')).toMatch(/^0\b/);
  await press(page, 'Step');
  await waitForStatus(page, 'paused');
  expect(await textOf(page, 'step')).toMatch(/^1\b/);
  expect(await page.$eval('[aria-label="Rollouts"] h2', (title) => title.textContent)).toContain('of step 1');
  expect(await textOf(page, 't1')).not.toContain('→');
});

it('environment, start and seed are chosen on the page; what was learned is shown beside what was not', async () => {
  const page = await open();
  await waitForStatus(page, 'ready');
  const aside = () => page.$eval('aside', (element) => element.textContent);
  const hash = () => page.evaluate(() => location.hash);
  expect(await aside()).toContain('deliberately careless demonstrator');
  await page.select(byTestId('start'), 'scratch');
  await waitForStatus(page, 'ready');
  expect(await aside()).toContain('The first part takes a while');
  expect(await hash()).toBe('#env=reverse-text&start=scratch');
  await page.select(byTestId('start'), 'starter');
  await waitForStatus(page, 'ready');
  await page.click('input[name=env][value=even-digits]');
  await waitForStatus(page, 'ready');
  expect(await aside()).toContain('No demonstrations');
  expect(await hash()).toBe('#env=even-digits');
  expect(await page.$eval(byTestId('start'), (select) => (select as HTMLSelectElement).disabled)).toBe(true);
  await page.click('[aria-label="Another seed"]');
  await waitForStatus(page, 'ready');
  const seed = await page.$eval(byTestId('seed'), (input) => (input as HTMLInputElement).value);
  expect(seed).not.toBe('1');
  expect(await hash()).toBe(`#env=even-digits&seed=${seed}`);

  // With seed 2 the first weights know no even digit, greedily; eight short steps teach them.
  const short = '&grpo.steps=8&grpo.batch_size=32&grpo.group_size=16&eval.examples=20&eval.interval=0';
  await page.evaluate((next) => (location.hash = next), `#env=even-digits&seed=2${short}`);
  await page.waitForFunction((id) => document.querySelector<HTMLInputElement>(id)?.value === '2', {}, byTestId('seed'));
  await waitForStatus(page, 'ready');
  await press(page, 'Train');
  await waitForStatus(page, 'done');
  await greedily(page);
  const { before, after } = await ask(page);
  expect(after).toMatch(/^[02468]{8}$/);
  expect(before).not.toMatch(/^[02468]{8}$/);
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
  await page.select(byTestId('grpo.loss'), 'dapo');
  await page.waitForFunction(() => location.hash.includes('dapo'));
  const hash = await page.evaluate(() => location.hash);
  expect(hash).toContain('seed=42');
  expect(hash).toContain('grpo.lr=0.002');
  await page.reload();
  await waitForStatus(page, 'ready');
  const value = (id: string) => page.$eval(byTestId(id), (input) => (input as HTMLInputElement).value);
  expect([await value('seed'), await value('grpo.lr'), await value('grpo.loss'), await value('grpo.steps')]).toEqual([
    '42',
    '0.002',
    'dapo',
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

it('says how much memory a run takes before it is started, and what is too much', async () => {
  const page = await open(`${QUICK}&memory.recompute=on`);
  await waitForStatus(page, 'ready');
  expect(await textOf(page, 'memory')).toMatch(
    /^Needs [\d.]+ MiB of GPU memory: weights 205 KiB, .*\. Trains on 4096 tokens at a time, activations computed again\.$/,
  );
  await page.goto(`${site.url}${QUICK}&memory.budget_mb=2`);
  await page.reload();
  await waitForStatus(page, 'stopped');
  const problem = await page.$eval('[role=alert]', (alert) => alert.textContent);
  expect(problem).toMatch(/UnfitConfigError: This run needs .* 2 MiB are allowed by memory\.budget_mb/);
  expect(await page.$(byTestId('memory'))).toBeNull();
});

it('a link that makes no sense says what is wrong with it', async () => {
  const page = await open('#env=even-digits&grpo.lrr=1');
  await waitForStatus(page, 'ready');
  expect(await page.$eval('[role=alert]', (alert) => alert.textContent)).toContain(
    'unknown key grpo.lrr; did you mean grpo.lr?',
  );
});

it('two runs of one seed end with the same weights; a lost device changes nothing', async () => {
  const page = await open(QUICK);
  const hashes: string[] = [];
  for (const lose of [false, false, true]) {
    await waitForStatus(page, 'ready');
    await press(page, 'Train');
    if (lose) {
      await waitForStep(page, 3);
      await loseDevice(page);
    }
    await waitForStatus(page, 'done', 'stopped');
    hashes.push(await textOf(page, 'hash'));
    if (!lose) await press(page, 'Reset');
  }
  expect(new Set(hashes).size).toBe(1);
  expect(await textOf(page, 'recovery')).toContain('A new device took over from step 2.');
  // Nor does one that goes when nothing is being computed.
  await loseDevice(page);
  expect((await ask(page)).after).toHaveLength(8);
  expect(await textOf(page, 'recovery')).toContain('A new device took over from step 4.');
  await loseDevice(page);
  await press(page, 'Reset');
  await waitForStatus(page, 'ready');
  expect(await page.$('[role=alert]')).toBeNull();
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
    while (!existsSync(join(folder, name))) await new Promise((resolve) => setTimeout(resolve, 100));
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

/** Complaints of axe, each with the elements that it is about. */
async function axeProblems(page: Page): Promise<[rule: string, elements: string[]][]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
  return violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]);
}

it('has no accessibility problem, light or dark, wide or narrow', async () => {
  const page = await open(QUICK);
  await waitForStatus(page, 'ready');
  await page.click('summary');
  expect(await axeProblems(page)).toEqual([]);
  await press(page, 'Train');
  await waitForStatus(page, 'done');
  await ask(page);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  expect(await axeProblems(page)).toEqual([]);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  await page.setViewport({ width: 390, height: 800 });
  // Once the charts have followed, nothing sticks out at the side.
  await page.waitForFunction(() => document.documentElement.scrollWidth === 390);
  expect(await axeProblems(page)).toEqual([]);
});

it('works by keyboard, and the focus stays where it was put', async () => {
  const page = await open(QUICK);
  await waitForStatus(page, 'ready');
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim());
  for (let presses = 0; (await focused()) !== 'Train'; presses++) {
    expect(presses).toBeLessThan(10);
    await page.keyboard.press('Tab');
  }
  await page.keyboard.press('Tab');
  expect(await focused()).toBe('Step');
  for (const step of [1, 2]) {
    await page.keyboard.press('Enter');
    await waitForStep(page, step);
    await waitForStatus(page, 'paused');
    expect(await focused()).toBe('Step');
  }
  await page.keyboard.down('Shift');
  await page.keyboard.press('Tab');
  await page.keyboard.up('Shift');
  expect(await focused()).toBe('Resume');
  await page.keyboard.press('Space');
  await waitForStatus(page, 'done');
  expect(await focused()).toBe('Train');
});

it('npm start serves the page, ready to train', async () => {
  const args = ['scripts/start.mjs', '--no-open', '--port', '0'];
  // In a pipeline Vite colours its output, and the address with it.
  const env = { ...process.env, NO_COLOR: '1' };
  const server = spawn(process.execPath, args, {
    cwd: ROOT,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const url = await new Promise<string>((resolve, reject) => {
      let said = '';
      server.stdout.on('data', (data: Buffer) => {
        said += data.toString();
        const found = /http:\/\/localhost:\d+\//.exec(said);
        if (found) resolve(found[0]);
      });
      server.on('error', reject);
      server.on('exit', (code) => reject(new Error(`npm start ended with ${code}: ${said}`)));
    });
    opened = await openPage(browser, `${url}${QUICK}`);
    await waitForStatus(opened.page, 'ready');
    await press(opened.page, 'Step');
    await waitForStep(opened.page, 1);
  } finally {
    if (server.exitCode === null) process.kill(-server.pid!);
  }
});

it.each([
  ['no WebGPU', 'delete Object.getPrototypeOf(navigator).gpu;', 'navigator.gpu is missing'],
  ['no adapter', 'navigator.gpu.requestAdapter = () => Promise.resolve(null);', 'offers no adapter'],
])('where there is %s it says what to do, and shows no control that cannot work', async (_, prelude, reason) => {
  const bare = await serveSite(prelude);
  try {
    opened = await openPage(browser, bare.url);
    const { page } = opened;
    await page.waitForFunction(() => document.querySelector('h2')?.textContent!.includes('WebGPU'));
    const text = await page.$eval('main', (main) => main.textContent);
    expect(text).toContain('Terrarium needs WebGPU, and Chrome does not offer it here');
    expect(text).toContain(reason);
    expect(text).toContain('chrome://gpu');
    expect(await page.$$('button, input, select')).toEqual([]);
    expect(await axeProblems(page)).toEqual([]);
  } finally {
    bare.close();
  }
});
