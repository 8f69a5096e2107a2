/** @file What is said of a hub's model before it is downloaded. */
import { afterEach, expect, it } from 'vitest';
import { downloadModel, inspectModel, parseModelAddress } from '../../../src/model';
import type { HubOptions } from '../../../src/model';
import { memoryShelf } from '../../../demo/worker/shelf';
import { serveHub } from '../../hub_server';
import type { HubServer } from '../../hub_server';
import { oracleModel } from './models';

let hub: HubServer;
afterEach(() => hub.close());

const look = (name: string, more: HubOptions = {}) =>
  inspectModel(parseModelAddress(name, hub.endpoint), {
    endpoint: hub.endpoint,
    tries: 2,
    backOffSeconds: 0.001,
    ...more,
  });

it.each([
  ['llama-tied-gqa', 'llama'],
  ['qwen2-tiny', 'qwen2'],
  ['qwen3-sharded', 'qwen3'],
])('%s: its configuration, and the size of a download, without asking for its weights', async (name, family) => {
  hub = await serveHub(oracleModel(name));
  const { config, bytes, bytesPerWeight } = await look(`oracle/${name}`);
  expect(config.family).toBe(family);
  expect(bytesPerWeight).toBe(2); // the oracle's are BF16
  expect(hub.requests.filter(({ path }) => path.includes('.safetensors') && !path.endsWith('.json'))).toEqual([]);
  let total = 0;
  await downloadModel(memoryShelf(), parseModelAddress(`oracle/${name}`, hub.endpoint), {
    endpoint: hub.endpoint,
    onProgress: (progress) => (total = progress.total ?? 0),
  });
  expect(bytes).toBe(total);
});

it('weights of 32 bits are told from those of 16', async () => {
  const model = oracleModel('llama-tiny');
  const half = model.files.get('model.safetensors')!;
  model.files.set('model.safetensors', new Uint8Array(2 * half.byteLength));
  hub = await serveHub(model);
  expect((await look('oracle/llama-tiny')).bytesPerWeight).toBe(4);
});

it.each([
  ['an unsupported architecture', { architectures: ['GPT2LMHeadModel'] }, 'GPT2LMHeadModel'],
  ['a config that is none', 'not json', 'config.json is not JSON'],
])('%s: one error that names the file', async (_, config, message) => {
  const model = oracleModel('llama-tiny');
  model.files.set(
    'config.json',
    new TextEncoder().encode(typeof config === 'string' ? config : JSON.stringify(config)),
  );
  hub = await serveHub(model);
  await expect(look('oracle/llama-tiny')).rejects.toThrow(message);
  await expect(look('oracle/llama-tiny')).rejects.toThrow('config.json');
});

it('no such model, no weights, an altered configuration, a hub that is away', async () => {
  const model = oracleModel('llama-tiny');
  hub = await serveHub(model);
  await expect(look('oracle/none')).rejects.toThrow('private or gated, or there is no such model');
  hub.fault = (file) => (file === 'config.json' ? { flip: 3 } : undefined);
  await expect(look('oracle/llama-tiny')).rejects.toThrow(/^config\.json of hf:oracle\/llama-tiny@\w+ is damaged/);
  hub.fault = () => ({ status: 503 });
  await expect(look('oracle/llama-tiny')).rejects.toThrow('given up after 2 tries');
  hub.fault = () => undefined;
  model.files.delete('model.safetensors');
  await expect(look('oracle/llama-tiny')).rejects.toThrow('model.safetensors is missing');
});
