/** @file An ONNX model in a browser: WebAssembly and WebGPU, served from one place, the same replies as in a terminal. */
import { createServer } from 'node:http';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'puppeteer';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { diskFolder, starterPath } from '../../cli/files';
import type { Completion, CompletionRequest } from '../../src/envs';
import { loadTransformers } from '../../src/model';
import { exportOnnx } from '../onnx/export';
import { launch } from './browser';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'terrarium-'));
const site = join(scratch, 'site');
const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

const server = createServer((request, reply) => {
  const file = join(site, new URL(request.url!, 'http://x').pathname);
  if (!existsSync(file)) reply.writeHead(404).end();
  else
    reply
      .writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' })
      .end(readFileSync(file));
});
let browser: Browser;
let address: string;

beforeAll(async () => {
  const root = join(scratch, 'root');
  mkdirSync(root);
  const module = JSON.stringify(join(ROOT, 'demo/worker/lazy-onnx.ts'));
  writeFileSync(join(root, 'main.js'), `import(${module}).then(({ loadOnnx }) => { self.loadOnnx = loadOnnx; });`);
  writeFileSync(join(root, 'index.html'), '<script type="module" src="./main.js"></script>');
  await build({
    configFile: false,
    root,
    base: './',
    logLevel: 'error',
    build: { outDir: site, target: 'es2022', minify: false },
  });
  await exportOnnx(starterPath('letter-sort'), join(site, 'models/letter-sort'));
  await new Promise<void>((go) => server.listen(0, '127.0.0.1', go));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
  rmSync(scratch, { recursive: true });
});

const REQUEST: CompletionRequest = {
  messages: [{ role: 'user', content: 'fbadce' }],
  sampling: { temperature: 0.8, maxTokens: 12 },
  key: [3, 4],
};

it.each(['wasm', 'webgpu'] as const)('on %s', async (device) => {
  const path = join(site, 'models/letter-sort');
  const terminal = await loadTransformers({
    name: 'm',
    source: path,
    local: true,
    folder: diskFolder(path),
    device: 'cpu',
  });
  const wanted = await terminal.complete(REQUEST);
  await terminal.destroy();

  const page = await browser.newPage();
  const hosts = new Set<string>();
  page.on('request', (request) => {
    if (request.url().startsWith('http')) hosts.add(new URL(request.url()).origin);
  });
  await page.goto(`${address}/index.html`);
  await page.waitForFunction('self.loadOnnx');
  const { reply, files } = await page.evaluate(
    async (device, request) => {
      const { loadOnnx } = self as unknown as {
        loadOnnx: (options: object) => Promise<{ complete(r: unknown): Promise<unknown>; destroy(): Promise<void> }>;
      };
      const files = new Set<string>();
      const model = await loadOnnx({
        name: 'm',
        source: '/models/letter-sort',
        local: true,
        device,
        dtype: 'fp32',
        onProgress: ({ file, loaded, total }: { file: string; loaded: number; total: number }) => {
          if (loaded === total) files.add(file);
        },
      });
      const reply = await model.complete(request);
      await model.destroy();
      return { reply, files: [...files] };
    },
    device,
    REQUEST as unknown as Record<string, never>,
  );
  const { tokens, ...others } = reply as Completion;
  const { tokens: theirs, ...rest } = wanted;
  expect(others).toEqual(rest);
  expect(tokens!.completionIds).toEqual(theirs!.completionIds);
  expect(tokens!.logprobs).toEqual(theirs!.logprobs.map((value) => expect.closeTo(value, 3) as number));
  expect([...hosts]).toEqual([address]);
  expect(files).toContain('onnx/model.onnx');
  await page.close();
});
